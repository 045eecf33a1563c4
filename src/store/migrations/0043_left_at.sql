-- When the access of a user was taken away whose end is still open.
ALTER TABLE users ADD COLUMN left_at INTEGER;
