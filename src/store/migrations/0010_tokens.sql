-- The tokens that were recorded in the audit, by their public ids, and as what.
CREATE TABLE tokens (
    connection INTEGER NOT NULL REFERENCES connections (key),
    id         TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    PRIMARY KEY (connection, id)
) STRICT, WITHOUT ROWID;
