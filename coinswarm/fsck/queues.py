"""What is wrong with a queue file: bookkeeping that does not add up, leases nobody holds, bodies nobody can read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from coinswarm.errors import InvalidPayload
from coinswarm.fsck.findings import EXAMPLES, Change, Finding, Move, Rule
from coinswarm.limits import QUEUES
from coinswarm.payload import decode, decode_together
from coinswarm.queue import schema

_TOTALS: Final = (
    "UPDATE queues SET backlog = (SELECT count(*) FROM messages WHERE queue = queues.number), "
    "bytes = (SELECT ifnull(sum(bytes), 0) FROM messages WHERE queue = queues.number)"
)
_WRONG_TOTALS: Final = (
    "backlog <> (SELECT count(*) FROM messages WHERE queue = queues.number)"
    " OR bytes <> (SELECT ifnull(sum(bytes), 0) FROM messages WHERE queue = queues.number)"
)
_BODY: Final = "EXISTS (SELECT 1 FROM bodies WHERE bodies.seq = {0}.seq)"
_MESSAGE: Final = "EXISTS (SELECT 1 FROM messages WHERE messages.seq = {0}.seq)"
_LENGTH: Final = "(SELECT length(body) FROM bodies WHERE bodies.seq = messages.seq)"
_WAITING: Final = """
    SELECT m.seq, b.id, b.sent_ms, b.body, q.name
    FROM messages AS m JOIN bodies AS b ON b.seq = m.seq LEFT JOIN queues AS q ON q.number = m.queue
