"""What Cloudflare would have billed for, counted by its rules in the same transactions as the work itself.

https://developers.cloudflare.com/queues/platform/pricing/: every started 64,000 bytes (body and about 100 bytes of
metadata) of a message written, read or deleted is one operation; so is a purge. A delivery is a read, so every retry is
one more. A move to a dead-letter queue is a write there. A message that expires was written and is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coinswarm.limits import QUEUES
from coinswarm.pricing import QUEUE_OPERATION_BYTES, operations
from coinswarm.queue.file import QueueFile
from coinswarm.queue.statements import load
from coinswarm.queue.types import Departures

SQL: Final = load("usage.sql")
ONE_OPERATION_BYTES: Final = QUEUE_OPERATION_BYTES - QUEUES.metadata_bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """One queue on one day, UTC."""

    day: str
    """`YYYY-MM-DD`."""
    queue: str
    """The name the queue had then."""
    writes: int
    reads: int
    deletes: int
    purges: int
    sent: int
    """Messages, from here on."""
    delivered: int
    """Deliveries: a message retried twice counts three times."""
    acked: int
    retried: int
    dead_lettered: int
    """Messages that left this queue as dead letters."""
    dropped: int
    expired: int
    empty_leases: int
    """Leases that brought nothing: free here, one read each for a pull consumer at Cloudflare."""

    @property
    def operations(self) -> int:
        """What is billed."""
        return self.writes + self.reads + self.deletes + self.purges


def billed(sizes: Sequence[int]) -> int:
    """Operations for writing, reading or deleting messages with bodies of these sizes, once each."""
    if not sizes or max(sizes) <= ONE_OPERATION_BYTES:
        return len(sizes)
    return sum(map(operations, sizes))


def record(
    file: QueueFile,
    queue: str,
    now_ms: int,
    *,
    writes: int = 0,
    reads: int = 0,
    deletes: int = 0,
    purges: int = 0,
    sent: int = 0,
    delivered: int = 0,
    acked: int = 0,
    retried: int = 0,
    dead_lettered: int = 0,
    dropped: int = 0,
    expired: int = 0,
    empty_leases: int = 0,
) -> None:
    """Add to the day's row, inside the caller's transaction."""
    counts = (writes, reads, deletes, purges, sent, delivered, acked, retried, dead_lettered, dropped, expired)
    file.execute(SQL["record"], (now_ms, queue, *counts, empty_leases))


def rows(file: QueueFile, *, since: str, until: str, queue: str | None) -> list[Usage]:
    """Rows of the days from `since` to `until`, both inclusive, of one queue or of all."""
    with file.reading():
        found = file.execute(SQL["rows"], {"since": since, "until": until, "queue": queue}).fetchall()
    return [Usage(*row) for row in found]


def departures(file: QueueFile, number: int, name: str) -> Departures:
    """All days together, of a queue that was opened as `name`."""
    with file.reading():
        return Departures(*file.execute(SQL["departures"], {"number": number, "name": name}).fetchone())
