-- unseen: the process that runs has not seen yet that the application is the one
-- that is known here; nothing is removed from its groups before.
ALTER TABLE connections ADD COLUMN unseen INTEGER NOT NULL DEFAULT 0;
