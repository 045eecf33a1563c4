-- The last address that was said of the user may be another one than that of the account.
ALTER TABLE users ADD COLUMN said_otherwise INTEGER NOT NULL DEFAULT 0;

CREATE INDEX users_said_otherwise ON users (connection) WHERE said_otherwise = 1;
