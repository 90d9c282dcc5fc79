"""Exchanges without HTTP: fetchers that read a market directly, for tests of what happens after a page has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from coinswarm.candles import Candle, Timeframe
from coinswarm.clock import Clock
from coinswarm.errors import CoinswarmError
from coinswarm.fetchers.base import Fetcher, Page, PageRequest
from coinswarm.simulator import Market
from coinswarm.simulator.market import newest


class MarketFetcher:
    """A source with every pair and timeframe of the market, the running candle included; `broken` is raised."""

    def __init__(self, source: str, market: Market, clock: Clock, broken: CoinswarmError | None = None) -> None:
        self._source = source
        self._market = market
        self._clock = clock
        self._broken = broken
        self.asked: list[PageRequest] = []

    @property
    def source(self) -> str:
        return self._source

    @property
    def timeframes(self) -> Sequence[Timeframe]:
        return tuple(Timeframe)

    def page_limit(self, timeframe: Timeframe) -> int:
        return 1000

    def page(self, request: PageRequest) -> Page:
        self.asked.append(request)
        if self._broken is not None:
            raise self._broken
        seconds = request.timeframe.seconds
        until = min(request.to_ts, self._clock.now_ms() // 1000)
        found = newest(self._market, request.pair, seconds, until, request.limit)
        symbol, word = request.pair.symbol, request.timeframe.value
        candles = [
            Candle(symbol, c.timestamp, word, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, self._source)
            for c in found
        ]
        covers = candles[0].timestamp if candles else request.to_ts - seconds * (request.limit - 1)
        return Page(candles, covers_from=covers, exhausted=not candles)


def exchanges(
    market: Market, clock: Clock, broken: dict[str, CoinswarmError] | None = None
) -> Callable[[str], AbstractContextManager[Fetcher]]:
    """What opens a fetcher of each source."""

    @contextmanager
    def opened(source: str) -> Iterator[Fetcher]:
        yield MarketFetcher(source, market, clock, (broken or {}).get(source))

    return opened
