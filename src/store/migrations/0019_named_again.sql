-- A group that is deleted holds its name in the application until that has let go
-- of it. Another one may be asked for by that name meanwhile, and waits.
DROP INDEX groups_by_upstream_name;
CREATE UNIQUE INDEX groups_by_upstream_name ON groups (connection, upstream_name)
    WHERE tombstone IS NULL;
CREATE INDEX groups_by_kept_name ON groups (connection, upstream_name)
    WHERE tombstone IS NULL OR existence <> 0;
