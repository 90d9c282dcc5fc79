"""What an episode left behind, read from its files by nothing but SQL: the product's own view is not asked."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from coinswarm.candles import COLUMNS, Row
from coinswarm.chaos.witness import WITNESS
from coinswarm.storage import connect

_WRAPPING: Final = "coinswarm_dead_letter"


class Letter(NamedTuple):
    """A message in the dead-letter queue."""

    body: bytes
    reason: str | None
    copy: bool = False
    """Sent there over HTTP, wrapped up, before its original was acknowledged; else it was moved, as a whole."""


class Gone(NamedTuple):
    """A message that left the queue file."""

    body: bytes
    why: str | None
    """As `witness` has it; None for one that nothing explains."""
    copy: bool = False
    """It was a dead letter's copy."""


@dataclass(slots=True)
class Evidence:
    rows: list[Row] = field(default_factory=list)
    """`price_data`, every row as it is found in the table and not in an index."""
    queued: list[bytes] = field(default_factory=list)
    """Bodies still in the queue."""
    letters: list[Letter] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    expired: int = 0
    """Messages that all queues say they deleted for their age."""
    notes: int = 0
    migrations: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What the files themselves are wrong about: damage, counters out of step, rows without a partner."""


def gather(database: Path, queues: Path, queue: str, letters: str) -> Evidence:
    """Read both files. They are private to the episode, and nobody else has them open."""
    found = Evidence()
    with closing(connect(database, create=False)) as opened:
        _check_file(opened, "D1", found)
        columns = ", ".join(COLUMNS)
        hint = "" if _without_rowid(opened) else "NOT INDEXED"
        found.rows = opened.execute(f"SELECT {columns} FROM price_data {hint}").fetchall()
        (found.notes,) = opened.execute("SELECT count(*) FROM notes").fetchone()
        found.migrations = [name for (name,) in opened.execute("SELECT name FROM d1_migrations ORDER BY id")]
    with closing(connect(queues, create=False)) as opened:
        _check_file(opened, "queue", found)
        _check_counters(opened, found)
        bodies = (
            "SELECT b.body, d.reason FROM messages m JOIN bodies b USING (seq) LEFT JOIN dead_letters d USING (seq) "
        )
        place = "JOIN queues q ON q.number = m.queue WHERE q.name = ? ORDER BY seq"
        found.queued = [body for body, _ in opened.execute(bodies + place, (queue,))]
        found.letters = [_unwrapped(*row) for row in opened.execute(bodies + place, (letters,))]
        gone = opened.execute(f"SELECT body, why FROM {WITNESS} ORDER BY seq")
        found.gone = [_gone(*row) for row in gone]
        (found.expired,) = opened.execute("SELECT ifnull(sum(expired), 0) FROM usage").fetchone()
    return found


def _unwrapped(body: bytes, reason: str | None) -> Letter:
    """Over HTTP a dead letter carries its reason in its own body, around what it was."""
    try:
        wrapped = json.loads(body)
        return Letter(wrapped["body"].encode(), wrapped[_WRAPPING]["reason"], copy=True)
    except (ValueError, KeyError, TypeError):
        return Letter(body, reason)


def _gone(body: bytes, why: str | None) -> Gone:
    letter = _unwrapped(body, None)
    return Gone(letter.body, why, letter.copy)


def _check_file(opened: sqlite3.Connection, name: str, found: Evidence) -> None:
    problems = [text for (text,) in opened.execute("PRAGMA integrity_check")]
    if problems != ["ok"]:
        found.faults.append(f"the {name} file is damaged: {'; '.join(problems[:3])}")


def _check_counters(opened: sqlite3.Connection, found: Evidence) -> None:
    counted = opened.execute(
        "SELECT q.name, q.backlog, q.bytes, count(m.seq), ifnull(sum(m.bytes), 0), count(b.seq) FROM queues q "
        "LEFT JOIN messages m ON m.queue = q.number LEFT JOIN bodies b ON b.seq = m.seq GROUP BY q.number"
    )
    for name, backlog, size, messages, summed, bodies in counted:
        if (backlog, size, bodies) != (messages, summed, messages):
            says, holds = f"{backlog} messages of {size} bytes", f"{messages} of {summed}, {bodies} bodies"
            found.faults.append(f"queue {name} says {says} and holds {holds}")
    (orphans,) = opened.execute("SELECT count(*) FROM bodies WHERE seq NOT IN (SELECT seq FROM messages)").fetchone()
    if orphans:
        found.faults.append(f"{orphans} bodies belong to no message")


def _without_rowid(opened: sqlite3.Connection) -> bool:
    (sql,) = opened.execute("SELECT sql FROM sqlite_schema WHERE name = 'price_data'").fetchone()
    return "WITHOUT ROWID" in sql.upper()
