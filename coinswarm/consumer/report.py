"""What a consumer says it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from coinswarm.candles import COLUMNS
from coinswarm.consumer.rows import Conflict

CONFLICTS_NAMED: Final = 10
REASONS_KEPT: Final = 20
OTHER_REASONS: Final = "other reasons"


@dataclass(slots=True)
class RowCounts:
    """Rows of settled messages: `received` = `inserted` + `duplicate` + `rejected`."""

    received: int = 0
    inserted: int = 0
    duplicate: int = 0
    """Already in the table, or twice in one batch."""
    rejected: int = 0
    """In messages that went to the dead-letter queue, with the reason."""


@dataclass(slots=True)
class ConsumeReport:
    """What one `drain` did. Messages are counted by delivery: one that is retried counts again when it comes back."""

    messages: int = 0
    acked: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    """Deleted after their last retry, for want of a dead-letter queue."""
    expired: int = 0
    """Deleted while this ran because they were older than the queue's retention period."""
    timed_out: int = 0
    """Taken over from a consumer that died or hangs: their delivery before was not settled in time."""
    released: int = 0
    """Given back unread when a fatal error ended the run."""
    stale: int = 0
    """Settled too late: their lease was over and they were delivered again."""
    rows: RowCounts = field(default_factory=RowCounts)
    conflicts: int = 0
    """Duplicates whose values differ from the row that is stored; that row was not touched."""
    conflict_examples: list[Conflict] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why messages were dead-lettered or dropped, with how many."""
    dead_letters: Counter[str] = field(default_factory=Counter)
    """Those of them that were dead-lettered."""
    paused: bool = False
    """It ended because delivery from the queue is paused."""
    rows_written: int = 0
    """Billed: one a row for the table and one for each of its indexes."""
    batches: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    """It was asked to stop before the queue was empty."""

    @property
    def rows_per_second(self) -> float:
        """Rows that are in the table now, new or not."""
        return (self.rows.inserted + self.rows.duplicate) / self.seconds if self.seconds > 0 else 0.0

    def add_conflicts(self, conflicts: list[Conflict]) -> None:
        self.conflicts += len(conflicts)
        self.conflict_examples += conflicts[: max(0, CONFLICTS_NAMED - len(self.conflict_examples))]

    def add_reason(self, reason: str, count: int = 1, *, dropped: bool = False) -> None:
        """Reasons name rows and values, so that there may be as many as messages: the first ones are kept."""
        known = reason in self.reasons or len(self.reasons) < REASONS_KEPT
        kept = reason if known else OTHER_REASONS
        self.reasons[kept] += count
        if not dropped:
            self.dead_letters[kept] += count

    def figures(self) -> dict[str, Any]:
        """What the log keeps of a run."""
        return {
            "messages": self.messages,
            "acked": self.acked,
            "retried": self.retried,
            "dead_lettered": self.dead_lettered,
            "dropped": self.dropped,
            "expired": self.expired,
            "timed_out": self.timed_out,
            "inserted": self.rows.inserted,
            "duplicate": self.rows.duplicate,
            "rejected": self.rows.rejected,
            "interrupted": self.interrupted,
        }

    def as_json(self) -> dict[str, Any]:
        """The document of `coinswarm consume --json`."""
        return {
            "messages": self.messages,
            "acked": self.acked,
            "retried": self.retried,
            "dead_lettered": self.dead_lettered,
            "dropped": self.dropped,
            "expired": self.expired,
            "timed_out": self.timed_out,
            "released": self.released,
            "stale": self.stale,
            "rows": {
                "received": self.rows.received,
                "inserted": self.rows.inserted,
                "duplicate": self.rows.duplicate,
                "rejected": self.rows.rejected,
            },
            "conflicts": self.conflicts,
            "conflict_examples": [_conflict_as_json(conflict) for conflict in self.conflict_examples],
            "reasons": dict(self.reasons),
            "dead_letters": [{"reason": why, "messages": n} for why, n in self.dead_letters.most_common()],
            "rows_written": self.rows_written,
            "batches": self.batches,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second),
            "notes": self.notes,
            "interrupted": self.interrupted,
        }


def _conflict_as_json(conflict: Conflict) -> dict[str, Any]:
    stored = dict(zip(COLUMNS, conflict.stored, strict=True))
    offered = dict(zip(COLUMNS, conflict.offered, strict=True))
    key = {name: stored[name] for name in ("symbol", "timeframe", "source", "timestamp")}
    return key | {
        "stored": {name: value for name, value in stored.items() if name not in key},
        "offered": {name: value for name, value in offered.items() if name not in key},
    }
