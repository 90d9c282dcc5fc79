"""A source whose market and manners are written down in the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coinswarm.candles import Candle, Timeframe
from coinswarm.errors import SourceError
from coinswarm.fetchers.base import Page, PageRequest

STEP = 3600
NOW = 1_700_000_000
"""22:13:20: the bucket of 22:00 is still open, the newest closed candle opened at 21:00."""
NEWEST_CLOSED = NOW // STEP * STEP - STEP


def candle(opens: int, close: float = 105.0, **changes: object) -> Candle:
    values: dict[str, object] = {
        "symbol": "BTC-USDC",
        "timestamp": opens,
        "timeframe": "1h",
        "open": 100.0,
        "high": 110.0,
        "low": 90.0,
        "close": close,
        "volume_from": 1.5,
        "volume_to": 150.0,
        "source": "scripted",
    }
    return Candle(**(values | changes))  # type: ignore[arg-type]


def hours(count: int, newest: int = NEWEST_CLOSED) -> list[Candle]:
    """`count` sound hours that end with `newest`, ascending."""
    return [candle(newest - i * STEP) for i in reversed(range(count))]


@dataclass
class ScriptedFetcher:
    """Serves `market` as Binance would: the newest `limit` rows up to `to_ts`, empty when there is nothing older.

    `before` may raise for the n-th request, `alter` may change a page on its way out.
    """

    market: Sequence[Candle]
    most: int = 1000
    overlap: int = 0
    """Rows newer than asked for that every page repeats."""
    extra: int = 0
    """Rows older than asked for that come along."""
    running: Candle | None = None
    before: Callable[[int], None] = lambda n: None
    alter: Callable[[Page], Page] = lambda page: page
    source: str = "scripted"
    timeframes: Sequence[Timeframe] = tuple(Timeframe)
    asked: list[PageRequest] = field(default_factory=list)
    rows_sent: int = 0

    def page_limit(self, timeframe: Timeframe) -> int:
        return self.most

    def page(self, request: PageRequest) -> Page:
        assert 1 <= request.limit <= self.most
        self.asked.append(request)
        self.before(len(self.asked))
        upto = [c for c in self.market if c.timestamp <= request.to_ts]
        newer = [c for c in self.market if c.timestamp > request.to_ts][: self.overlap]
        rows = upto[-(request.limit + self.extra) :] + newer
        if self.running is not None:
            rows = [*rows, self.running]
        covers_from = upto[-request.limit :][0].timestamp if upto else request.to_ts
        page = self.alter(Page(rows, covers_from=covers_from, exhausted=not upto))
        self.rows_sent += len(page.candles) + len(page.malformed)
        return page


def failing_at(number: int, error: SourceError) -> Callable[[int], None]:
    """A `before` that raises `error` at the `number`-th request."""

    def before(n: int) -> None:
        if n == number:
            raise error

    return before
