"""A market made of arithmetic: the same seed gives the same candle, for any pair, timeframe and moment.

Nothing is stored and nothing runs: a price is a pure function of time, a sum of noises from minutes to years, so that
a candle of 2019 costs as little as one of tomorrow. Opens and closes of all timeframes lie on the same path; highs,
lows, volumes and idle buckets are drawn for each timeframe on its own.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from coinswarm.candles import Pair, Span, Timeframe
from coinswarm.errors import UsageError
from coinswarm.simulator.assets import ASSETS, PAIRS, QUOTES, STABLE
from coinswarm.simulator.market import EPOCH, MONDAY, VOLUME_DECIMALS, MarketCandle, ceil

_KNOT: Final = 43_200
"""Slow waves bend only here, so that their sum is a straight line between two knots and is worked out once for each."""

Waves = tuple[tuple[int, float], ...]
"""(period in seconds, amplitude in natural logarithms of the price), slowest first."""

_SLOW: Final[Waves] = (
    (1_461 * 86_400, 0.60),
    (365 * 86_400, 0.35),
    (90 * 86_400, 0.16),
    (16 * 86_400, 0.07),
    (3 * 86_400, 0.030),
    (43_200, 0.013),
)
_FAST: Final[Waves] = ((7_200, 0.006), (1_200, 0.0025), (60, 0.001))
_STABLE_SLOW: Final[Waves] = ((90 * 86_400, 0.0006),)
_STABLE_FAST: Final[Waves] = ((14_400, 0.0002),)
_EURO_SLOW: Final[Waves] = ((365 * 86_400, 0.06), (20 * 86_400, 0.015), (43_200, 0.002))

_TABLE: Final = 16_384
_MASK: Final = _TABLE - 1
_WICK: Final = 0.0016
"""Typical length of an hour's wick, as a share of the price."""
_TURNOVER_USD: Final = 40_000_000.0
"""Typical turnover of an hour in BTC, in dollars; smaller coins trade less."""


