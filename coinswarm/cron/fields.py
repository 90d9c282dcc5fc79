"""The five fields of a cron expression in Cloudflare's dialect, each read into something that can be asked.

The grammar is that of Cloudflare's own parser, https://github.com/cloudflare/saffron (read 2026-11-23): lists, ranges
that may wrap round (`FRI-MON`, `22-2`), steps, names; `L`, `L-3`, `LW`, `15W` of days; `6L`, `FRI#2` of weekdays, which
count from 1 = Sunday. `L`, `W` and `#` stand alone, never in a list.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Final

from coinswarm.errors import ConfigError

WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Field:
    """What a field is called, its bounds (both inclusive), and the names of its values from the lowest up."""

    name: str
    low: int
    high: int
    allowed: str
    names: tuple[str, ...] = ()


MINUTE: Final = Field("minute", 0, 59, "0-59 and * , - /")
HOUR: Final = Field("hour", 0, 23, "0-23 and * , - /")
DAY: Final = Field("day of month", 1, 31, "1-31 and * , - / or alone: L, L-3, LW, 15W")
MONTH: Final = Field("month", 1, 12, "1-12 or JAN-DEC and * , - /", MONTHS)
WEEKDAY: Final = Field("weekday", 1, 7, "1-7 (1 is Sunday) or SUN-SAT and * , - / or alone: L, 6L, FRI#2", WEEKDAYS)

_ANY_DAY: Final = frozenset(range(1, 32))


@dataclass(frozen=True, slots=True)
class MonthDays:
    """The day field: days by number, counted from the month's end, or the weekday nearest to one."""

    days: frozenset[int] = _ANY_DAY
    from_end: int | None = None
    """0 is the last day of the month; None counts from its beginning."""
    nearest_weekday: bool = False
    """The Monday to Friday nearest to the day, within its month."""
    star: bool = False

    def has(self, day: date) -> bool:
        if self.from_end is None and not self.nearest_weekday:
            return day.day in self.days
        last = monthrange(day.year, day.month)[1]
        wanted = min(self.days) if self.from_end is None else last - self.from_end
        if not 1 <= wanted <= last:
            return False
        return day.day == (_nearest_weekday(day, wanted, last) if self.nearest_weekday else wanted)


@dataclass(frozen=True, slots=True)
class WeekDays:
    """The weekday field: weekdays (1 = Sunday), maybe only the nth or the last of its month."""

    days: frozenset[int]
    nth: int | None = None
    last: bool = False
    star: bool = False

    def has(self, day: date) -> bool:
        if day.isoweekday() % 7 + 1 not in self.days:
            return False
        if self.last:
            return day.day + 7 > monthrange(day.year, day.month)[1]
        return self.nth is None or (day.day - 1) // 7 + 1 == self.nth


def _nearest_weekday(in_month: date, wanted: int, last: int) -> int:
    weekday = in_month.replace(day=wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted


def values(text: str, field: Field) -> frozenset[int]:
    """The values of a list of single ones, ranges and steps. Raises `ConfigError`."""
    if text == "*":
        return frozenset(range(field.low, field.high + 1))
    found: set[int] = set()
    for part in text.split(","):
        found |= _part(part, text, field)
    return frozenset(found)


def month_days(text: str) -> MonthDays:
    """The day field. Raises `ConfigError`."""
    if text == "*":
        return MonthDays(star=True)
    if text == "L":
        return MonthDays(from_end=0)
    if match := re.fullmatch(r"L(?:-([0-9]{1,2}))?(W)?", text):
        offset = int(match[1] or 0)
        if match[1] is not None and not 1 <= offset <= 30:
            raise wrong(text, DAY, f"L-{offset} must lie between L-1 and L-30")
        return MonthDays(from_end=offset, nearest_weekday=match[2] is not None)
    if match := re.fullmatch(r"([0-9]{1,2})W", text):
        return MonthDays(frozenset((_value(match[1], text, DAY),)), nearest_weekday=True)
    return MonthDays(values(text, DAY))


def week_days(text: str) -> WeekDays:
    """The weekday field. Raises `ConfigError`."""
    if text == "*":
        return WeekDays(frozenset(range(1, 8)), star=True)
    if text == "L":
        return WeekDays(frozenset((7,)))
    if match := re.fullmatch(r"([0-9]|[A-Z]{3})L", text):
        return WeekDays(frozenset((_value(match[1], text, WEEKDAY),)), last=True)
    if match := re.fullmatch(r"([0-9]|[A-Z]{3})#([0-9]+)", text):
        nth = int(match[2])
        if not 1 <= nth <= 5:
            raise wrong(text, WEEKDAY, f"#{nth} must lie between #1 and #5")
        return WeekDays(frozenset((_value(match[1], text, WEEKDAY),)), nth=nth)
    return WeekDays(values(text, WEEKDAY))


def _part(part: str, text: str, field: Field) -> set[int]:
    span, slash, step = part.partition("/")
    first, dash, end = span.partition("-")
    if span == "*":
        if not slash:
            raise wrong(text, field, "* stands alone; in a list it takes a step, as */5")
        start, stop = field.low, field.high
    else:
        start = _value(first, text, field)
        stop = _value(end, text, field) if dash else field.high if slash else start
    positions = [*range(start, stop + 1)] if start <= stop else [*range(start, field.high + 1)]
    if start > stop:
        positions += range(field.low, stop + 1)
    return set(positions[:: _step(step, text, field) if slash else 1])


def _step(step: str, text: str, field: Field) -> int:
    most = field.high - field.low
    if not re.fullmatch(r"[0-9]{1,2}", step) or not 1 <= int(step) <= most:
        raise wrong(text, field, f"the step {step[:10]!r} must be 1 to {most}")
    return int(step)


def _value(word: str, text: str, field: Field) -> int:
    if word in field.names:
        return field.names.index(word) + field.low
    if not re.fullmatch(r"[0-9]{1,2}", word):
        raise wrong(text, field, f"{word[:10]!r} is not a value" if word else "a value is missing")
    number = int(word)
    if not field.low <= number <= field.high:
        why = "; 1 is Sunday, 7 is Saturday" if field is WEEKDAY else ""
        raise wrong(text, field, f"{number} is not {field.low} to {field.high}{why}")
    return number


def wrong(text: str, field: Field, why: str) -> ConfigError:
    return ConfigError(
        f"the {field.name} field of the cron expression, {text[:60]!r}: {why}",
        hint=f"Allowed there: {field.allowed}.",
    )
