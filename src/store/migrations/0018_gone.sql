-- A doubt's sent of 3: no call, only a read told of the pair. reread: it is open
-- because of that, so that a read of what is said once more is not doubted again.
ALTER TABLE memberships ADD COLUMN reread INTEGER NOT NULL DEFAULT 0;
