"""What a plan uses, run by run: exact for queue operations, requests and rows written. Pure.

A run is one fire of a cron trigger: the newest closed candles of every series are queued and stored. Most of them are
stored already, and only those that closed since the run before are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from coinswarm.cost.bill import Use

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Group:
    """Series that share a timeframe."""

    seconds: int
    """The length of its candles."""
    series: int
    candles: int
    """Of each series, in every run."""

    @property
    def points(self) -> int:
        return self.series * self.candles

    def new(self, now_ms: int, before_ms: int | None) -> int:
        """How many of a run's candles the run before has not brought; all of them in the first."""
        if before_ms is None:
            return self.points
        closed = now_ms // 1000 // self.seconds - before_ms // 1000 // self.seconds
        return self.series * min(self.candles, closed)


@dataclass(frozen=True, slots=True)
class Run:
    """What every run does alike."""

    groups: tuple[Group, ...]
    messages: int
    operations: int
    """Of the queue: each message is written, read and deleted."""
    batches: int
    """Handed to the consumer; each is an invocation of it."""
    statements: int
    """That store the candles, in all batches."""
    cpu_ms: int
    """Of all its invocations together."""

    @property
    def points(self) -> int:
        return sum(group.points for group in self.groups)

    @property
    def requests(self) -> int:
        """The invocation by the cron trigger, and those of the consumer."""
        return 1 + self.batches


@dataclass(frozen=True, slots=True)
class Table:
    """What storing costs in a table: measured by storing into one like it."""

    per_row: int
    """Billed rows written for each new one: itself and every index."""
    per_statement: int
    """Billed besides for every statement, written and read, even if it stores nothing: AUTOINCREMENT's counter."""
    bytes_per_row: float
    stored_bytes: int
    """What the database holds today."""
    origin: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One run, and what it uses."""

    at_ms: int
    new_rows: int
    use: Use


def month(fires: Sequence[int], run: Run, table: Table) -> list[Moment]:
    """What is used at each of `fires` (ms, ascending), beginning with a table that holds none of the candles.

    `rows_read` is the most that coinswarm's consumer reads: it looks up every row that may have been there.
    """
    moments: list[Moment] = []
    before: int | None = None
    stored = float(table.stored_bytes)
    counters = run.statements * table.per_statement
    for at in fires:
        new = sum(group.new(at, before) for group in run.groups)
        stored += new * table.bytes_per_row
        use = Use(
            requests=run.requests,
            cpu_ms=run.cpu_ms,
            queue_operations=run.operations,
            rows_read=(run.points if new < run.points else 0) + counters,
            rows_written=new * table.per_row + counters,
            stored_bytes=round(stored),
        )
        moments.append(Moment(at, new, use))
        before = at
    return moments


def total(moments: Sequence[Moment], stored_bytes: int = 0) -> Use:
    """All of them together; `stored_bytes` is what is stored where there are none."""
    uses = [moment.use for moment in moments]
    return Use(
        sum(use.requests for use in uses),
        sum(use.cpu_ms for use in uses),
        sum(use.queue_operations for use in uses),
        sum(use.rows_read for use in uses),
        sum(use.rows_written for use in uses),
        uses[-1].stored_bytes if uses else stored_bytes,
    )


def day_of(at_ms: int) -> str:
    """`YYYY-MM-DD`, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def clock_of(at_ms: int) -> str:
    """`HH:MM`, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M")
