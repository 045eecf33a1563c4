-- ended: when the application last confirmed the end of the account. Who is deleted a
-- while after that is looked for once more.
ALTER TABLE users ADD COLUMN ended INTEGER;
