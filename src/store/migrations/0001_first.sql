-- The first shape. Numbers: existence and observed 0 absent, 1 present,
-- 2 unknown; desired 0/1; times in milliseconds since 1970.

CREATE TABLE connections (
    key  INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Small columns stand first so that a narrow read stops before the long texts.
-- unsure: 1 a call about role or profile is open, 2 one about existence.
-- turn: the version that the open turn was begun on.
CREATE TABLE users (
    key           INTEGER PRIMARY KEY AUTOINCREMENT,
    connection    INTEGER NOT NULL REFERENCES connections (key),
    id            BLOB    NOT NULL UNIQUE,
    version       INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    modified      INTEGER NOT NULL,
    tombstone     INTEGER,
    imported      INTEGER NOT NULL,
    wants         INTEGER NOT NULL,
    existence     INTEGER NOT NULL,
    deactivated   INTEGER NOT NULL,
    unsure        INTEGER NOT NULL,
    dirty         INTEGER NOT NULL,
    turn          INTEGER,
    account_key   TEXT,
    upstream_id   TEXT,
    user_name_key TEXT,
    external_id   TEXT,
    refused       TEXT,
    attributes    TEXT    NOT NULL,
    account       TEXT    NOT NULL,
    observed      TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX users_by_name ON users (connection, user_name_key)
    WHERE tombstone IS NULL AND user_name_key IS NOT NULL;
CREATE UNIQUE INDEX users_by_external_id ON users (connection, external_id)
    WHERE tombstone IS NULL AND external_id IS NOT NULL;
CREATE UNIQUE INDEX users_by_account ON users (connection, account_key)
    WHERE tombstone IS NULL AND account_key IS NOT NULL;
CREATE INDEX users_leaving ON users (connection, account_key)
    WHERE tombstone IS NOT NULL AND account_key IS NOT NULL;
CREATE INDEX users_by_upstream_id ON users (connection, upstream_id)
    WHERE tombstone IS NULL AND upstream_id IS NOT NULL;
CREATE INDEX users_live ON users (connection) WHERE tombstone IS NULL;
CREATE INDEX users_open ON users (connection) WHERE dirty = 1;

CREATE TABLE user_emails (
    connection INTEGER NOT NULL,
    email_key  TEXT    NOT NULL,
    user_key   INTEGER NOT NULL REFERENCES users (key),
    PRIMARY KEY (connection, email_key, user_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_emails_of_user ON user_emails (user_key);

-- made: the application once showed or confirmed it.
-- whole: the set was replaced as a whole and has not converged since.
-- strangers: members the application shows that are no row here.
-- turned: the number of the audit row of its last turn; what was read of it
-- before that is out of date.
CREATE TABLE groups (
    key           INTEGER PRIMARY KEY AUTOINCREMENT,
    connection    INTEGER NOT NULL REFERENCES connections (key),
    id            BLOB    NOT NULL UNIQUE,
    version       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    modified      INTEGER NOT NULL,
    tombstone     INTEGER,
    ours          INTEGER NOT NULL,
    made          INTEGER NOT NULL,
    existence     INTEGER NOT NULL,
    whole         INTEGER NOT NULL,
    members       INTEGER NOT NULL,
    unmanaged     INTEGER NOT NULL,
    strangers     INTEGER NOT NULL,
    turned        INTEGER NOT NULL DEFAULT 0,
    upstream_name TEXT    NOT NULL,
    display_key   TEXT,
    external_id   TEXT,
    read_only     TEXT,
    refused       TEXT,
    attributes    TEXT    NOT NULL,
    dirty         INTEGER GENERATED ALWAYS AS (
        refused IS NULL AND read_only IS NULL
        AND existence <> (CASE WHEN tombstone IS NULL THEN 1 ELSE 0 END)
    ) VIRTUAL
) STRICT;

CREATE UNIQUE INDEX groups_by_external_id ON groups (connection, external_id)
    WHERE tombstone IS NULL AND external_id IS NOT NULL;
CREATE UNIQUE INDEX groups_by_display ON groups (connection, display_key)
    WHERE tombstone IS NULL AND display_key IS NOT NULL;
-- A deleted group holds its name until the application has let go of it.
CREATE UNIQUE INDEX groups_by_upstream_name ON groups (connection, upstream_name)
    WHERE tombstone IS NULL OR existence <> 0;
CREATE INDEX groups_live ON groups (connection) WHERE tombstone IS NULL;
CREATE INDEX groups_open ON groups (connection) WHERE dirty = 1;

-- user_id repeats users.id, which never changes, so that a whole list is one
-- scan. before and sent are set while a pair is handed out: what was observed
-- of it, and which direction was sent. doubted: here only to be taken away once
-- more, see doubts.
CREATE TABLE memberships (
    group_key INTEGER NOT NULL REFERENCES groups (key),
    user_key  INTEGER NOT NULL REFERENCES users (key),
    user_id   BLOB    NOT NULL,
    desired   INTEGER NOT NULL,
    observed  INTEGER NOT NULL,
    managed   INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    before    INTEGER,
    sent      INTEGER,
    doubted   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (group_key, user_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_of_user ON memberships (user_key, group_key);
CREATE INDEX memberships_open ON memberships (group_key, user_key)
    WHERE desired <> observed;

-- Calls of which no answer came and which may still land. A key of 0 stands for
-- the group or the account itself; sent: 0 towards absent, 1 towards present,
-- 2 either. A user of -1 stands for everybody who became a member after the
-- group's seq: a replacement that lands late takes them out again.
CREATE TABLE doubts (
    user_key  INTEGER NOT NULL,
    group_key INTEGER NOT NULL,
    sent      INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    seq       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_key, group_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX doubts_by_age ON doubts (since);

-- Accounts that a deleted user held until lately: a list that was read before
-- the audit row of that number still shows them.
CREATE TABLE departed (
    connection  INTEGER NOT NULL REFERENCES connections (key),
    account_key TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    PRIMARY KEY (connection, account_key)
) STRICT, WITHOUT ROWID;

-- What is being sent; written before the first byte leaves.
CREATE TABLE intents (
    lane     TEXT    NOT NULL,
    key      INTEGER NOT NULL,
    at_seq   INTEGER NOT NULL,
    detail   TEXT    NOT NULL,
    PRIMARY KEY (lane, key)
) STRICT, WITHOUT ROWID;

-- Ids and counts only; no personal data.
CREATE TABLE audit (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    resource   BLOB,
    detail     TEXT    NOT NULL
) STRICT;