class SyntheticMarket:
    """A deterministic market over `assets.PAIRS`.

    `listed`: first trade by symbol, unix seconds, where it should differ from the asset's own. `idle`: the share of
    buckets without a trade (flat, no volume). `halts`: spans, unix seconds, in which nothing was traded anywhere;
    buckets wholly inside do not exist.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        listed: Mapping[str, int] | None = None,
        idle: float = 0.0,
        halts: Iterable[Span] = (),
    ) -> None:
        if not 0 <= idle < 1:
            raise UsageError(f"the share of idle buckets is {idle}", hint="Give a number from 0 to below 1, as 0.05.")
        self.seed = seed
        self._idle = idle
        self._halts = tuple(halts)
        self._listed = {Pair.parse(symbol): moment for symbol, moment in (listed or {}).items()}
        unknown = [pair.symbol for pair in self._listed if pair not in PAIRS]
        if unknown:
            raise UsageError(f"not traded here: {', '.join(unknown)}", hint="Known bases: " + " ".join(ASSETS))
        draw = random.Random(seed).random
        self._table = [2 * draw() - 1 for _ in range(_TABLE)]
        self._knots: dict[str, dict[int, float]] = {}

    @property
    def pairs(self) -> Sequence[Pair]:
        return PAIRS

    def listed_at(self, pair: Pair) -> int:
        usual = max(ASSETS[pair.base].first_traded, QUOTES[pair.quote].first_traded)
        return self._listed.get(pair, usual)

    def decimals(self, pair: Pair) -> int:
        typical = ASSETS[pair.base].usd / QUOTES[pair.quote].usd
        return min(VOLUME_DECIMALS, max(2, 5 - math.floor(math.log10(typical))))

    def candle(
        self, pair: Pair, timeframe: Timeframe, timestamp: int, *, week_anchor: int = MONDAY
    ) -> MarketCandle | None:
        """The bucket that opened at `timestamp`, or None: off the grid, before the listing, in a halt."""
        found = self.candles(pair, timeframe, timestamp, timestamp, week_anchor=week_anchor)
        return found[0] if found else None

    def candles(
        self, pair: Pair, timeframe: Timeframe, first: int, last: int, *, week_anchor: int = MONDAY
    ) -> list[MarketCandle]:
        step = timeframe.seconds
        start = ceil(max(first, self.listed_at(pair)), step, week_anchor if timeframe is Timeframe.W1 else EPOCH)
        if start > last:
            return []
        opens = range(start, last + 1, step)
        prices = self._prices(pair, range(start, opens[-1] + step + 1, step))
        salt = zlib.crc32(f"{pair.symbol} {timeframe.value}".encode())
        if self._idle:
            prices = self._still(pair, step, salt, opens, prices)
        candles = self._draw(pair, step, salt, opens, prices)
        return [c for c in candles if not self._halted(c.timestamp, step)] if self._halts else candles

    def _draw(
        self, pair: Pair, step: int, salt: int, opens: Sequence[int], prices: Sequence[float]
    ) -> list[MarketCandle]:
        table, idle = self._table, self._idle
        digits = self.decimals(pair)
        tick = 10.0**-digits
        wick = _WICK * math.sqrt(step / 3600) * (0.05 if pair.base in STABLE and pair.quote in STABLE else 1.0)
        dollars = QUOTES[pair.quote].usd
        turnover = _TURNOVER_USD * step / 3600 * math.sqrt(ASSETS[pair.base].usd / 30_000) / dollars
        candles: list[MarketCandle] = []
        close = prices[0]
        for opened, closes in zip(opens, prices[1:], strict=True):
            price, close = close, closes
            minute = opened // 60
            if idle and self._is_idle(minute, salt):
                candles.append(MarketCandle(opened, price, price, price, price, 0.0, 0.0, 0))
                continue
            high, low = (price, close) if price > close else (close, price)
            up = wick * abs(table[(minute * 7 + salt) & _MASK])
            down = min(0.5, wick * abs(table[(minute * 11 + salt) & _MASK]))
            high = max(high, round(high + high * up, digits))
            low = max(tick, min(low, round(low - low * down, digits)))
            volume = round(turnover * (1.05 + table[(minute * 13 + salt) & _MASK]) / price, 5) or 0.00001
            quote_volume = round(volume * (price + high + low + close) / 4, VOLUME_DECIMALS)
            trades = 1 + int(quote_volume * dollars // 900)
            candles.append(MarketCandle(opened, price, high, low, close, volume, quote_volume, trades))
        return candles

    def _prices(self, pair: Pair, times: Sequence[int]) -> list[float]:
        """The price at each moment, rounded; the same for a moment whatever the others are."""
        exponents = self._add_waves([0.0] * len(times), times, pair.base, 1.0)
        exponents = self._add_waves(exponents, times, pair.quote, -1.0)
        typical = ASSETS[pair.base].usd / QUOTES[pair.quote].usd
        digits, exp = self.decimals(pair), math.exp
        tick = 10.0**-digits
        return [max(tick, round(typical * exp(exponent), digits)) for exponent in exponents]

    def _add_waves(self, totals: list[float], times: Sequence[int], asset: str, sign: float) -> list[float]:
        if asset == "USD":
            return totals
        slow, fast = _waves_of(asset)
        knots = self._knots.setdefault(asset, {})
        for knot in range(times[0] // _KNOT, times[-1] // _KNOT + 2):
            if knot not in knots:
                knots[knot] = self._knot(asset, slow, knot)
        totals = [
            total + sign * ((left := knots[t // _KNOT]) + (knots[t // _KNOT + 1] - left) * (t % _KNOT / _KNOT))
            for total, t in zip(totals, times, strict=True)
        ]
        for period, amplitude in fast:
            totals = self._add_wave(totals, times, period, sign * amplitude, _salt(asset, period))
        return totals

    def _knot(self, asset: str, slow: Waves, knot: int) -> float:
        total = [0.0]
        for period, amplitude in slow:
            total = self._add_wave(total, (knot * _KNOT,), period, amplitude, _salt(asset, period))
        return total[0]

    def _add_wave(
        self, totals: list[float], times: Sequence[int], period: int, amplitude: float, salt: int
    ) -> list[float]:
        table = self._table
        step = times[1] - times[0] if len(times) > 1 else 0
        if step % period == 0 and times[0] % period == 0:  # only on the wave's own points: nothing to interpolate
            return [
                total + amplitude * table[(t // period + salt) & _MASK] for total, t in zip(totals, times, strict=True)
            ]
        return [
            total
            + amplitude
            * (
                (left := table[(index := t // period + salt) & _MASK])
                + (table[(index + 1) & _MASK] - left) * (t % period / period)
            )
            for total, t in zip(totals, times, strict=True)
        ]

    def _is_idle(self, minute: int, salt: int) -> bool:
        # A hash, not the table: an idle share of a few per mille needs more than its 16,384 draws.
        mixed = (minute * 0x9E3779B1 + salt) & 0xFFFFFFFF
        mixed = ((mixed ^ mixed >> 15) * 0x85EBCA6B) & 0xFFFFFFFF
        mixed = ((mixed ^ mixed >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
        return (mixed ^ mixed >> 16) < self._idle * 0x100000000

    def _still(self, pair: Pair, step: int, salt: int, opens: Sequence[int], prices: Sequence[float]) -> list[float]:
        """The same prices, standing still through idle buckets: the next candle opens where the last one closed."""
        before = opens[0]
        while before - step >= self.listed_at(pair) and self._is_idle((before - step) // 60, salt):
            before -= step
        last = self._prices(pair, (before,))[0] if before != opens[0] else prices[0]
        still = [last]
        for index, opened in enumerate(opens):
            if not self._is_idle(opened // 60, salt):
                last = prices[index + 1]
            still.append(last)
        return still

    def _halted(self, opened: int, step: int) -> bool:
        return any(halt.first <= opened and opened + step <= halt.last for halt in self._halts)


def _waves_of(asset: str) -> tuple[Waves, Waves]:
    if asset == "EUR":
        return _EURO_SLOW, ()
    return (_STABLE_SLOW, _STABLE_FAST) if asset in STABLE else (_SLOW, _FAST)


def _salt(asset: str, period: int) -> int:
    return zlib.crc32(f"{asset} {period}".encode()) & _MASK
