-- Message numbers that are never used again: a purge, or a walk over dead letters, ends at the last number there was
-- when it began, and must not meet later messages under numbers that came free meanwhile.

-- name: sequence
-- The number of the next message, in one row. The earliest files have it already.
CREATE TABLE IF NOT EXISTS sequence (next INTEGER NOT NULL) STRICT;

-- name: sequence_starts
INSERT INTO sequence (next) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM sequence);

-- name: sequence_goes_on
UPDATE sequence SET next = max(next, (SELECT ifnull(max(seq), 0) + 1 FROM messages));
