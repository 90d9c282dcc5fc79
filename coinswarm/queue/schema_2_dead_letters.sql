-- Why messages failed, and where dead letters came from.

-- name: failures
-- One row for a message that failed in the queue it is in.
CREATE TABLE failures (
    seq INTEGER PRIMARY KEY,
    reason TEXT,
    timeouts INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL
) STRICT;

-- name: dead_letters
-- One row for a message that was dead-lettered once. It stays when the message is redriven.
CREATE TABLE dead_letters (
    seq INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_failed_ms INTEGER NOT NULL,
    last_failed_ms INTEGER NOT NULL,
    dead_lettered_ms INTEGER NOT NULL,
    redrives INTEGER NOT NULL DEFAULT 0
) STRICT;
