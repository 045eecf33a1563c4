-- Groups that are exclusive alternatives, with a precedence: family, and rank
-- in it, 0 before all others.
ALTER TABLE groups ADD COLUMN family TEXT;
ALTER TABLE groups ADD COLUMN rank INTEGER;

CREATE INDEX groups_of_family ON groups (connection, family)
    WHERE family IS NOT NULL AND tombstone IS NULL;

-- From here on users.dirty can be 2, too: the user is staged. It waits for an
-- account that is not there yet and cannot be made; its lane has no work.
CREATE INDEX users_staged ON users (connection) WHERE dirty = 2;
