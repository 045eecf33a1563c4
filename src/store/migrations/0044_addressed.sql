-- When the address of a user was said that an account is made by, where it is another one
-- than at first: what was made before that was not asked for here.
ALTER TABLE users ADD COLUMN addressed INTEGER;
