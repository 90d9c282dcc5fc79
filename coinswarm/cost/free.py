"""The Workers Free plan: what of its daily allowances is used up, at what time of the day, and when storage is full.

Free stops instead of billing: from then until 00:00 UTC everything of that kind fails.
https://developers.cloudflare.com/d1/platform/pricing/ https://developers.cloudflare.com/queues/platform/pricing/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from coinswarm.cost.bill import Use
from coinswarm.cost.month import DAY_MS, Moment, clock_of, day_of
from coinswarm.pricing import FREE


@dataclass(frozen=True, slots=True)
class Cap:
    """One allowance, and the day that uses most of it."""

    name: str
    allowed: int
    used: int
    per: str
    """`day`, `invocation` or `account`."""
    day: str | None = None
    """The busiest one, UTC."""
    exceeded_at: str | None = None
    """`HH:MM` UTC of that day: the first run that finds the allowance used up."""

    @property
    def exceeded(self) -> bool:
        return self.used > self.allowed

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exceeded": self.exceeded}


@dataclass(frozen=True, slots=True)
class Storage:
    """When a database is full."""

    allowed_bytes: int
    stored_bytes: int
    """At the end of the forecast."""
    bytes_a_day: float
    full_in_days: float | None
    """From the end of the forecast on; None if it does not grow, 0 if it is full by then."""

    @property
    def exceeded(self) -> bool:
        return self.stored_bytes > self.allowed_bytes

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exceeded": self.exceeded}


_DAILY: Final[tuple[tuple[str, int, Callable[[Use], int]], ...]] = (
    ("requests", FREE.requests_per_day, lambda use: use.requests),
    ("queue operations", FREE.queue_operations_per_day, lambda use: use.queue_operations),
    ("rows read", FREE.rows_read_per_day, lambda use: use.rows_read),
    ("rows written", FREE.rows_written_per_day, lambda use: use.rows_written),
)


def daily_caps(moments: Sequence[Moment]) -> list[Cap]:
    """Every daily allowance against the busiest of the days; the first one of them if there are several."""
    by_day: dict[int, list[Moment]] = {}
    for moment in moments:
        by_day.setdefault(moment.at_ms // DAY_MS, []).append(moment)
    return [_cap(name, allowed, of, list(by_day.values())) for name, allowed, of in _DAILY]


def _cap(name: str, allowed: int, of: Callable[[Use], int], days: list[list[Moment]]) -> Cap:
    if not days:
        return Cap(name, allowed, 0, "day")
    busiest = max(days, key=lambda day: sum(of(moment.use) for moment in day))
    used = 0
    exceeded_at = None
    for moment in busiest:
        used += of(moment.use)
        if used > allowed and exceeded_at is None:
            exceeded_at = clock_of(moment.at_ms)
    return Cap(name, allowed, used, "day", day_of(busiest[0].at_ms), exceeded_at)


def spread_evenly(use: Use, days: int, today_ms: int) -> list[Cap]:
    """The same for use of which only the sum is known: what is used up is so at that share of an even day."""
    caps = []
    for name, allowed, of in _DAILY:
        used = -(-of(use) // days)
        at = clock_of(int(allowed / used * DAY_MS)) if used > allowed else None
        caps.append(Cap(name, allowed, used, "day", day_of(today_ms), at))
    return caps


def storage(stored_bytes: int, bytes_a_day: float, allowed_bytes: int = FREE.database_bytes) -> Storage:
    """How long one database lasts; an account's 5 GB are ten of them."""
    left = max(0, allowed_bytes - stored_bytes)
    full_in = left / bytes_a_day if bytes_a_day > 0 else (0.0 if left == 0 else None)
    return Storage(allowed_bytes, stored_bytes, bytes_a_day, full_in)
