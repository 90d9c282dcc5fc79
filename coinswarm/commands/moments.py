"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

from coinswarm.candles import EARLIEST, LATEST
from coinswarm.errors import UsageError

_HOW_TO_WRITE_A_TIME = "Write unix seconds, 2024-01-31 or 2024-01-31T12:00:00Z."


def moment(flag: str, text: str | None, now: int) -> int | None:
    """Unix seconds from what a person writes. Raises `UsageError`: milliseconds and the future are never guessed at."""
    if text is None:
        return None
    try:
        found = int(text)
    except ValueError:
        found = _iso_moment(flag, text)
    else:
        _check_seconds(flag, found, now)
    if found > now:
        raise UsageError(f"{flag} {text} lies in the future", hint="Candles are only stored once they are closed.")
    return found


def _iso_moment(flag: str, text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{flag} {text!r} is not a time", hint=_HOW_TO_WRITE_A_TIME) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def _check_seconds(flag: str, moment: int, now: int) -> None:
    if 0 <= moment < LATEST:
        return
    hint = _HOW_TO_WRITE_A_TIME
    for unit, factor in (("Milliseconds", 1_000), ("Microseconds", 1_000_000), ("Nanoseconds", 1_000_000_000)):
        if EARLIEST <= moment // factor <= now:
            hint = f"{unit}? Then: {flag} {moment // factor}"
    raise UsageError(f"{flag} {moment} is not in unix seconds", hint=hint)
