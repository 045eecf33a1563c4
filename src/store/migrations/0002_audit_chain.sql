-- chain: binds a row to the one before it; rows from before have none.
ALTER TABLE audit ADD COLUMN chain BLOB;

-- Memberships that the application refused after the answer may have been
-- given; each until the pair is asked for again.
CREATE TABLE refusals (
    group_key INTEGER NOT NULL REFERENCES groups (key),
    user_key  INTEGER NOT NULL REFERENCES users (key),
    wanted    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    PRIMARY KEY (group_key, user_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX refusals_of_user ON refusals (user_key, group_key);
