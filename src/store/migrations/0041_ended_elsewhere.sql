-- ended_elsewhere: another connection of the tenant, which manages the account of this
-- user, has ended it; the number of the audit row that tells so. Until it is made anew, or
-- an import shows it.
ALTER TABLE users ADD COLUMN ended_elsewhere INTEGER;

CREATE INDEX users_ended_elsewhere ON users (connection) WHERE ended_elsewhere IS NOT NULL;
