"""A message body as a person looks at it: which candles it holds, and which field of which row offends.

The rules are those the consumer goes by (`payload.decode`), so a body without a fault here is one that would be stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from coinswarm.candles import COLUMNS, EARLIEST, GRID, LATEST, SECONDS, Candle, fault, is_clean
from coinswarm.errors import InvalidPayload
from coinswarm.payload import raw_rows

FIELDS: Final = Candle.__struct_encode_fields__
"""The names in a body, in the order of `COLUMNS`."""
_PATH = re.compile(r"`\$\.(\w+)|required field `(\w+)`")


@dataclass(frozen=True, slots=True)
class InspectedRow:
    """One row of a body."""

    index: int
    value: Any
    """As it came: an object of any fields, or no object at all."""
    candle: Candle | None
    """None where the fields have not the types of a candle's."""
    fault: str | None
    """Why it must not be stored, None if it may."""
    offending: tuple[str, ...] = ()
    """The fields, by their names in the body, that the fault is about."""

    def get(self, name: str) -> Any:
        return self.value.get(name) if isinstance(self.value, Mapping) else None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a body holds."""

    rows: list[InspectedRow] = field(default_factory=list)
    fault: str | None = None
    """Why the body as a whole cannot be read."""

    @property
    def faults(self) -> list[str]:
        whole = [] if self.fault is None else [self.fault]
        return whole + [f"row {row.index}: {row.fault}" for row in self.rows if row.fault]

    @property
    def symbols(self) -> list[str]:
        return self._texts("symbol")

    @property
    def timeframes(self) -> list[str]:
        return self._texts("timeframe")

    @property
    def opens(self) -> tuple[int, int] | None:
        """The first and the last open, unix seconds, of the rows whose time is one."""
        times = [t for row in self.rows if type(t := row.get("timestamp")) is int and EARLIEST <= t < LATEST]
        return (min(times), max(times)) if times else None

    def ends_after(self, moment: float) -> bool:
        """Whether a candle was still running at `moment`, unix seconds."""
        return any(
            type(t := row.get("timestamp")) is int and t < LATEST and t + SECONDS.get(row.get("timeframe"), 0) > moment
            for row in self.rows
            if isinstance(row.get("timeframe"), str)
        )

    def _texts(self, name: str) -> list[str]:
        return list(dict.fromkeys(text for row in self.rows if isinstance(text := row.get(name), str)))


def inspect(body: bytes, *, taken_ms: int | None) -> Inspection:
    """The rows of `body` with their faults. `taken_ms`: when it was sent; None if nobody knows."""
    try:
        values = raw_rows(body)
    except InvalidPayload as error:
        return Inspection(fault=error.message)
    if not values:
        return Inspection(fault="the body is an empty array")
    taken = None if taken_ms is None else taken_ms / 1000
    return Inspection([_row(index, value, taken) for index, value in enumerate(values)])


def _row(index: int, value: Any, taken: float | None) -> InspectedRow:
    try:
        candle = msgspec.convert(value, Candle)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        return InspectedRow(index, value, None, str(error), tuple(filter(None, found.groups())) if found else ())
    reason = fault(candle, closed_before=taken)
    return InspectedRow(index, value, candle, reason, () if reason is None else offending_fields(candle))


def offending_fields(candle: Candle) -> tuple[str, ...]:
    """The fields that break the first rule which `candles.fault` finds broken; the time, for a running candle."""
    if candle.timeframe not in GRID:
        return ("timeframe",)
    names: list[str] = [name for name in ("symbol", "source") if not is_clean(getattr(candle, name))]
    if names:
        return tuple(names)
    if not EARLIEST <= candle.timestamp < LATEST or candle.timestamp % GRID[candle.timeframe]:
        return ("timestamp",)
    prices = ("open", "high", "low", "close")
    names = [name for name in prices if not (math.isfinite(price := getattr(candle, name)) and price > 0)]
    if names:
        return tuple(names)
    names = [name for name in ("open", "close") if not candle.low <= getattr(candle, name) <= candle.high]
    if names:
        return ("high", "low") if candle.low > candle.high else tuple(names)
    names = [
        name
        for name, column in zip(FIELDS, COLUMNS, strict=True)
        if column.startswith("volume") and _is_no_volume(getattr(candle, column))
    ]
    return tuple(names) or ("timestamp",)


def _is_no_volume(volume: float | None) -> bool:
    return volume is not None and not (math.isfinite(volume) and volume >= 0)
