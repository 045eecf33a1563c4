-- A doubt's sent of 3: no call, only a read told of the pair. reread: it is open
-- because of that, so that a read of what is said once more is not doubted again.
ALTER TABLE memberships ADD COLUMN reread INTEGER NOT NULL DEFAULT 0;

-- Who was to be no member of a group that was taken to be gone: nobody was told.
-- Where the group is there after all, it is said.
CREATE TABLE moot (
    group_key INTEGER NOT NULL REFERENCES groups (key),
    user_key  INTEGER NOT NULL REFERENCES users (key),
    at        INTEGER NOT NULL,
    PRIMARY KEY (group_key, user_key)
) STRICT, WITHOUT ROWID;
