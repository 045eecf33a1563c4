-- The deletion of a User has begun: access is taken away, and once that is answered the
-- User goes. What a start finds here was cut short. actor: who deletes. hold: the held
-- request that it does.
CREATE TABLE deletions (
    user_key INTEGER PRIMARY KEY REFERENCES users (key),
    actor    TEXT    NOT NULL,
    hold     BLOB
) STRICT;
