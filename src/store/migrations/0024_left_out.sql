-- left_out: the number of the last change of a group of a family when it was left
-- out of the configuration. Whoever was asked for in it by then is not refused for
-- that, and given it when it is offered again. NULL: it is offered.
ALTER TABLE groups ADD COLUMN left_out INTEGER;
UPDATE groups SET left_out = seq WHERE offered = 0;
