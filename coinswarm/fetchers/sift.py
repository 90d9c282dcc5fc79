"""What of a source's reply may be queued, and under which name the rest is counted. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Final

from coinswarm.candles import EARLIEST, LATEST, Candle, Timeframe, fault
from coinswarm.fetchers.base import Page, Skipped

EXAMPLES: Final = 5
"""Invalid rows that a report names."""
DISTANCES_TO_JUDGE: Final = 20
"""Fewer neighbours say nothing: in a thin market all of a handful may be two steps apart by chance."""

_open_time = attrgetter("timestamp")


@dataclass(frozen=True, slots=True)
class Window:
    """Which opens a request asked for, unix seconds."""

    timeframe: Timeframe
    top: int
    """The newest open of the whole run."""
    newest: int
    """The newest open asked for now; newer ones were asked for before."""
    since: int | None
    closed_before: float
    """A candle whose bucket ended later was still running when the reply was made."""


@dataclass(slots=True)
class Sifted:
    candles: list[Candle]
    """Closed, sound and wanted, newest first, each open once."""
    before_since: int
    """Rows passed over because they are older than wanted: the source goes on below."""


def sift(page: Page, window: Window, skipped: Skipped) -> Sifted:
    """Part the wheat from the chaff: every row of `page` is returned or counted in `skipped`, never both."""
    for reason in page.malformed:
        _invalid(skipped, reason)
    step = window.timeframe.seconds
    committed = LATEST if page.committed_to is None else page.committed_to
    since = window.since or 0
    sifted = Sifted([], 0)
    for candle in sorted(page.candles, key=_open_time, reverse=True):
        opens = candle.timestamp
        if not (candle.open or candle.high or candle.low or candle.close):
            skipped.before_listing += 1
        elif not EARLIEST <= opens < LATEST:
            _invalid(skipped, fault(candle) or f"timestamp {opens} is out of range")
        elif opens + step > window.closed_before or opens > committed:
            skipped.unfinished += 1
        elif opens > window.top or opens < page.covers_from or opens < since:
            skipped.outside += 1
            sifted.before_since += opens < since
        elif opens > window.newest or (sifted.candles and sifted.candles[-1].timestamp == opens):
            skipped.duplicate += 1
        elif (problem := fault(candle)) is not None:
            _invalid(skipped, f"{candle.symbol} {candle.timeframe} at {opens}: {problem}")
        else:
            sifted.candles.append(candle)
    return sifted


def spacing_fault(page: Page, window: Window) -> str | None:
    """Why the candles of `page` cannot be of the timeframe they are labelled with, or None.

    CoinGecko's candles are 4 days long when one asks for a year; stored as `1d` they would be wrong by a factor of 4.
    """
    opens = sorted(
        {c.timestamp for c in page.candles if c.timestamp + window.timeframe.seconds <= window.closed_before}
    )
    distances = [later - earlier for earlier, later in pairwise(opens)]
    if len(distances) < DISTANCES_TO_JUDGE:
        return None
    step = window.timeframe.seconds
    common, times = Counter(distances).most_common(1)[0]
    shorter = sum(distance < step for distance in distances)
    if shorter * 2 > len(distances):
        return f"{shorter} of {len(distances)} candles labelled {window.timeframe.value} come less than {step} s apart"
    multiples = sum(distance % common == 0 for distance in distances)
    if common > step and times * 2 > len(distances) and multiples * 10 >= len(distances) * 9:
        return f"the candles labelled {window.timeframe.value} come {common} s apart instead of {step} s"
    return None


def count_refused(page: Page, reason: str, skipped: Skipped) -> None:
    """Count every row of a page that is refused as a whole."""
    rows = len(page.candles) + len(page.malformed)
    if rows:
        _invalid(skipped, reason)
        skipped.invalid += rows - 1


def _invalid(skipped: Skipped, reason: str) -> None:
    skipped.invalid += 1
    if len(skipped.examples) < EXAMPLES:
        skipped.examples.append(reason)