"""
_TIMED_OUT: Final = "INSERT INTO failures (seq, timeouts, first_ms, last_ms)"
_ONCE_MORE: Final = "ON CONFLICT (seq) DO UPDATE SET timeouts = timeouts + 1, last_ms = excluded.last_ms"
_BODIES_AT_ONCE: Final = 100


def version(connection: sqlite3.Connection, path: Path) -> Finding | None:
    """A file of an older coinswarm. Raises `StorageTooNew`, or `StorageError` for what is no queue file."""
    found = schema.version_of(connection, path)
    if found == schema.VERSION:
        return None
    return Finding(
        "version",
        f"the file has queue format {found}; this coinswarm writes {schema.VERSION}",
        1,
        advice="The next command that opens it brings it up to date in place: coinswarm queues list",
        severity="warning",
    )


def rules(tables: dict[str, dict[str, str]], now_ms: int) -> Iterator[Rule]:
    """The rules for the tables that a file of this version has."""
    yield Rule(
        "leases",
        "messages that a consumer leased and did not settle in time: it died, or hangs",
        "messages",
        f"lease <> 0 AND visible_at <= {now_ms}",
        ("seq", "queue", "attempts", "visible_at"),
        _ended_leases(now_ms) if "failures" in tables else None,
        advice="They are delivered again by themselves: coinswarm consume",
    )
    hidden = (
        f"(lease <> 0 AND visible_at > {now_ms + QUEUES.visibility_timeout_ms})"
        f" OR visible_at > {now_ms + QUEUES.delay_seconds * 1000}"
    )
    yield Rule(
        "ahead",
        "messages that are hidden for longer than a lease or delay may last: the clock was ahead",
        "messages",
        hidden,
        ("seq", "queue", "lease", "visible_at"),
        Change(
            "messages",
            hidden,
            ("lease", "visible_at"),
            "seq",
            (f"UPDATE messages SET lease = 0, visible_at = {now_ms} WHERE {hidden}",),
        ),
        advice="They come by themselves at that time by the clock of now. If a consumer is at work, stop it first.",
    )
    yield Rule(
        "no-body",
        "messages without a body: they can never be delivered",
        "messages",
        f"NOT {_BODY.format('messages')}",
        ("seq", "queue", "stored_ms", "attempts"),
        Move("messages", f"NOT {_BODY.format('messages')}", (_TOTALS,)),
    )
    lost = "queue NOT IN (SELECT number FROM queues)"
    yield Rule(
        "no-queue",
        "messages of a queue that does not exist",
        "messages",
        lost,
        ("seq", "queue", "stored_ms"),
        Move("messages", lost),
        advice="The bodies stay, and are then found under no-message.",
    )
    resized = f"UPDATE messages SET bytes = {_LENGTH} WHERE bytes <> {_LENGTH}"
    yield Rule(
        "sizes",
        "messages whose size is not that of their body",
        "messages",
        f"bytes <> {_LENGTH}",
        ("seq", "queue", "bytes"),
        Change("messages", f"bytes <> {_LENGTH}", ("bytes",), "seq", (resized,), (_TOTALS,)),
    )
    yield Rule(
        "counters",
        "queues whose backlog or bytes are not those of their messages",
        "queues",
        _WRONG_TOTALS,
        ("number", "name", "backlog", "bytes"),
        Change("queues", _WRONG_TOTALS, ("backlog", "bytes"), "number", (_TOTALS,)),
    )
    for kind, table, columns in (
        ("no-message", "bodies", ("seq", "id", "sent_ms")),
        ("orphan-failures", "failures", ("seq", "reason", "last_ms")),
        ("orphan-dead-letters", "dead_letters", ("seq", "source", "reason")),
    ):
        if table in tables:
            orphaned = f"NOT {_MESSAGE.format(table)}"
            yield Rule(kind, f"rows of {table} without their message", table, orphaned, columns, Move(table, orphaned))
    if "sequence" in tables:
        behind = "next <= (SELECT ifnull(max(seq), 0) FROM messages)"
        yield Rule(
            "sequence",
            "the number of the next message is already taken: sending would fail",
            "sequence",
            behind,
            ("next",),
            Change(
                "sequence",
                behind,
                ("next",),
                "rowid",
                ("UPDATE sequence SET next = max(next, (SELECT ifnull(max(seq), 0) + 1 FROM messages))",),
            ),
        )


def unreadable(connection: sqlite3.Connection, tables: dict[str, dict[str, str]]) -> Finding | None:
    """Bodies that hold no sound candles. Dead letters are left out: that is why they are there."""
    known = " WHERE m.seq NOT IN (SELECT seq FROM dead_letters)" if "dead_letters" in tables else ""
    count = 0
    found: list[dict[str, Any]] = []
    cursor = connection.execute(_WAITING + known)
    while some := cursor.fetchmany(_BODIES_AT_ONCE):
        if decode_together((row[3] for row in some), taken_ms=min(row[2] for row in some)) is not None:
            continue
        for seq, message_id, sent_ms, body, queue in some:
            reason = _fault(body, sent_ms)
            if reason is None:
                continue
            count += 1
            if len(found) < EXAMPLES:
                found.append({"queue": queue, "id": message_id, "seq": seq, "reason": reason})
    if not count:
        return None
    return Finding(
        "bodies",
        "messages whose bodies hold no sound candles",
        count,
        tuple(found),
        advice="Consuming dead-letters them with their reason, and nothing is lost: coinswarm consume",
    )


def _fault(body: Any, sent_ms: int) -> str | None:
    try:
        faults = decode(bytes(body) if isinstance(body, bytes) else str(body).encode(), taken_ms=sent_ms).faults
    except InvalidPayload as error:
        return error.message
    return faults[0] if faults else None


def _ended_leases(now_ms: int) -> Change:
    """As the queue itself ends them when it next delivers: the time-out is noted, the attempt stays counted."""
    held = f"lease <> 0 AND visible_at <= {now_ms}"
    return Change(
        "messages",
        held,
        ("lease", "visible_at"),
        "seq",
        (
            f"{_TIMED_OUT} SELECT seq, 1, visible_at, visible_at FROM messages WHERE {held} {_ONCE_MORE}",
            f"UPDATE messages SET lease = 0 WHERE {held}",
        ),
    )
