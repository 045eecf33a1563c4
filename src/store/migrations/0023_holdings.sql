-- What a user has of a family, as an answer of the application told: the
-- application's ids of the account and of what binds it to the group of that
-- name, and when it was told. As good as it was until something else is told of
-- it; a stale one costs a call.
CREATE TABLE holdings (
    user_key INTEGER NOT NULL REFERENCES users (key),
    family   TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (user_key, family)
) STRICT, WITHOUT ROWID;

CREATE INDEX holdings_by_id ON holdings (id);
