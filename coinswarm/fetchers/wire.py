"""What the exchange modules share: rows off the wire into candles, and what a source is and allows. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from coinswarm.candles import EARLIEST, Candle, Timeframe
from coinswarm.errors import UnsupportedTimeframe
from coinswarm.fetchers.base import PageRequest

T = TypeVar("T")

_DECIMAL: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often a source may be asked, kept below what it documents at `docs`."""

    per_second: float
    """Tokens that come back each second."""
    burst: float
    """Tokens that can be saved up."""
    docs: str
    cost: float = 1.0
    """Tokens one page of candles takes."""


@dataclass(frozen=True, slots=True)
class Site:
    """A source under its stored name: where its API lives and what it allows."""

    source: str
    url: str
    """Scheme, host and prefix; a base URL of the user's takes its place."""
    limit: RateLimit
    keyed_limit: RateLimit | None = None
    """The limit with an API key, where it differs."""
    key_headers: Callable[[str, str], Mapping[str, str]] | None = None
    """Headers that carry an API key to a base URL; None if the source takes no key."""


class Unreadable(ValueError):
    """A row does not hold what the documentation says. `near`: its open rounded up to seconds, if that is known."""

    def __init__(self, reason: str, *, near: int | None = None) -> None:
        self.near = near
        super().__init__(reason)


@dataclass(slots=True)
class Rows:
    """The rows of one reply: candles ascending by open, and a reason for each row that could not be read."""

    candles: list[Candle] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    oldest: int | None = None
    """The oldest plausible open among all of them, the malformed included."""


def collect(rows: Iterable[Any], stamp: Callable[[Any], object], read: Callable[[Any, int], Candle]) -> Rows:
    """Read every row; one that cannot be read is named and takes no other along.

    `stamp` picks a row's time, `read` makes a candle of the row and that time in unix seconds.
    """
    collected = Rows()
    opens: list[int] = []
    for index, row in enumerate(rows):
        opened: int | None = None
        try:
            opened = seconds(stamp(row))
            candle = read(row, opened)
            collected.candles.append(candle)
            opened = candle.timestamp
        except Unreadable as error:
            collected.malformed.append(f"row {index}: {error}")
            opened = error.near or opened
        except (IndexError, KeyError, TypeError, OverflowError):
            collected.malformed.append(f"row {index}: {str(row)[:80]} has not the documented shape")
        if opened is not None and opened >= EARLIEST:
            opens.append(opened)
    collected.candles.sort(key=lambda candle: candle.timestamp)
    collected.oldest = min(opens, default=None)
    return collected


def seconds(stamp: object) -> int:
    """A wire time in seconds, milliseconds or microseconds, told apart by magnitude, as unix seconds.

    Raises `Unreadable` for a moment between two seconds: a bucket never opens there, and rounding would invent one.
    """
    if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not math.isfinite(stamp):
        raise Unreadable(f"the time {str(stamp)[:40]!r} is not a number")
    unit = 1_000_000 if stamp >= 1e14 else 1_000 if stamp >= 1e11 else 1
    whole, rest = divmod(stamp, unit)
    if rest or whole % 1:
        raise Unreadable(f"opened at {stamp}, between two seconds", near=math.ceil(stamp / unit))
    return int(whole)


def number(value: object) -> float:
    """A price or volume, sent as a JSON number or as decimal text. Raises `Unreadable`."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise Unreadable(f"{str(value)[:40]!r} is not a number")


def offered(source: str, timeframe: Timeframe, table: Mapping[Timeframe, T]) -> T:
    """What `table` says of a timeframe. Raises `UnsupportedTimeframe`, naming those the source has."""
    try:
        return table[timeframe]
    except KeyError:
        raise UnsupportedTimeframe(
            source,
            f"does not offer the timeframe {timeframe.value}",
            hint="It offers: " + " ".join(offered.value for offered in table),
        ) from None


def covered(rows: Rows, request: PageRequest) -> int:
    """The oldest open on the grid for which a contiguous reply speaks.

    Rounded up where the oldest row stands off the grid, so that the next page, which ends one bucket earlier, still
    brings every row before that one.
    """
    if rows.oldest is None:
        return request.timeframe.floor(request.to_ts)
    grid = request.timeframe.grid
    return -(-rows.oldest // grid) * grid


def reached(rows: Rows, request: PageRequest, *, newest: int) -> tuple[int, bool]:
    """`covers_from` and `exhausted` for a source that always sends everything it has, its newest candles.

    It is exhausted once no more than the asked-for number of candles is left; `newest` is the last open that counts.
    """
    left = [candle.timestamp for candle in rows.candles if candle.timestamp <= min(newest, request.to_ts)]
    if len(left) > request.limit:
        return left[-request.limit], False
    return (left[0] if left else request.timeframe.floor(request.to_ts)), True
