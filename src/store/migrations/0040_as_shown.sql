-- held.sets: digests of the attributes that a held request changes, each with the value
-- that it had when that was shown, one after the other. What was held before this is shown
-- anew where it changes any.
ALTER TABLE held ADD COLUMN sets BLOB;

-- How many memberships were noted as missing when the reconciliation was kept: as many as
-- are not any more were put there again.
ALTER TABLE reconciliations ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
