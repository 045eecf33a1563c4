-- From whom a removal in the window took something, so that it can be taken
-- back when the application refuses it, and so that the same one counts once.
-- group_key is 0 for a user's access.
CREATE TABLE taken (
    user_key  INTEGER NOT NULL,
    group_key INTEGER NOT NULL,
    removal   INTEGER NOT NULL REFERENCES removals (number) ON DELETE CASCADE,
    PRIMARY KEY (user_key, group_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX taken_by_removal ON taken (removal);
