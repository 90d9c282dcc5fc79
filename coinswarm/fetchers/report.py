"""What a fetch is asked for, and what it says it did."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from coinswarm.candles import LATEST, Pair, Span, Timeframe
from coinswarm.errors import UsageError
from coinswarm.fetchers.base import Skipped
from coinswarm.payload import ROWS_PER_MESSAGE

PAGE_CANDLES: Final = 2000
"""Candles a page has unless told otherwise: CryptoCompare's most, and the seed system's."""
GAPS_LISTED: Final = 100_000
"""Gaps kept one by one; a thinly traded market of minutes has millions, and the report must not outgrow memory."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """The closed candles of a series that opened at or before `to_ts`, newest page first.

    Times are unix seconds. `pages` None means until the source has no more (or `since` is reached).
    Raises `UsageError` for values that cannot be meant.
    """

    pair: Pair
    timeframe: Timeframe
    limit: int = PAGE_CANDLES
    """Candles a page."""
    to_ts: int | None = None
    """None: now."""
    since: int | None = None
    pages: int | None = 1
    rows_per_message: int = ROWS_PER_MESSAGE
    dry_run: bool = False
    """Fetch and count, queue nothing."""
    flags: tuple[str, ...] = ()
    """Flags that say where and not what, such as `--persist-to DIR`: the command that continues repeats them."""

    def __post_init__(self) -> None:
        for name, value in (
            ("--limit", self.limit),
            ("--pages", self.pages),
            ("--rows-per-message", self.rows_per_message),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        for name, moment in (("--to-ts", self.to_ts), ("--since", self.since)):
            if moment is not None and not 0 <= moment < LATEST:
                raise UsageError(
                    f"{name} {moment} is not a time in unix seconds",
                    hint="It looks like milliseconds: divide by 1000." if moment >= LATEST else None,
                )
        if self.since is not None and self.to_ts is not None and self.since > self.to_ts:
            raise UsageError(f"--since ({iso(self.since)}) is later than --to-ts ({iso(self.to_ts)})")

    def from_cursor(self, cursor: int, pages_done: int) -> FetchRequest:
        """What is left of this request when `pages_done` pages are queued and the next open wanted is `cursor`.

        When nothing is left of it, the next step back through history: as many pages again, or one beyond `since`.
        """
        if self.since is not None and cursor < self.since:
            return replace(self, to_ts=cursor, since=None, pages=self.pages or 1)
        pages = self.pages
        if pages is not None and pages > pages_done:
            pages -= pages_done
        return replace(self, to_ts=cursor, pages=pages)

    def command(self, source: str) -> str:
        """The command line that asks for exactly this."""
        words = ["coinswarm", "fetch", self.pair.symbol, "--source", source, "--timeframe", self.timeframe.value]
        if self.to_ts is not None:
            words += ["--to-ts", str(self.to_ts)]
        if self.since is not None:
            words += ["--since", str(self.since)]
        if self.limit != PAGE_CANDLES:
            words += ["--limit", str(self.limit)]
        if self.pages is None and self.since is None:
            words += ["--all"]
        elif self.pages is not None and (self.pages > 1 or self.since is not None):
            words += ["--pages", str(self.pages)]
        if self.rows_per_message != ROWS_PER_MESSAGE:
            words += ["--rows-per-message", str(self.rows_per_message)]
        if self.dry_run:
            words += ["--dry-run"]
        words += self.flags
        return shlex.join(words)


@dataclass(slots=True)
class FetchReport:
    """What one `collect` did. Every candle fetched is either queued or counted in `skipped`."""

    source: str
    request: FetchRequest
    queued: int = 0
    """Candles."""
    messages: int = 0
    oldest: int | None = None
    """Open of the oldest queued candle."""
    newest: int | None = None
    pages: int = 0
    """Pages completely queued."""
    next_to_ts: int | None = None
    """The newest open not yet asked for; None when the source has nothing older."""
    skipped: Skipped = field(default_factory=Skipped)
    gaps: list[Span] = field(default_factory=list)
    """Missing grid positions between the queued candles, newest first."""
    missing: int = 0
    """How many positions the gaps hold."""
    requests: int = 0
    notes: list[str] = field(default_factory=list)
    incomplete: str | None = None
    """Why a part of what was asked for by time cannot be had from this source at all."""
    interrupted: bool = False
    """It was asked to stop before it was done."""

    @property
    def message(self) -> str:
        verb = "Would queue" if self.request.dry_run else "Queued"
        return f"{verb} {self.queued} candles for {self.request.pair.symbol} in {self.messages} messages"

    @property
    def next_trigger(self) -> str | None:
        """The command line that continues: with what is left of the request, else further back."""
        if self.next_to_ts is None:
            return None
        return self.request.from_cursor(self.next_to_ts, self.pages).command(self.source)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def explain_limit(self, note: str, oldest: int | None) -> None:
        """Say so when a time was asked for that lies before `oldest`, the first of all the source keeps."""
        since, to_ts = self.request.since, self.request.to_ts
        if oldest is None:
            missed = since is not None or to_ts is not None
        else:
            before = oldest - 1 - (oldest - 1) % self.request.timeframe.grid
            missed = (since is not None and before >= since) or (to_ts is not None and to_ts < oldest)
        if missed:
            when = "so old" if oldest is None else f"before {iso(oldest)}"
            self.incomplete = f"{note.rstrip('.')}; nothing {when} can be had"

    def doubt_nothing(self, newest: int) -> None:
        """Say so when a source that knows the pair had no candle of it at all up to `newest`: it is never "no data".

        Before a time that was asked for there may truly be none; up to now there are, or the source does not work.
        """
        skipped = self.skipped
        if self.queued or self.incomplete or skipped.unfinished or skipped.invalid or skipped.outside:
            return
        said = f"{self.source} lists {self.request.pair.symbol}, but sends no closed candle of it"
        if self.request.to_ts is None:
            self.incomplete = f"{said} up to now: try again later, or take another --source"
        else:
            self.note(f"{said} up to {iso(newest)}: right if trading began later, else try again")

    def add_gap(self, gap: Span) -> None:
        self.missing += (gap.last - gap.first) // self.request.timeframe.seconds + 1
        if len(self.gaps) < GAPS_LISTED:
            self.gaps.append(gap)
        else:
            self.note(f"more than {GAPS_LISTED} gaps: only the newest are listed, `missing` counts them all")

    def as_json(self) -> dict[str, Any]:
        """The document of `coinswarm fetch --json`; `inserted` is the seed system's word for queued."""
        return {
            "source": self.source,
            "symbol": self.request.pair.symbol,
            "timeframe": self.request.timeframe.value,
            "inserted": self.queued,
            "messages": self.messages,
            "message": self.message,
            "oldest": self.oldest,
            "newest": self.newest,
            "next_toTs": self.next_to_ts,
            "next_trigger": self.next_trigger,
            "skipped": {
                "unfinished": self.skipped.unfinished,
                "before_listing": self.skipped.before_listing,
                "invalid": self.skipped.invalid,
                "duplicate": self.skipped.duplicate,
                "outside": self.skipped.outside,
            },
            "examples": self.skipped.examples,
            "gaps": [[gap.first, gap.last] for gap in reversed(self.gaps)],
            "missing": self.missing,
            "requests": self.requests,
            "pages": self.pages,
            "dry_run": self.request.dry_run,
            "notes": self.notes,
            "incomplete": self.incomplete,
            "interrupted": self.interrupted,
        }


def iso(timestamp: int) -> str:
    """Unix seconds as ISO 8601, UTC."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
