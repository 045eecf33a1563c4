-- found: a membership that was only found, of who is not to have access since: 1
-- nobody has looked at it since that was asked for; 2 a look has shown it there
-- before it was taken away; 3 a look has shown that it is not, so it is not given
-- back. 0 of all others.
ALTER TABLE memberships ADD COLUMN found INTEGER NOT NULL DEFAULT 0;
CREATE INDEX memberships_found ON memberships (group_key, user_key) WHERE found = 1;
