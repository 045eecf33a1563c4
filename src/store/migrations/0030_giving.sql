-- What a call about a pair gives that is on its way, where that is another group of
-- the family than the pair's: written before it is sent. It stays until the lane of
-- that other group has come to its own pair of the user.
CREATE TABLE giving (
    group_key INTEGER NOT NULL,
    user_key  INTEGER NOT NULL,
    gives     INTEGER NOT NULL,
    PRIMARY KEY (group_key, user_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX giving_to ON giving (user_key, gives);

-- In a family a doubt is of the group that a call may give, or take away, and of no
-- other. Which one it was is not known of what was noted before: each that the user
-- was asked for in.
INSERT OR IGNORE INTO doubts (user_key, group_key, sent, since, seq, early)
SELECT d.user_key, m.group_key, 2, d.since, d.seq, d.early
FROM doubts d JOIN groups g ON g.key = d.group_key
JOIN groups s ON s.connection = g.connection AND s.family = g.family
JOIN memberships m ON m.group_key = s.key AND m.user_key = d.user_key AND m.managed = 1
WHERE d.user_key > 0;
