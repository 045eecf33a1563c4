-- formers: who of the deleted users had the account of a user before; ids alone, so
-- that nothing personal is kept of who was deleted. What was taken away from one of them
-- was taken away from whoever has the account now.
CREATE TABLE formers (
    user_key INTEGER NOT NULL REFERENCES users (key),
    former   INTEGER NOT NULL REFERENCES users (key),
    PRIMARY KEY (user_key, former)
) STRICT, WITHOUT ROWID;

-- left_with: the memberships that ended because their user was deleted, which no change
-- of the group tells; number: of the last audit row before that.
CREATE TABLE left_with (
    group_key INTEGER NOT NULL REFERENCES groups (key),
    user_key  INTEGER NOT NULL REFERENCES users (key),
    at        INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    PRIMARY KEY (group_key, user_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX departed_by_id ON departed (connection, upstream_id)
    WHERE upstream_id IS NOT NULL;
CREATE INDEX audit_of_groups ON audit (resource) WHERE action = 'change_group';
