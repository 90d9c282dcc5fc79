-- What Cloudflare would have billed.

-- name: usage
-- `writes`, `reads`, `deletes` and `purges` are billed operations; the rest counts messages, `empty_leases` calls.
CREATE TABLE usage (
    day TEXT NOT NULL,
    queue TEXT NOT NULL,
    writes INTEGER NOT NULL,
    reads INTEGER NOT NULL,
    deletes INTEGER NOT NULL,
    purges INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    acked INTEGER NOT NULL,
    retried INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    empty_leases INTEGER NOT NULL,
    PRIMARY KEY (day, queue)
) STRICT, WITHOUT ROWID;
