-- offered: whether a group of a family was one by the configuration when the
-- process before this one started.
ALTER TABLE groups ADD COLUMN offered INTEGER NOT NULL DEFAULT 1;
