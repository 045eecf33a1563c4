-- A group of a family has an owner of its own from here on; who manages one is
-- looked for when the next process starts.
DELETE FROM owners WHERE kind = 0
    AND name IN (SELECT family FROM groups WHERE family IS NOT NULL);

-- Kind 2: a user's place in a family, by both and a line break between them; the
-- user by the key of the account and by its id. taken: from another connection
-- that let go of it, whose last call a look may not show yet.
ALTER TABLE owners ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
