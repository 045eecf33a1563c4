-- stays: the account is there still, by this id, as the application could not end
-- it: whoever is made anew here with it has that one.
ALTER TABLE departed ADD COLUMN stays INTEGER NOT NULL DEFAULT 0;
ALTER TABLE departed ADD COLUMN upstream_id TEXT;
