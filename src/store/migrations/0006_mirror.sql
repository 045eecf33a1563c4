-- doubts: lists of the application that imports did not believe, as JSON.
ALTER TABLE connections ADD COLUMN doubts TEXT;

-- Groups that were found and are gone: one that comes back under its name is
-- the one that it was.
CREATE INDEX groups_lost ON groups (connection, upstream_name)
    WHERE tombstone IS NOT NULL AND existence = 0 AND ours = 0;
