"""What a queue file of an episode notes by itself: every message that leaves it, in the same transaction, and why."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

WITNESS: Final = "chaos_gone"
EXPIRED, PURGED, ACKED, DROPPED, OTHERWISE = "expired", "purged", "acked", "dropped", "otherwise"
_NOW: Final = "chaos_now"
_UNEXPLAINED: Final = f"{WITNESS}_unexplained"

_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS main.{WITNESS} (
    seq INTEGER PRIMARY KEY, body BLOB NOT NULL, job TEXT NOT NULL, idle INTEGER NOT NULL, too_old INTEGER, why TEXT
)"""
_INDEX: Final = f"CREATE INDEX IF NOT EXISTS main.{_UNEXPLAINED} ON {WITNESS} (seq) WHERE why IS NULL"


def watch(opened: sqlite3.Connection, job: str, now_ms: Callable[[], int]) -> None:
    """Let `opened`, if it is a queue file, note what leaves it by this connection, which belongs to `job`.

    Whether a message was idle and too old is seen in its own row as it goes. That is not enough to call it expired: an
    ack may come late. So the product has to count it as expired as well, and what it counts follows what it deletes,
    in one transaction. A purge has nothing of the kind; there it is the job that says so.
    """
    tables = {name for (name,) in opened.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")}
    if "bodies" not in tables:
        return
    if WITNESS not in tables:
        opened.execute(_TABLE)
        opened.execute(_INDEX)
    opened.create_function(_NOW, 0, now_ms)
    opened.execute(_leaving(job))
    opened.execute(_counted("INSERT", dict.fromkeys((EXPIRED, ACKED, DROPPED), "0")))
    opened.execute(_counted("UPDATE", {name: f"old.{name}" for name in (EXPIRED, ACKED, DROPPED)}))


def _leaving(job: str) -> str:
    idle = f"old.lease = 0 OR old.visible_at <= {_NOW}()"
    too_old = f"SELECT old.stored_ms <= {_NOW}() - 1000 * message_retention_period FROM queues WHERE number = old.queue"
    why = f"CASE WHEN {idle} THEN '{PURGED}' END" if job == "purge" else "NULL"
    return (
        f"CREATE TEMP TRIGGER witness_leaving AFTER DELETE ON main.messages BEGIN INSERT INTO {WITNESS} "
        f"SELECT old.seq, (SELECT body FROM bodies WHERE seq = old.seq), '{job}', {idle}, ({too_old}), {why}; END"
    )


def _counted(event: str, before: dict[str, str]) -> str:
    """What left and is not explained yet is what the usage counts now."""
    return (
        f"CREATE TEMP TRIGGER witness_{event} AFTER {event} ON main.usage BEGIN UPDATE {WITNESS} SET why = CASE "
        f"WHEN new.expired > {before[EXPIRED]} AND idle AND too_old THEN '{EXPIRED}' "
        f"WHEN new.acked > {before[ACKED]} THEN '{ACKED}' "
        f"WHEN new.dropped > {before[DROPPED]} THEN '{DROPPED}' "
        f"ELSE '{OTHERWISE}' END WHERE why IS NULL; END"
    )
