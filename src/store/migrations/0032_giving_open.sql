-- open: the call may be on its way. What is kept of one that was answered says nothing
-- of a later call about the same pair, which may give the pair's own group.
ALTER TABLE giving ADD COLUMN open INTEGER NOT NULL DEFAULT 0;
