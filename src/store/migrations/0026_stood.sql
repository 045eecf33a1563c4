-- stood: what is unknown now was known to be there and wanted, and nothing was sent
-- since that could have ended it: it is only looked at again.
ALTER TABLE memberships ADD COLUMN stood INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN stood INTEGER NOT NULL DEFAULT 0;
-- protected: the groups that the guard protected at the last start, as JSON. What
-- was accepted since then was judged by that.
ALTER TABLE connections ADD COLUMN protected TEXT;
