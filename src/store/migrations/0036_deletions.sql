-- The deletion of a User has begun: with this version access is taken away, and once
-- that is answered the User goes. What a start finds here was cut short, unless the
-- User was written since. actor: who deletes.
CREATE TABLE deletions (
    user_key INTEGER PRIMARY KEY REFERENCES users (key),
    version  INTEGER NOT NULL,
    actor    TEXT    NOT NULL
) STRICT;
