"""What one run of the plan did, source by source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from coinswarm.errors import CoinswarmError

FAILURES_LISTED: Final = 50
"""Failed series told one by one; `failed` counts them all."""


@dataclass(slots=True)
class SourceStatus:
    """How one source did."""

    source: str
    series: int
    """How many the plan has of it."""
    candles: int = 0
    """Queued."""
    collected: int = 0
    """Series that sent candles."""
    requests: int = 0
    unfinished: int = 0
    """Candles not queued because their bucket was still open."""
    failed: int = 0
    """Series without candles, those included that were not asked for any more."""
    failures: list[str] = field(default_factory=list)
    """Series and reason of the first of them."""
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.failed == 0

    def fail(self, series: str, why: str, *, count: int = 1) -> None:
        """Note that `count` series did not come; errors of a source begin with its name, which is known here."""
        why = why.removeprefix(f"{self.source}: ")
        self.failed += count
        if len(self.failures) < FAILURES_LISTED:
            self.failures.append(f"{series}: {why}")

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "series": self.series,
            "collected": self.collected,
            "failed": self.failed,
            "candles": self.candles,
            "requests": self.requests,
            "failures": self.failures,
            "notes": self.notes,
        }


@dataclass(slots=True)
class CollectReport:
    """What one run did. Every candle it fetched is queued or counted."""

    at_ms: int
    """The fire it was made for: no candle that closed later is in it."""
    sources: dict[str, SourceStatus]
    candles: int = 0
    """Queued."""
    messages: int = 0
    oldest: int | None = None
    """Unix seconds, as `newest`: the opens of the candles queued."""
    newest: int | None = None
    skipped: int = 0
    """Fetched and not queued: still open, invalid, before the listing, not asked for."""
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        return not self.interrupted and all(status.ok for status in self.sources.values())

    @property
    def failed(self) -> list[str]:
        """The sources that did not bring all."""
        return [status.source for status in self.sources.values() if not status.ok]

    @property
    def message(self) -> str:
        """One line for people and for the history of runs."""
        done = f"Queued {self.candles} candles in {self.messages} messages"
        if self.failed:
            done += f"; failed: {', '.join(self.failed)}"
        return done + ("; interrupted" if self.interrupted else "")

    def figures(self) -> dict[str, Any]:
        """What the log tells of it, and how it ended."""
        return {
            "candles": self.candles,
            "messages": self.messages,
            "failed_sources": self.failed or None,
            "interrupted": self.interrupted,
            "failure": self.error(),
        }

    def error(self) -> PlanFailed | None:
        """What the run as a whole ends with, None when every source brought all."""
        if not self.failed:
            return None
        first = next(f"{s.source}: {failure}" for s in self.sources.values() for failure in s.failures)
        return PlanFailed(f"{self.message}. First: {first}")

    def as_json(self) -> dict[str, Any]:
        """`inserted` is the seed system's word for queued; `error` is there when a source failed."""
        document: dict[str, Any] = {
            "success": self.ok,
            "at": self.at_ms // 1000,
            "inserted": self.candles,
            "messages": self.messages,
            "message": self.message,
            "oldest": self.oldest,
            "newest": self.newest,
            "skipped": self.skipped,
            "sources": {name: status.as_json() for name, status in self.sources.items()},
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
        }
        error = self.error()
        return document if error is None else document | error.as_json()


class PlanFailed(CoinswarmError):
    """A source did not bring what the plan asks of it; the others did."""

    default_hint = "What the others brought is queued; the next run asks again. `coinswarm cron run` tries at once."
