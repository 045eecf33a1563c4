-- back: when something was deleted here that import has found there later, until
-- somebody asks for it. had: by which id the application knew the account of a deleted
-- user, whose end it has confirmed.
ALTER TABLE groups ADD COLUMN back INTEGER;
ALTER TABLE users ADD COLUMN back INTEGER;
ALTER TABLE users ADD COLUMN had TEXT;
CREATE INDEX users_had ON users (connection, had) WHERE had IS NOT NULL;
CREATE INDEX users_back ON users (connection) WHERE back IS NOT NULL;
CREATE INDEX groups_back ON groups (connection) WHERE back IS NOT NULL;
CREATE INDEX groups_deleted ON groups (connection, upstream_name)
    WHERE tombstone IS NOT NULL;
