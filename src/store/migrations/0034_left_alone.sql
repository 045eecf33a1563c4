-- What is in the application by a name that a creation was sent with of which no answer
-- came: it may be what that one made, and nothing is done about it from here. It is told
-- until it is gone, or somebody asks for it. name: the application's for it; title: what
-- the group was to be called; id: of the Group that was asked for. number: the last row
-- of the audit when it was seen last.
CREATE TABLE left_alone (
    connection INTEGER NOT NULL REFERENCES connections (key),
    name       TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    id         BLOB    NOT NULL,
    why        TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    PRIMARY KEY (connection, name)
) STRICT, WITHOUT ROWID;

-- withdrawn: whoever asked for the group was answered that it was refused.
ALTER TABLE groups ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
