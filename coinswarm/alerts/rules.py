"""The alerts there are: each reads a `Status` and says whether its limit is exceeded now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from coinswarm.config.alerts import AlertSettings
from coinswarm.limits import D1
from coinswarm.pricing import FREE, PAID
from coinswarm.status.activity import Failures
from coinswarm.status.gather import Status

FEWEST_FAILURES: Final = 2
"""One failure alone is no rate."""
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of an allowance since its period began."""

    what: str
    used: int
    allowed: int
    period: str

    @property
    def percent(self) -> float:
        return 100 * self.used / self.allowed


@dataclass(frozen=True, slots=True)
class Finding:
    """One alert's look: `exceeded` now, with the value measured and a sentence about it."""

    alert: str
    exceeded: bool
    value: float
    limit: float
    message: str
    lasting_ms: int = 0
    """How long it has to be exceeded before it fires."""

    def as_json(self) -> dict[str, Any]:
        return {
            "alert": self.alert,
            "exceeded": self.exceeded,
            "value": round(self.value, 2),
            "limit": self.limit,
            "message": self.message,
        }


def allowances(settings: AlertSettings, usage: dict[str, int]) -> list[Used]:
    """`usage`: by `queue operations`, `rows read` and `rows written`, of the day (Free) or the month (Paid)."""
    if settings.plan == "free":
        allowed = (FREE.queue_operations_per_day, FREE.rows_read_per_day, FREE.rows_written_per_day)
        period = "of the day's"
    else:
        allowed = (PAID.queue_operations_included, PAID.rows_read_included, PAID.rows_written_included)
        period = "of the month's"
    names = ("queue operations", "rows read", "rows written")
    return [Used(name, usage.get(name, 0), most, period) for name, most in zip(names, allowed, strict=True)]


def findings(
    settings: AlertSettings, status: Status, failures: Iterable[Failures], used: Iterable[Used]
) -> list[Finding]:
    """One for every alert that is on."""
    made = (
        _depth(settings, status),
        _dead_letters(settings, status),
        _stale(settings, status),
        _errors(settings, list(failures)),
        _allowance(settings, list(used)),
        _size(settings, status),
    )
    return [finding for finding in made if settings.rule(finding.alert).on]


def _depth(settings: AlertSettings, status: Status) -> Finding:
    rule, backlog = settings.depth, status.metrics.backlog
    text = f"{status.queue} holds {backlog:,} messages; {rule.limit:,.0f} are allowed for {rule.minutes:g} minutes"
    return Finding("depth", backlog > rule.limit, backlog, rule.limit, text, round(rule.minutes * 60_000))


def _dead_letters(settings: AlertSettings, status: Status) -> Finding:
    rule, count = settings.dead_letters, status.dead_letters
    worst = f", most of them: {status.causes[0].reason}" if status.causes else ""
    text = f"{status.dead_letter_place} holds {count:,} dead letter{'' if count == 1 else 's'}{worst}"
    return Finding("dead_letters", count > rule.limit, count, rule.limit, text)


def _stale(settings: AlertSettings, status: Status) -> Finding:
    rule = settings.stale
    behind = [
        (one.timeframes, one)
        for one in status.series
        if one.timeframes is not None
        and one.seconds is not None
        and one.timeframes > rule.limit
        and one.seconds > rule.minutes * 60
        and not any(fnmatchcase(one.name, pattern) for pattern in settings.ignore)
    ]
    behind.sort(key=lambda pair: -pair[0])
    named = ", ".join(f"{one.name} {frames:,.0f} timeframes" for frames, one in behind[:_NAMED])
    more = f" and {len(behind) - _NAMED:,} more" if len(behind) > _NAMED else ""
    verb = "is" if len(behind) == 1 else "are"
    text = f"{len(behind):,} of {len(status.series):,} series {verb} stale" + (f": {named}{more}" if behind else "")
    return Finding("stale", bool(behind), len(behind), rule.limit, text)


def _errors(settings: AlertSettings, failures: list[Failures]) -> Finding:
    rule = settings.errors
    worst = max(failures, key=lambda one: one.percent, default=Failures("requests", 0, 0))
    exceeded = any(one.percent > rule.limit and one.failed >= FEWEST_FAILURES for one in failures)
    text = f"{worst.failed:,} of {worst.tried:,} {worst.what} failed within {rule.minutes:g} minutes"
    return Finding("errors", exceeded, worst.percent, rule.limit, f"{text} ({worst.percent:.1f} %)")


def _allowance(settings: AlertSettings, used: list[Used]) -> Finding:
    rule = settings.allowance
    worst = max(used, key=lambda one: one.percent)
    text = f"{worst.percent:.1f} % {worst.period} {worst.what} on the {settings.plan} plan are used"
    return Finding(
        "allowance",
        worst.percent > rule.limit,
        worst.percent,
        rule.limit,
        f"{text}: {worst.used:,} of {worst.allowed:,}",
    )


def _size(settings: AlertSettings, status: Status) -> Finding:
    rule, size = settings.size, status.database_bytes / 1e9
    text = f"{status.database} has {size:.2f} GB of the {D1.database_bytes / 1e9:.0f} GB that D1 allows"
    return Finding("size", size > rule.limit, size, rule.limit, text)
