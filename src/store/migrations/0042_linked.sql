-- Users whose account was there before it was known here, or stays when they are deleted,
-- so that it may be in groups of which nothing is known yet; and after which row of the
-- audit a reading of all groups has to begin that tells. For who is linked (waits = 1) the
-- end of access waits for it; who was deleted is kept in mind until the next import.
CREATE TABLE linked (
    user_key INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    waits INTEGER NOT NULL
);
