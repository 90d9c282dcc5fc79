-- Messages on their way. Every time is a parameter, in milliseconds since the epoch.
--
-- Messages are settled by runs of consecutive numbers, so that a whole batch is one statement. `NOT INDEXED` keeps
-- SQLite on the primary key there: it would rather walk the whole queue by the index that `queue` begins.

-- name: take_numbers
UPDATE sequence SET next = next + ? RETURNING next;

-- name: last_number
-- The highest ever given, not the highest still there: that one comes down when messages leave.
SELECT next - 1 FROM sequence;

-- name: insert_body
INSERT INTO bodies (seq, id, content_type, sent_ms, body) VALUES (?, ?, ?, ?, ?);

-- name: insert_messages
-- For a run of bodies just stored: a seventh faster than as many single inserts.
INSERT INTO messages (seq, queue, visible_at, stored_ms, bytes)
SELECT seq, ?, ?, sent_ms, length(body) FROM bodies WHERE seq BETWEEN ? AND ?;

-- name: delay
UPDATE messages SET visible_at = ? WHERE seq = ?;

-- name: deliverable
SELECT m.seq, m.lease, m.attempts, m.visible_at, m.bytes, b.id, b.content_type, b.sent_ms, b.body
FROM messages AS m INDEXED BY messages_deliverable
JOIN bodies AS b ON b.seq = m.seq
WHERE m.queue = ? AND m.visible_at <= ?
ORDER BY m.visible_at, m.seq
LIMIT ?;

-- name: lease
UPDATE messages SET lease = ?, visible_at = ?, attempts = attempts + 1 WHERE seq BETWEEN ? AND ?;

-- name: leased_run
-- Whether a run is held by the lease as a whole, so that it can be deleted without naming each: half the time.
SELECT count(*), sum(bytes), max(bytes) FROM messages NOT INDEXED
WHERE seq BETWEEN ? AND ? AND lease = ? AND queue = ?;

-- name: delete_leased
DELETE FROM messages NOT INDEXED WHERE seq BETWEEN ? AND ? AND lease = ? AND queue = ? RETURNING seq, bytes;

-- name: release
UPDATE messages NOT INDEXED SET lease = 0, attempts = attempts - 1, visible_at = min(stored_ms, :now)
WHERE seq BETWEEN :first AND :last AND lease = :lease AND queue = :queue
RETURNING seq;

-- name: end_lease
UPDATE messages NOT INDEXED SET lease = 0, visible_at = ?
WHERE seq = ? AND lease = ? AND queue = ?
RETURNING seq, attempts, bytes;

-- name: delete_run
DELETE FROM messages WHERE seq BETWEEN ? AND ?;

-- name: delete_bodies
DELETE FROM bodies WHERE seq BETWEEN ? AND ?;

-- name: delete_failures
DELETE FROM failures WHERE seq BETWEEN ? AND ?;

-- name: delete_origins
DELETE FROM dead_letters WHERE seq BETWEEN ? AND ?;

-- name: has_expired
SELECT EXISTS (
    SELECT 1
    FROM messages AS m INDEXED BY messages_age
    WHERE m.queue = :queue
      AND m.stored_ms <= (SELECT :now - 1000 * message_retention_period FROM queues WHERE number = :queue)
      AND (m.lease = 0 OR m.visible_at <= :now)
);

-- name: delete_expired
DELETE FROM messages
WHERE seq IN (
    SELECT m.seq
    FROM messages AS m INDEXED BY messages_age
    WHERE m.queue = :queue
      AND m.stored_ms <= (SELECT :now - 1000 * message_retention_period FROM queues WHERE number = :queue)
      AND (m.lease = 0 OR m.visible_at <= :now)
    LIMIT :step
)
RETURNING seq, bytes;

-- name: delete_idle
-- All but those in flight, up to the number that was the last when the purge began.
DELETE FROM messages
WHERE seq IN (
    SELECT seq
    FROM messages INDEXED BY messages_deliverable
    WHERE queue = :queue AND (lease = 0 OR visible_at <= :now) AND seq <= :last
    LIMIT :step
)
RETURNING seq, bytes;

-- name: delete_named
DELETE FROM messages NOT INDEXED
WHERE seq = :seq AND queue = :queue AND (lease = 0 OR visible_at <= :now)
  AND EXISTS (SELECT 1 FROM bodies WHERE seq = :seq AND id = :id)
RETURNING seq, bytes;

-- name: delete_all
DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE queue = :queue LIMIT :step) RETURNING seq, bytes;

-- name: peek
-- Looking deletes nothing: what is too old is passed over, here and below, until a lease sees it off.
SELECT b.id, b.body, b.content_type, b.sent_ms, m.attempts
FROM queues AS q
CROSS JOIN messages AS m INDEXED BY messages_deliverable
JOIN bodies AS b ON b.seq = m.seq
WHERE q.number = :queue AND m.queue = q.number AND (m.lease = 0 OR m.visible_at <= :now)
  AND coalesce(m.stored_ms > :now - 1000 * q.message_retention_period, 1)
ORDER BY m.visible_at, m.seq
LIMIT :limit;

-- name: stale
SELECT count(*)
FROM queues AS q
CROSS JOIN messages AS m INDEXED BY messages_deliverable
WHERE q.number = :queue AND m.queue = q.number AND m.visible_at <= :now AND m.lease <> 0
  AND coalesce(m.stored_ms > :now - 1000 * q.message_retention_period, 1);

-- name: next_visible
SELECT m.visible_at
FROM queues AS q
CROSS JOIN messages AS m INDEXED BY messages_deliverable
WHERE q.number = :queue AND m.queue = q.number
  AND (coalesce(m.stored_ms > :now - 1000 * q.message_retention_period, 1) OR (m.lease <> 0 AND m.visible_at > :now))
ORDER BY m.visible_at
LIMIT 1;

-- name: metrics
-- Only what is hidden is counted, by the index alone, and what is too old, of which there is mostly nothing; what waits
-- is the rest.
SELECT
    q.backlog - overdue.messages,
    q.bytes - overdue.bytes,
    hidden.in_flight,
    hidden.messages - hidden.in_flight - overdue.delayed,
    (
        SELECT b.sent_ms
        FROM messages AS m INDEXED BY messages_age
        JOIN bodies AS b ON b.seq = m.seq
        WHERE m.queue = q.number
          AND (
              coalesce(m.stored_ms > :now - 1000 * q.message_retention_period, 1)
              OR (m.lease <> 0 AND m.visible_at > :now)
          )
        ORDER BY m.stored_ms, m.seq
        LIMIT 1
    ),
    overdue.messages
FROM queues AS q
CROSS JOIN (
    SELECT count(*) AS messages, count(nullif(lease, 0)) AS in_flight
    FROM messages INDEXED BY messages_deliverable
    WHERE queue = :queue AND visible_at > :now
) AS hidden
CROSS JOIN (
    SELECT count(*) AS messages, coalesce(sum(bytes), 0) AS bytes, count(nullif(visible_at > :now, 0)) AS delayed
    FROM messages INDEXED BY messages_age
    WHERE queue = :queue
      AND stored_ms <= (SELECT :now - 1000 * message_retention_period FROM queues WHERE number = :queue)
      AND (lease = 0 OR visible_at <= :now)
) AS overdue
WHERE q.number = :queue;
