-- What the approval of a held request is for. target: the resource that it is about.
-- takes, gives: the ids of all who lose something by it and whom it adds, one after the
-- other and in order, as it was shown; without whom somebody asked for otherwise since.
-- anew: when it was shown anew, if it was. conditions: If-Match and If-None-Match. What was held
-- before this is shown anew before it is approved.
ALTER TABLE held ADD COLUMN target BLOB;
ALTER TABLE held ADD COLUMN takes BLOB;
ALTER TABLE held ADD COLUMN gives BLOB;
ALTER TABLE held ADD COLUMN anew INTEGER;
ALTER TABLE held ADD COLUMN conditions TEXT NOT NULL DEFAULT '{}';

CREATE INDEX held_of_target ON held (target) WHERE state = 'open' AND target IS NOT NULL;
