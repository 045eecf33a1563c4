-- The guard rails against mass removal.

-- users: how many there are, so that a share of them needs no counting.
-- fingerprint: which application this is. imported: it was read once.
-- recovery: why nothing may be removed for now, and since when.
ALTER TABLE connections ADD COLUMN users INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN fingerprint TEXT;
ALTER TABLE connections ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN recovery TEXT;
ALTER TABLE connections ADD COLUMN recovery_since INTEGER;
UPDATE connections SET imported = 1, users = (
    SELECT count(*) FROM users WHERE connection = connections.key AND tombstone IS NULL);

-- withheld: was to be removed when recovery began, and waits for its end.
ALTER TABLE groups ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
ALTER TABLE memberships ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;

-- What was taken away lately, in the order of at. Each row carries the sums up
-- to and with itself, so that a window is two rows and not a scan. group_key is
-- NULL for a user's access; members is the size of the group before.
CREATE TABLE removals (
    number     INTEGER PRIMARY KEY,
    connection INTEGER NOT NULL REFERENCES connections (key),
    at         INTEGER NOT NULL,
    group_key  INTEGER,
    count      INTEGER NOT NULL,
    in_group   INTEGER NOT NULL,
    members    INTEGER NOT NULL,
    sum        INTEGER NOT NULL,
    sum_group  INTEGER NOT NULL,
    sum_access INTEGER NOT NULL
) STRICT;

CREATE INDEX removals_of_connection ON removals (connection, at);
CREATE INDEX removals_of_group ON removals (group_key, at) WHERE group_key IS NOT NULL;

-- Requests that wait for an operator. blocks: the group in which everything
-- that follows waits too. body: kept until it is decided, no longer.
CREATE TABLE held (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    connection INTEGER NOT NULL REFERENCES connections (key),
    id         BLOB    NOT NULL UNIQUE,
    at         INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    decided    INTEGER,
    decided_by TEXT,
    blocks     INTEGER,
    bytes      INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    actor      TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    over       TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    body       TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX held_open ON held (connection, digest) WHERE state = 'open';
CREATE INDEX held_in_group ON held (blocks, at) WHERE state = 'open' AND blocks IS NOT NULL;
CREATE INDEX held_by_state ON held (connection, state, at, bytes);

-- Which database this is; beside the file it is noted how far it had come.
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id  BLOB    NOT NULL
) STRICT;
