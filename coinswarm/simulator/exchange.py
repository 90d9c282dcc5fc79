"""What the six APIs have in common: a request as they see it, the market as they may know it, and a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from coinswarm.candles import Pair, Timeframe
from coinswarm.simulator.faults import OK
from coinswarm.simulator.market import EPOCH, VOLUME_DECIMALS, Market, MarketCandle, buckets, newest, oldest

OVERLAP = 3
"""Rows that the fault `overlap` puts before a page."""
MISALIGNMENT = 1_694
"""Seconds by which Binance's hourly candles stood off the hour after the outage of 2018-02-08: 28 min 14 s."""


@dataclass(slots=True)
class Reply:
    """A body (an object for JSON, text for HTML) with its status and headers."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request is turned down in the exchange's own words."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(f"HTTP {reply.status}")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, with all that its answer depends on."""

    source: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    path: Mapping[str, str]
    market: Market
    now: float
    """The exchange's clock, unix seconds."""
    serial: int
    """The number of this request to the source: running candles differ by it."""
    fault: str = OK
    retry_after: int = 1

    def candles(
        self, pair: Pair, seconds: int, first: float, last: float, *, anchor: int = EPOCH
    ) -> list[MarketCandle]:
        """What is known by now of the buckets that opened from `first` to `last`; the newest may still be running."""
        until = int(min(last, self.now))
        return self._as_known(
            buckets(self.market, pair, seconds, -int(-first // 1), until, anchor=anchor), pair, seconds
        )

    def newest(self, pair: Pair, seconds: int, until: float, limit: int, *, anchor: int = EPOCH) -> list[MarketCandle]:
        """The newest `limit` candles that opened at or before `until`, ascending."""
        found = newest(self.market, pair, seconds, int(min(until, self.now)), limit, anchor=anchor)
        return self._as_known(found, pair, seconds)

    def oldest(
        self, pair: Pair, seconds: int, since: float, until: float, limit: int, *, anchor: int = EPOCH
    ) -> list[MarketCandle]:
        """The first `limit` candles that opened from `since` to `until`."""
        last = int(min(until, self.now))
        found = oldest(self.market, pair, seconds, -int(-since // 1), last, limit, anchor=anchor)
        return self._as_known(found, pair, seconds)

    def delivered(
        self,
        candles: Sequence[MarketCandle],
        pair: Pair,
        seconds: int,
        *,
        anchor: int = EPOCH,
        told: Callable[[MarketCandle], object] = lambda _candle: True,
    ) -> Sequence[MarketCandle]:
        """A page of `candles` (ascending) as it leaves, with the row faults that were ordered.

        `told`: whether the source tells of a candle from before the page at all, be it in a row too many.
        """
        if not candles or self.fault == "empty":
            return ()
        match self.fault:
            case "duplicate":
                return [candle for index, candle in enumerate(candles) for _ in range(1 + (index % 10 == 0))]
            case "overlap":
                first = candles[0].timestamp
                earlier = self.candles(pair, seconds, first - OVERLAP * seconds, first - seconds, anchor=anchor)
                return [*(candle for candle in earlier if told(candle)), *candles]
            case "misaligned":
                middle = len(candles) // 2
                moved = candles[middle].timestamp + min(MISALIGNMENT, seconds // 2)
                return [*candles[:middle], candles[middle]._replace(timestamp=moved), *candles[middle + 1 :]]
            case "stub":
                return [*candles[:-1], candles[-1]._replace(close=round(candles[-1].high * 1.01, VOLUME_DECIMALS))]
        return candles

    def stamp(self, timestamp: int, per_second: int = 1) -> int:
        """The stamp of a moment in units of which a second has `per_second`; in µs where that fault was ordered."""
        return timestamp * (1_000_000 if self.fault == "us" else per_second)

    def part_of(self, whole: MarketCandle, pair: Pair, seconds: int, until: float) -> MarketCandle:
        """What had happened of a candle by `until`. No two requests see the same of a running one."""
        part = (until - whole.timestamp) / seconds
        if part >= 1:
            return whole
        part *= 0.9 + 0.1 * (self.serial * 2_654_435_761 % 997) / 997
        digits = self.market.decimals(pair) if pair in self.market.pairs else VOLUME_DECIMALS
        close = round(whole.open + (whole.close - whole.open) * part, digits)
        return MarketCandle(
            whole.timestamp,
            whole.open,
            max(whole.open, close, round(whole.open + (whole.high - whole.open) * part, digits)),
            min(whole.open, close, round(whole.open + (whole.low - whole.open) * part, digits)),
            close,
            round(whole.volume * part, VOLUME_DECIMALS),
            round(whole.quote_volume * part, VOLUME_DECIMALS),
            int(whole.trades * part),
        )

    def _as_known(self, candles: list[MarketCandle], pair: Pair, seconds: int) -> list[MarketCandle]:
        if candles:
            candles[-1] = self.part_of(candles[-1], pair, seconds, self.now)
        return candles


class Endpoint(NamedTuple):
    """A path and what answers it. Faults hit candles only, so that a script counts what a test means."""

    path: str
    answer: Callable[[Ask], Reply]
    has_faults: bool = False


class Exchange(NamedTuple):
    """One API: its endpoints, how it words an HTTP error, and what it does wrong inside HTTP 200."""

    source: str
    endpoints: Sequence[Endpoint]
    refuse: Callable[[Ask, int], Reply]
    """The reply with this status; Retry-After is added where it belongs."""
    soft_fault: Callable[[Ask], Reply]
    """The reply for the faults `error`, `no-result` and `quota`."""
    timeframes: Sequence[Timeframe]
    week_anchor: int
    at_root: bool = True
    """Whether its paths also answer without `/<source>` before them."""


def whole_number(text: str) -> int:
    """An integer written in digits. Raises `ValueError`."""
    if not text.lstrip("-").isdecimal() or len(text) > 20:
        raise ValueError(text)
    return int(text)


def decimal(value: float, digits: int = VOLUME_DECIMALS) -> str:
    """With so many digits after the point, and with more only if it would be another number without them."""
    text = f"{value:.{digits}f}"
    return text if float(text) == value else format(Decimal(repr(value)), "f")


def number(value: float) -> float | int:
    """As most exchanges print it: 5270, not 5270.0."""
    return int(value) if value.is_integer() else value
