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

-- name: departures
-- Under the name it was opened with and the one it has now, so that totals do not fall when it is renamed.
SELECT ifnull(sum(expired), 0), ifnull(sum(dropped), 0), ifnull(sum(dead_lettered), 0)
FROM usage
WHERE queue IN (:name, (SELECT name FROM queues WHERE number = :number));

-- name: rows
SELECT
    day, queue, writes, reads, deletes, purges, sent, delivered, acked, retried, dead_lettered, dropped, expired, empty_leases
FROM usage
WHERE day BETWEEN :since AND :until AND (:queue IS NULL OR queue = :queue)
ORDER BY day, queue;
