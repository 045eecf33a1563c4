-- Accounts, by the application's ids, that share an address with another account,
-- or that have the address of somebody who must have nothing and was linked to
-- another one.
CREATE TABLE twins (
    connection  INTEGER NOT NULL REFERENCES connections (key),
    account     TEXT    NOT NULL,
    upstream_id TEXT    NOT NULL,
    PRIMARY KEY (connection, account, upstream_id)
) STRICT, WITHOUT ROWID;
