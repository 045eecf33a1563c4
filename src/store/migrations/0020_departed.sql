-- user_key: whose account it was, where another one with the address that appears
-- later is nobody else's.
ALTER TABLE departed ADD COLUMN user_key INTEGER;
CREATE INDEX departed_users ON departed (user_key) WHERE user_key IS NOT NULL;
