-- name: record
INSERT INTO usage (
    day, queue, writes, reads, deletes, purges, sent, delivered, acked, retried, dead_lettered, dropped, expired, empty_leases
)
VALUES (date(? / 1000, 'unixepoch'), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, queue) DO UPDATE SET
    writes = writes + excluded.writes,
    reads = reads + excluded.reads,
    deletes = deletes + excluded.deletes,
    purges = purges + excluded.purges,
    sent = sent + excluded.sent,
    delivered = delivered + excluded.delivered,
    acked = acked + excluded.acked,
    retried = retried + excluded.retried,
    dead_lettered = dead_lettered + excluded.dead_lettered,
    dropped = dropped + excluded.dropped,
    expired = expired + excluded.expired,
    empty_leases = empty_leases + excluded.empty_leases;

-- name: rows
SELECT
    day, queue, writes, reads, deletes, purges, sent, delivered, acked, retried, dead_lettered, dropped, expired, empty_leases
FROM usage
WHERE day BETWEEN :since AND :until AND (:queue IS NULL OR queue = :queue)
ORDER BY day, queue;
