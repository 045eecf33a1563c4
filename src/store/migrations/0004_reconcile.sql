-- The last reconciliation of each connection, as JSON, and how far one came
-- that has not ended.
CREATE TABLE reconciliations (
    connection INTEGER PRIMARY KEY REFERENCES connections (key),
    state      TEXT NOT NULL
) STRICT;
