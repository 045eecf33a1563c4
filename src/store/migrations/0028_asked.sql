-- The seq of what was last asked for of a group itself: what follows from the end
-- of a member moves seq on, and is no request of the group.
ALTER TABLE groups ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
