-- The queues themselves: their names, settings, consumers and counters.

-- name: find
-- All that sending, leasing and settling need to know of a queue.
SELECT
    q.number, q.name, q.delivery_delay, q.delivery_paused, q.bytes,
    c.dead_letter_queue,
    ifnull(c.max_retries, :max_retries),
    ifnull(c.retry_delay, :retry_delay),
    ifnull(c.visibility_timeout_ms, :visibility_timeout_ms)
FROM queues AS q
LEFT JOIN consumers AS c ON c.queue = q.number
WHERE q.number = :number;

-- name: number
SELECT number FROM queues WHERE name = ?;

-- name: held_number
SELECT number FROM queues WHERE held_for = ?;

-- name: all
SELECT number, queue_id, name, created_ms, modified_ms, delivery_delay, delivery_paused, message_retention_period
FROM queues
WHERE name IS NOT NULL
ORDER BY name;

-- name: one
SELECT number, queue_id, name, created_ms, modified_ms, delivery_delay, delivery_paused, message_retention_period
FROM queues
WHERE name = ?;

-- name: insert
INSERT INTO queues (
    queue_id, name, held_for, created_ms, modified_ms, delivery_delay, delivery_paused, message_retention_period
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
RETURNING number;

-- name: update
UPDATE queues
SET name = :name, delivery_delay = :delay, delivery_paused = :paused, message_retention_period = :retention, modified_ms = :now
WHERE number = :number;

-- name: delete
DELETE FROM queues WHERE number = ?;

-- name: adjust
UPDATE queues SET backlog = backlog + ?, bytes = bytes + ? WHERE number = ?;

-- name: consumer
SELECT
    consumer_id, created_ms, type, script_name, dead_letter_queue, batch_size, max_retries, max_wait_time_ms,
    max_concurrency, retry_delay, visibility_timeout_ms
FROM consumers
WHERE queue = ?;

-- name: put_consumer
INSERT INTO consumers (
    queue, consumer_id, created_ms, type, script_name, dead_letter_queue, batch_size, max_retries, max_wait_time_ms,
    max_concurrency, retry_delay, visibility_timeout_ms
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (queue) DO UPDATE SET
    type = excluded.type,
    script_name = excluded.script_name,
    dead_letter_queue = excluded.dead_letter_queue,
    batch_size = excluded.batch_size,
    max_retries = excluded.max_retries,
    max_wait_time_ms = excluded.max_wait_time_ms,
    max_concurrency = excluded.max_concurrency,
    retry_delay = excluded.retry_delay,
    visibility_timeout_ms = excluded.visibility_timeout_ms;

-- name: delete_consumer
DELETE FROM consumers WHERE queue = ?;

-- name: producers
SELECT script_name FROM producers WHERE queue = ? ORDER BY script_name;

-- name: put_producer
INSERT INTO producers (queue, script_name) VALUES (?, ?);

-- name: delete_producers
DELETE FROM producers WHERE queue = ?;

-- name: rename_dead_letter_queue
UPDATE consumers SET dead_letter_queue = :new WHERE dead_letter_queue = :old;

-- name: rename_source
UPDATE dead_letters SET source = :new WHERE source = :old;
