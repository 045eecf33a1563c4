-- Groups that the application knows by an id that it gives.
-- id_known: NULL where the name follows from a rule; otherwise whether
-- upstream_name is that id. made_as: what the group was called in the creation
-- that was begun last. renamed: the application may call it otherwise.
ALTER TABLE groups ADD COLUMN id_known INTEGER;
ALTER TABLE groups ADD COLUMN made_as TEXT;
ALTER TABLE groups ADD COLUMN renamed INTEGER NOT NULL DEFAULT 0;

CREATE INDEX groups_nameless ON groups (connection) WHERE id_known = 0;
CREATE INDEX groups_renamed ON groups (connection) WHERE renamed = 1;
