-- A group of a family in which one connection had only found a user when a call of
-- another one gave the user another group of it in its place: by which group of that
-- one, and the application's id of what binds the account to the family.
CREATE TABLE raised (
    group_key INTEGER NOT NULL,
    user_key  INTEGER NOT NULL,
    by_group  INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    PRIMARY KEY (group_key, user_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX raised_by_user ON raised (user_key);
