"""The market behind the exchange APIs: what was truly traded, before each exchange tells it in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from coinswarm.candles import SECONDS, Pair, Timeframe

MONDAY: Final = 345_600
"""1970-01-05, where weeks begin on Binance."""
EPOCH: Final = 0
"""A Thursday, where weeks begin on Kraken and CryptoCompare."""

VOLUME_DECIMALS: Final = 8
"""Exchanges write volumes, and the finest prices, with this many decimals."""


class MarketCandle(NamedTuple):
    """What happened in one bucket. `timestamp` is the open in unix seconds; no trades means flat prices, no volume."""

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    """In units of the base."""
    quote_volume: float
    """In units of the quote."""
    trades: int


class Market(Protocol):
    """A truth to serve and to compare with. A bucket that is not there was a halt: no exchange has a candle of it."""

    @property
    def pairs(self) -> Sequence[Pair]:
        """Everything that is traded."""
        ...

    def listed_at(self, pair: Pair) -> int:
        """Unix seconds of the first trade. Nothing exists before it."""
        ...

    def decimals(self, pair: Pair) -> int:
        """Decimals of its prices, at most 8."""
        ...

    def candles(
        self, pair: Pair, timeframe: Timeframe, first: int, last: int, *, week_anchor: int = MONDAY
    ) -> list[MarketCandle]:
        """Every bucket that opened from `first` to `last`, both inclusive, ascending, as it was when it closed.

        Knows no clock: the future is as certain as the past. `week_anchor` is any week's open, for `1w`.
        """
        ...


def floor(timestamp: int, seconds: int, anchor: int = EPOCH) -> int:
    """The open of the bucket of `seconds` that holds `timestamp`."""
    return timestamp - (timestamp - anchor) % seconds


def ceil(timestamp: int, seconds: int, anchor: int = EPOCH) -> int:
    """The first open at or after `timestamp`."""
    return timestamp + (anchor - timestamp) % seconds


_BY_SECONDS: Final = {SECONDS[timeframe.value]: timeframe for timeframe in Timeframe}


def buckets(
    market: Market, pair: Pair, seconds: int, first: int, last: int, *, anchor: int = EPOCH
) -> list[MarketCandle]:
    """`market.candles` for any length in whole minutes: exchanges also speak of 2 minutes, 4 days and 15 days."""
    timeframe = _BY_SECONDS.get(seconds)
    if timeframe is not None:
        return market.candles(pair, timeframe, first, last, week_anchor=anchor)
    child = max((length for length in _BY_SECONDS if seconds % length == 0 and length != SECONDS["1w"]), default=0)
    if not child:
        raise ValueError(f"{seconds} seconds are not whole minutes")
    end = floor(last, seconds, anchor) + seconds - child
    return aggregate(
        market.candles(pair, _BY_SECONDS[child], ceil(first, seconds, anchor), end), seconds, anchor=anchor
    )


def aggregate(candles: Iterable[MarketCandle], seconds: int, *, anchor: int = EPOCH) -> list[MarketCandle]:
    """Longer candles from ascending shorter ones. A bucket exists if one of its children does."""
    whole: list[MarketCandle] = []
    for candle in candles:
        open_time = floor(candle.timestamp, seconds, anchor)
        if not whole or whole[-1].timestamp != open_time:
            whole.append(candle._replace(timestamp=open_time))
            continue
        so_far = whole[-1]
        whole[-1] = MarketCandle(
            open_time,
            so_far.open,
            max(so_far.high, candle.high),
            min(so_far.low, candle.low),
            candle.close,
            round(so_far.volume + candle.volume, VOLUME_DECIMALS),
            round(so_far.quote_volume + candle.quote_volume, VOLUME_DECIMALS),
            so_far.trades + candle.trades,
        )
    return whole


def newest(
    market: Market, pair: Pair, seconds: int, until: int, limit: int, *, anchor: int = EPOCH
) -> list[MarketCandle]:
    """The newest `limit` buckets that opened at or before `until`, ascending."""
    last = floor(until, seconds, anchor)
    listed = floor(market.listed_at(pair), seconds, anchor)
    found: list[MarketCandle] = []
    span = limit
    while len(found) < limit and last >= listed:
        first = last - (span - 1) * seconds
        found[:0] = buckets(market, pair, seconds, max(first, listed), last, anchor=anchor)
        last = first - seconds
        span *= 2  # a long halt is crossed in few steps
    return found[-limit:]


def oldest(
    market: Market, pair: Pair, seconds: int, since: int, until: int, limit: int, *, anchor: int = EPOCH
) -> list[MarketCandle]:
    """The first `limit` buckets that opened from `since` to `until`, ascending."""
    first = ceil(max(since, floor(market.listed_at(pair), seconds, anchor)), seconds, anchor)
    found: list[MarketCandle] = []
    span = limit
    while len(found) < limit and first <= until:
        found += buckets(market, pair, seconds, first, min(until, first + (span - 1) * seconds), anchor=anchor)
        first += span * seconds
        span *= 2
    return found[:limit]
