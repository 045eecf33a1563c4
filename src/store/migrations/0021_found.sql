-- found: a membership that was only found, of who is not to have access since: 1
-- nothing has shown it there since that was asked for, so it is not given back;
-- 2 a look has, before it was taken away. 0 of all others.
ALTER TABLE memberships ADD COLUMN found INTEGER NOT NULL DEFAULT 0;
CREATE INDEX memberships_found ON memberships (group_key, user_key) WHERE found = 1;
