-- Failures, and the way into a dead-letter queue and out of it.
--
-- A dead letter in a queue is a message that came there from another queue, or that is held for it. `CROSS JOIN` makes
-- SQLite begin with `dead_letters`, which is short where queues are long.

-- name: timed_out
INSERT INTO failures (seq, timeouts, first_ms, last_ms) VALUES (:seq, 1, :at, :at)
ON CONFLICT (seq) DO UPDATE SET timeouts = timeouts + 1, last_ms = excluded.last_ms;

-- name: failed
-- A retry without a reason keeps an earlier one.
INSERT INTO failures (seq, reason, timeouts, first_ms, last_ms) VALUES (:seq, :reason, 0, :at, :at)
ON CONFLICT (seq) DO UPDATE SET reason = ifnull(excluded.reason, reason), last_ms = excluded.last_ms;

-- name: failure
SELECT reason, timeouts, first_ms, last_ms FROM failures WHERE seq = ?;

-- name: move
UPDATE messages SET queue = :queue, visible_at = :now, stored_ms = :now, lease = 0, attempts = 0 WHERE seq = :seq;

-- name: record
INSERT INTO dead_letters (seq, source, reason, attempts, first_failed_ms, last_failed_ms, dead_lettered_ms)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq) DO UPDATE SET
    source = excluded.source,
    reason = excluded.reason,
    attempts = excluded.attempts,
    last_failed_ms = excluded.last_failed_ms,
    dead_lettered_ms = excluded.dead_lettered_ms;

-- name: count
SELECT d.source, d.reason, count(*), min(d.dead_lettered_ms), max(d.dead_lettered_ms)
FROM dead_letters AS d
CROSS JOIN messages AS m ON m.seq = d.seq
WHERE m.queue IN (:queue, :held) AND (m.queue = :held OR d.source <> :name)
GROUP BY d.source, d.reason
ORDER BY count(*) DESC, d.source, d.reason;

-- name: list
SELECT
    b.id, m.queue = :held AS held, d.source, d.reason, d.attempts, d.first_failed_ms, d.last_failed_ms,
    d.dead_lettered_ms, d.redrives, b.sent_ms, b.content_type, m.bytes, CASE WHEN :with_body THEN b.body END AS body
FROM dead_letters AS d
CROSS JOIN messages AS m ON m.seq = d.seq
JOIN bodies AS b ON b.seq = m.seq
WHERE m.queue IN (:queue, :held)
  AND (m.queue = :held OR d.source <> :name)
  AND d.seq > :after
  AND (:source IS NULL OR d.source = :source)
  AND (:reason IS NULL OR instr(lower(d.reason), lower(:reason)) > 0)
  AND (:since IS NULL OR d.dead_lettered_ms >= :since)
  AND (:until IS NULL OR d.dead_lettered_ms <= :until)
ORDER BY d.seq
LIMIT :limit;

-- name: show
SELECT
    b.id, m.queue = :held AS held, d.source, d.reason, d.attempts, d.first_failed_ms, d.last_failed_ms,
    d.dead_lettered_ms, d.redrives, b.sent_ms, b.content_type, m.bytes, b.body
FROM dead_letters AS d
JOIN messages AS m ON m.seq = d.seq
JOIN bodies AS b ON b.seq = m.seq
WHERE d.seq = :seq AND b.id = :id AND m.queue IN (:queue, :held) AND (m.queue = :held OR d.source <> :name);

-- name: idle
-- Dead letters that nobody is reading, in steps.
SELECT
    d.seq, m.queue, d.source,
    b.id, m.queue = :held AS held, d.source, d.reason, d.attempts, d.first_failed_ms, d.last_failed_ms,
    d.dead_lettered_ms, d.redrives, b.sent_ms, b.content_type, m.bytes, CASE WHEN :with_body THEN b.body END AS body
FROM dead_letters AS d
CROSS JOIN messages AS m ON m.seq = d.seq
JOIN bodies AS b ON b.seq = d.seq
WHERE m.queue IN (:queue, :held)
  AND (m.queue = :held OR d.source <> :name)
  AND (m.lease = 0 OR m.visible_at <= :now)
  AND d.seq BETWEEN :first AND :last
  AND (:source IS NULL OR d.source = :source)
  AND (:reason IS NULL OR instr(lower(d.reason), lower(:reason)) > 0)
  AND (:since IS NULL OR d.dead_lettered_ms >= :since)
  AND (:until IS NULL OR d.dead_lettered_ms <= :until)
ORDER BY d.seq
LIMIT :step;

-- name: rewrite
UPDATE bodies SET body = :body, content_type = :content_type WHERE seq = :seq;

-- name: resize
UPDATE messages SET bytes = :bytes WHERE seq = :seq;

-- name: redriven
UPDATE dead_letters SET redrives = redrives + 1 WHERE seq = ?;
