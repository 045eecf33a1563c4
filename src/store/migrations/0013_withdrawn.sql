-- withdrawn: what becomes of the memberships of a user who is not to have access
-- and whose account the application cannot end; 0 nothing, 1 they are being taken
-- away, 2 they were, 3 the application refused some. They stay desired.
ALTER TABLE users ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;

CREATE INDEX users_withdrawn ON users (connection, withdrawn) WHERE withdrawn <> 0;
