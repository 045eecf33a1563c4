-- Connections that lead to one tenant of one application have one site; NULL
-- where no other one does, or it is not known. site_accounts: accounts are
-- managed there, and not only found.
ALTER TABLE connections ADD COLUMN site TEXT;
ALTER TABLE connections ADD COLUMN site_accounts INTEGER NOT NULL DEFAULT 0;

-- Which of them manages a group (kind 0: a family or the application's name for
-- a group) or an account (kind 1: its key).
CREATE TABLE owners (
    site       TEXT    NOT NULL,
    kind       INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    connection INTEGER NOT NULL REFERENCES connections (key),
    PRIMARY KEY (site, kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX owners_by_connection ON owners (connection);
