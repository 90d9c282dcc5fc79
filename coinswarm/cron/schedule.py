"""When a cron expression fires, in Cloudflare's dialect and always in UTC. Pure: knows no clock.

https://developers.cloudflare.com/workers/configuration/cron-triggers/ (read 2026-11-23). Where both the day and the
weekday are given, either is enough; `cron.fields` has the grammar. Common cron libraries number weekdays otherwise and
know neither `15W` nor ranges that wrap, so none is used here.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, Self

from coinswarm.cron.fields import DAY, HOUR, MINUTE, MONTH, MonthDays, WeekDays, month_days, values, week_days, wrong
from coinswarm.errors import ConfigError

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1)
_LAST: Final = date(9999, 12, 31)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed expression. Times are milliseconds since the epoch, UTC, on whole minutes."""

    expression: str
    """In upper case, single spaces."""
    months: frozenset[int] = field(repr=False)
    month_days: MonthDays = field(repr=False)
    week_days: WeekDays = field(repr=False)
    minutes: tuple[int, ...] = field(repr=False)
    """Minutes of the day, ascending."""

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Raises `ConfigError` with what is wrong and what is allowed there, also for what can never fire."""
        words = expression.upper().split()
        if len(words) != 5:
            raise ConfigError(
                f"the cron expression {expression[:60]!r} must have five fields (minute hour day month weekday), "
                f"not {len(words)}",
                hint='For example "*/30 * * * *", every half hour; Cloudflare knows no seconds, years or @daily.',
            )
        minutes, hours = values(words[0], MINUTE), values(words[1], HOUR)
        schedule = cls(
            " ".join(words),
            values(words[3], MONTH),
            month_days(words[2]),
            week_days(words[4]),
            tuple(sorted(hour * 60 + minute for hour in hours for minute in minutes)),
        )
        if not schedule._ever():
            raise wrong(words[2], DAY, f"none of the months {words[3]} has such a day, so it would never fire")
        return schedule

    def next_ms(self, after_ms: int) -> int:
        """The first fire strictly after `after_ms`."""
        return next(self._after(after_ms))

    def fires(self, after_ms: int, count: int) -> list[int]:
        """The first `count` fires strictly after `after_ms`."""
        times = self._after(after_ms)
        return [next(times) for _ in range(count)]

    def between(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Every fire after `after_ms` up to and including `until_ms`."""
        for fire in self._after(after_ms):
            if fire > until_ms:
                return
            yield fire

    def matches(self, day: date) -> bool:
        """Whether it fires on that day: where day and weekday are both given, either is enough."""
        if day.month not in self.months:
            return False
        if self.week_days.star:
            return self.month_days.has(day)
        return self.week_days.has(day) or (not self.month_days.star and self.month_days.has(day))

    def _after(self, after_ms: int) -> Iterator[int]:
        day = datetime.fromtimestamp(after_ms // 1000, UTC).date()
        start = _midnight(day)
        left = self.minutes[bisect_right(self.minutes, (after_ms - start) // _MINUTE_MS) :]
        while day < _LAST:
            if self.matches(day):
                yield from (start + minute * _MINUTE_MS for minute in left)
            day += _DAY
            start += _DAY_MS
            left = self.minutes

    def _ever(self) -> bool:
        """Whether any day can match. Weekdays always come; of days the longest month decides, February's leap year."""
        if not self.week_days.star or self.month_days.star:
            return True
        longest = max(monthrange(2000, month)[1] for month in self.months)
        from_end = self.month_days.from_end
        return from_end < longest if from_end is not None else min(self.month_days.days) <= longest


def _midnight(day: date) -> int:
    return (day - _EPOCH).days * _DAY_MS
