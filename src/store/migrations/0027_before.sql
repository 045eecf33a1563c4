-- Which groups of a name were deleted last: what they did there may still be shown.
CREATE INDEX groups_before ON groups (connection, upstream_name, tombstone)
    WHERE tombstone IS NOT NULL;
