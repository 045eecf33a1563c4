-- A reconciliation has told that it is not there, and it was left so: whoever asks for it
-- once more has it put there again.
ALTER TABLE memberships ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;

CREATE INDEX memberships_missing ON memberships (group_key) WHERE missing = 1;
