-- Whom a call of which no answer came may have put into a group that such a call may
-- have made: what has the group's name and anybody else in it is not that one. By what
-- they were called when it was sent, as they may have left since; kept as long as such
-- a call may land, or what it has done is looked for.
CREATE TABLE perhaps_in (
    group_key   INTEGER NOT NULL REFERENCES groups (key),
    account     TEXT NOT NULL,
    upstream_id TEXT,
    PRIMARY KEY (group_key, account)
) STRICT, WITHOUT ROWID;

-- others: a look has shown others in what has a group's name, which was not made from
-- here. was_deleted: its deletion was done, so only a late call can have made what is
-- there by that name.
ALTER TABLE groups ADD COLUMN others INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN was_deleted INTEGER NOT NULL DEFAULT 0;
