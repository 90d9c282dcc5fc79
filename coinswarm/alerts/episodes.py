"""What is known of each alert from one check to the next: since when, and who was told.

An alert is judged and told in one transaction: two checks at once tell a thing once, and a check that is killed before
it has committed tells it again. At least once, and in the normal course exactly once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from coinswarm.alerts.rules import Finding
from coinswarm.log.file import iso_ms
from coinswarm.storage import connect, transaction, translated

State = Literal["quiet", "pending", "firing", "resolved"]

_BUSY_SECONDS: Final = 60.0
"""Another check may be waiting for a webhook."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS episodes (
    alert TEXT PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    told_ms INTEGER
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert as it stands after a check."""

    finding: Finding
    state: State
    since_ms: int | None
    """When its limit was first seen exceeded."""
    told: bool = False
    """Whether this check told somebody."""
    undelivered: tuple[str, ...] = ()
    """Why somebody could not be told; the next check tries again."""

    def as_json(self) -> dict[str, Any]:
        since = None if self.since_ms is None else iso_ms(self.since_ms)
        state = {"state": self.state, "since": since, "told": self.told, "undelivered": list(self.undelivered)}
        return self.finding.as_json() | state


Deliver = Callable[[Episode], list[str]]
"""Tells everybody of an alert that fires or is resolved; returns why, where somebody could not be told."""


def episodes_file(state_dir: Path) -> Path:
    return state_dir / "v3" / "coinswarm" / "alerts.sqlite"


def check(path: Path, findings: Iterable[Finding], now_ms: int, deliver: Deliver) -> list[Episode]:
    """Bring the episodes up to date with what was found, and tell of those that begin or end. Raises `StorageError`."""
    episodes = []
    with closing(connect(path, busy_timeout=_BUSY_SECONDS)) as connection, translated(path):
        connection.execute(_SCHEMA)
        for finding in findings:
            with transaction(connection):
                episodes.append(_step(connection, finding, now_ms, deliver))
    return episodes


def known(path: Path, findings: Iterable[Finding], now_ms: int) -> list[Episode]:
    """The same without telling anybody or noting anything."""
    with _reading(path) as connection:
        return [_judged(finding, _row(connection, finding.alert), now_ms) for finding in findings]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    if not path.exists():
        yield None
        return
    with closing(connect(path, create=False)) as connection, translated(path):
        yield connection


def _row(connection: sqlite3.Connection | None, alert: str) -> tuple[int, int | None] | None:
    if connection is None:
        return None
    found = connection.execute("SELECT since_ms, told_ms FROM episodes WHERE alert = ?", (alert,)).fetchone()
    return None if found is None else (found[0], found[1])


def _judged(finding: Finding, row: tuple[int, int | None] | None, now_ms: int) -> Episode:
    if not finding.exceeded:
        was_told = row is not None and row[1] is not None
        return Episode(finding, "resolved" if was_told else "quiet", row[0] if row and was_told else None)
    since = row[0] if row else now_ms
    fires = now_ms - since >= finding.lasting_ms or (row is not None and row[1] is not None)
    return Episode(finding, "firing" if fires else "pending", since)


def _step(connection: sqlite3.Connection, finding: Finding, now_ms: int, deliver: Deliver) -> Episode:
    row = _row(connection, finding.alert)
    episode = _judged(finding, row, now_ms)
    if episode.state == "quiet":
        connection.execute("DELETE FROM episodes WHERE alert = ?", (finding.alert,))
        return episode
    if row is None:
        connection.execute("INSERT INTO episodes (alert, since_ms) VALUES (?, ?)", (finding.alert, now_ms))
    if episode.state == "pending" or (episode.state == "firing" and row is not None and row[1] is not None):
        return episode
    problems = deliver(episode)
    if problems:
        return Episode(finding, episode.state, episode.since_ms, told=False, undelivered=tuple(problems))
    if episode.state == "resolved":
        connection.execute("DELETE FROM episodes WHERE alert = ?", (finding.alert,))
    else:
        connection.execute("UPDATE episodes SET told_ms = ? WHERE alert = ?", (now_ms, finding.alert))
    return Episode(finding, episode.state, episode.since_ms, told=True)
