-- open: the call may be on its way. What is kept of one that was answered says nothing
-- of a later call about the same pair, which may give the pair's own group.
ALTER TABLE giving ADD COLUMN open INTEGER NOT NULL DEFAULT 0;

-- said: the last that a change of a group said of a member, by the user's id: when they
-- were taken out, or that they were put there. Of the audit's rows up to said_upto; what
-- came since is read from there.
CREATE TABLE said (
    group_key INTEGER NOT NULL REFERENCES groups (key),
    user_id   BLOB    NOT NULL,
    number    INTEGER NOT NULL,
    ended     INTEGER,
    PRIMARY KEY (group_key, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE said_upto (
    group_key INTEGER PRIMARY KEY REFERENCES groups (key),
    number    INTEGER NOT NULL
) STRICT;
