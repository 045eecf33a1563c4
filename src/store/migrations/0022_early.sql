-- early: what such a call may have undone was said once more while it could land
-- yet, so that what landed at once does not stay until none can.
ALTER TABLE doubts ADD COLUMN early INTEGER NOT NULL DEFAULT 0;
