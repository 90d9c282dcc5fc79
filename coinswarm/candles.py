"""Candles: what one is, on which grid it stands, and which ones may be stored.

Pure: no I/O, no clock. Prices are floats in units of the quote, volumes in units of base and quote, `timestamp` is the
bucket's open in unix seconds.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple, Self

import msgspec

from coinswarm.errors import UsageError

EARLIEST: Final = 1_230_940_800
"""2009-01-03, Bitcoin's first block: no candle is older."""
LATEST: Final = 32_503_680_000
"""3000-01-01: above it lie milliseconds and microseconds taken for seconds."""


class Timeframe(enum.Enum):
    """How long a candle's bucket is. `.value` is the stored word, `.seconds` its length."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"
    W1 = "1w"

    @property
    def seconds(self) -> int:
        return SECONDS[self.value]

    @property
    def grid(self) -> int:
        """Opens are multiples of this many seconds.

        A week's anchor differs between sources (Binance opens on Monday, Kraken on Thursday), so a week only has to
        open at midnight UTC.
        """
        return GRID[self.value]

    def floor(self, timestamp: int, *, week_anchor: int = 345_600) -> int:
        """The open of the bucket that holds `timestamp`; `week_anchor` is one week's open (default: a Monday)."""
        anchor = week_anchor if self is Timeframe.W1 else 0
        return timestamp - (timestamp - anchor) % self.seconds

    @classmethod
    def parse(cls, text: str) -> Self:
        """The timeframe written as `1h`. Raises `UsageError` naming all of them."""
        try:
            return cls(text)
        except ValueError:
            raise UsageError(
                f"unknown timeframe {text!r}", hint="Choose one of: " + " ".join(t.value for t in cls)
            ) from None


SECONDS: Final[dict[str, int]] = {
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "8h": 28_800,
    "12h": 43_200,
    "1d": 86_400,
    "1w": 604_800,
}
GRID: Final[dict[str, int]] = SECONDS | {"1w": 86_400}

_ASSET = re.compile(r"[A-Z0-9][A-Z0-9*.]{0,19}")


class Pair(NamedTuple):
    """A market: `base` is bought and sold, `quote` is what it is priced in. USD, USDT and USDC are three quotes."""

    base: str
    quote: str

    @property
    def symbol(self) -> str:
        """The stored name, `BTC-USDC`."""
        return f"{self.base}-{self.quote}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """`BTC-USDC` or `BTC/USDC`, any case. Raises `UsageError`: `BTCUSDC` cannot be split reliably."""
        parts = re.split(r"[-/]", text.strip().upper())
        if len(parts) != 2 or not all(_ASSET.fullmatch(part) for part in parts):
            raise UsageError(
                f"{text!r} is not a pair", hint="Write base and quote with a hyphen, for example BTC-USDC."
            )
        if parts[0] == parts[1]:
            raise UsageError(f"{text!r} has the same base and quote", hint="For example: BTC-USDC.")
        return cls(*parts)


class Candle(msgspec.Struct, frozen=True, gc=False, rename={"volume_from": "volumeFrom", "volume_to": "volumeTo"}):
    """One OHLCV candle. The field order is the column order of `price_data`; JSON names are the wire body's."""

    symbol: str
    timestamp: int
    timeframe: str
    open: float
    high: float
    low: float
    close: float
    volume_from: float | None
    volume_to: float | None
    source: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes it unique, in the order of the table's primary key."""
        return (self.symbol, self.timeframe, self.source, self.timestamp)

    @property
    def closes_at(self) -> int:
        """Unix seconds at which its bucket is over."""
        return self.timestamp + SECONDS[self.timeframe]


COLUMNS: Final = Candle.__struct_fields__
"""The ten columns of `price_data` that a candle fills, in order."""

Row = tuple[Any, ...]
"""A candle as a plain tuple in the order of `COLUMNS`."""
Values = list[Any]
"""Rows laid end to end, as a statement's parameters are: the form in which a thousand candles are handled quickest."""


def as_values(candles: Iterable[Candle]) -> Values:
    return list(chain.from_iterable(map(msgspec.structs.astuple, candles)))


def rows(values: Values) -> Iterator[Row]:
    return zip(*[iter(values)] * len(COLUMNS), strict=True)


def columns(values: Values) -> list[list[Any]]:
    return [values[index :: len(COLUMNS)] for index in range(len(COLUMNS))]


@dataclass(frozen=True, slots=True)
class Span:
    """Candle opens from `first` to `last`, both inclusive, unix seconds."""

    first: int
    last: int


def fault(candle: Candle, *, closed_before: float | None = None) -> str | None:
    """Why this candle must not be stored, or None if it may.

    `closed_before`: unix seconds of the moment it was taken; a bucket that was still open then is refused, because the
    first write wins and a running candle would be frozen for ever.
    """
    grid = GRID.get(candle.timeframe)
    if grid is None:
        return f"unknown timeframe {candle.timeframe!r}"
    if not is_clean(candle.symbol) or not is_clean(candle.source):
        return "symbol and source must be printable text without spaces around it"
    timestamp = candle.timestamp
    if not EARLIEST <= timestamp < LATEST:
        return f"timestamp {timestamp} is not in unix seconds{_magnitude(timestamp)}"
    if timestamp % grid:
        return f"timestamp {timestamp} is not on the {candle.timeframe} grid"
    prices = (candle.open, candle.high, candle.low, candle.close)
    if not all(map(math.isfinite, prices)) or min(prices) <= 0:
        return "prices must be finite and above zero"
    if not (candle.low <= candle.open <= candle.high and candle.low <= candle.close <= candle.high):
        return f"open and close must lie between low and high ({_ohlc(candle)})"
    for name, volume in (("volumeFrom", candle.volume_from), ("volumeTo", candle.volume_to)):
        if volume is not None and not (math.isfinite(volume) and volume >= 0):
            return f"{name} must be finite and not negative, or null"
    if closed_before is not None and candle.closes_at > closed_before:
        return "the candle was still running when it was taken"
    return None


def gaps(timestamps: Iterable[int], timeframe: Timeframe) -> list[Span]:
    """Missing grid positions between ascending opens. Reported, never filled."""
    found: list[Span] = []
    step = timeframe.seconds
    previous: int | None = None
    for timestamp in timestamps:
        if previous is not None and timestamp - previous > step:
            found.append(Span(previous + step, timestamp - step))
        previous = timestamp
    return found


@lru_cache(4096)
def is_clean(text: str) -> bool:
    """Whether `text` can name a symbol or source: printable, not empty, no spaces around it."""
    return bool(text) and text.isprintable() and text == text.strip()


def _ohlc(c: Candle) -> str:
    return f"open {c.open!r}, high {c.high!r}, low {c.low!r}, close {c.close!r}"


def _magnitude(timestamp: int) -> str:
    if EARLIEST * 1_000 <= timestamp < LATEST * 1_000:
        return ": it looks like milliseconds"
    if EARLIEST * 1_000_000 <= timestamp < LATEST * 1_000_000:
        return ": it looks like microseconds"
    return ""
