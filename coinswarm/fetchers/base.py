"""What every exchange fetcher offers, and what one page of candles is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coinswarm.candles import Candle, Pair, Timeframe


@dataclass(slots=True)
class Skipped:
    """Candles that were fetched and not queued, by reason. Nothing else disappears."""

    unfinished: int = 0
    """The bucket was still open."""
    before_listing: int = 0
    """All prices zero: the source fills the time before the first trade, and holes in trading, with such rows."""
    invalid: int = 0
    """Broke a rule of `candles.fault`; `examples` names the first few."""
    duplicate: int = 0
    """The same open came twice, on one page or on two."""
    outside: int = 0
    """Sent by the source though not asked for: before `since`, after `to_ts`, beyond the limit."""
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The newest `limit` candles of a series that opened at or before `to_ts` (unix seconds)."""

    pair: Pair
    timeframe: Timeframe
    to_ts: int
    limit: int


@dataclass(slots=True)
class Page:
    """One reply: every row the source sent, as candles ascending by open, unchecked.

    `exhausted` is proof from the source that nothing older exists (a short page is none). `covers_from` is the oldest
    open the reply speaks for, present or not, so that paging can move through times without trades. `committed_to` is
    the newest open the source calls final, where it says so.
    """

    candles: Sequence[Candle]
    covers_from: int
    exhausted: bool = False
    committed_to: int | None = None
    as_of: float | None = None
    """Unix seconds for which the reply speaks, by the source's own clock (HTTP `Date` less the reply's age in caches):
    guards against a local clock ahead and against a cached page, whose last candle was still running."""
    note: str | None = None
    """Why older history cannot be had, in words for the report: who asked for an older time did not get it."""
    remark: str | None = None
    """Anything else the report should say of the series; nothing is missing because of it."""
    malformed: Sequence[str] = ()
    """Rows that could not be read as numbers, each with its reason; counted as invalid."""
    requests: int = 1


class Fetcher(Protocol):
    """One exchange API. `page` brings one page and never loops over a series: paging exists in `producer.py` alone."""

    @property
    def source(self) -> str:
        """The stored name, for example `binance`."""
        ...

    @property
    def timeframes(self) -> Sequence[Timeframe]: ...

    def page_limit(self, timeframe: Timeframe) -> int:
        """Most candles one page can bring. Raises `UnsupportedTimeframe`, naming the ones there are."""
        ...

    def page(self, request: PageRequest) -> Page:
        """Raises a `SourceError`; retryable ones have already been retried by the transport."""
        ...
