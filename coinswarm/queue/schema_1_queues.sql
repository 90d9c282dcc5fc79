-- The first version of the file. Later versions are further steps: a step that has shipped is never edited.

-- name: queues
-- `number` is never used again, so that a handle on a deleted queue cannot reach a new one.
-- `name` is NULL for the place that holds the dead letters of queue `held_for`; nothing expires there.
-- `backlog` and `bytes` are kept in step with `messages`, so that metrics cost nothing.
CREATE TABLE queues (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue_id TEXT NOT NULL UNIQUE,
    name TEXT UNIQUE,
    held_for INTEGER UNIQUE,
    created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    delivery_delay INTEGER NOT NULL,
    delivery_paused INTEGER NOT NULL,
    message_retention_period INTEGER,
    backlog INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

-- name: consumers
-- One active consumer a queue, as at Cloudflare.
CREATE TABLE consumers (
    queue INTEGER PRIMARY KEY,
    consumer_id TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    type TEXT NOT NULL,
    script_name TEXT,
    dead_letter_queue TEXT,
    batch_size INTEGER NOT NULL,
    max_retries INTEGER NOT NULL,
    max_wait_time_ms INTEGER NOT NULL,
    max_concurrency INTEGER,
    retry_delay INTEGER NOT NULL,
    visibility_timeout_ms INTEGER NOT NULL
) STRICT;

-- name: producers
CREATE TABLE producers (
    queue INTEGER NOT NULL,
    script_name TEXT NOT NULL,
    PRIMARY KEY (queue, script_name)
) STRICT, WITHOUT ROWID;

-- name: messages
-- What changes while a message lives, apart from its body, so that a claim rewrites 40 bytes and not 2,000.
-- It can be delivered when `visible_at` is past; there is no status. `lease` names the last delivery, 0 for none.
-- `seq` is the order of arrival over all queues and stays when a message moves to another; see `sequence`.
-- `stored_ms` is when it came into this queue, from which its retention counts.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    lease INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    stored_ms INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

-- name: messages_deliverable
-- `seq` keeps first in, first out; `lease` lets metrics count without touching the table.
CREATE INDEX messages_deliverable ON messages (queue, visible_at, seq, lease);

-- name: messages_age
CREATE INDEX messages_age ON messages (queue, stored_ms);

-- name: bodies
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    content_type TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
