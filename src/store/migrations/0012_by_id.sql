-- Whoever asks by an id asks within a connection: one key of both, so that an id
-- of another connection costs what one costs that nothing has.
CREATE UNIQUE INDEX users_by_id ON users (connection, id);
CREATE UNIQUE INDEX groups_by_id ON groups (connection, id);
