"""Collect a plan: every series' newest closed candles, together into as few messages as there can be.

A message bills the same whether it holds five candles or ten, so candles of different series and sources share them:
195 points are 20 messages, where one message a series would be 39. Whole messages leave after every source, the last
one, not full, at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from typing import Final

from coinswarm.candles import Candle
from coinswarm.clock import Clock
from coinswarm.collecting.report import CollectReport, SourceStatus
from coinswarm.config.plan import Plan, Series
from coinswarm.errors import (
    CoinswarmError,
    FetchFailed,
    QuotaExhausted,
    SourceError,
    SourceRefused,
    UnknownPair,
    UnsupportedTimeframe,
)
from coinswarm.fetchers.base import Fetcher
from coinswarm.fetchers.enqueue import enqueue
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchReport, FetchRequest, iso
from coinswarm.log import NO_LOG, Log, logged_run
from coinswarm.payload import ROWS_PER_MESSAGE
from coinswarm.queue.types import Queue

FAILURES_IN_A_ROW: Final = 2
"""Then a source is not asked for its other series: each would wait through all its retries again."""

OpenFetcher = Callable[[str], AbstractContextManager[Fetcher]]
"""A source's fetcher, for the time of a block."""
Waiting = Callable[[], AbstractContextManager[None]]


def collect_plan(
    plan: Plan,
    queue: Queue,
    open_fetcher: OpenFetcher,
    clock: Clock,
    *,
    at_ms: int | None = None,
    rows_per_message: int = ROWS_PER_MESSAGE,
    stop: Callable[[], bool] = lambda: False,
    waiting: Waiting = nullcontext,
    on_source: Callable[[SourceStatus], None] = lambda _status: None,
    log: Log = NO_LOG,
) -> CollectReport:
    """Fetch and queue what had closed by `at_ms` (default: now). A source that fails is told of in the report and keeps
    none of the others from being collected; `report.error()` is what the run then ends with.

    Raises what the queue raises, with the report so far: then there is nowhere to put anything.
    """
    run = _Run(plan, queue, clock, at_ms, rows_per_message, stop, waiting, log)
    with logged_run(log, "cron", clock, at=iso(run.report.at_ms // 1000)) as figures:
        began = clock.monotonic()
        try:
            for source, series in groupby(plan.series, key=lambda series: series.source):
                run.source(source, list(series), open_fetcher)
                on_source(run.report.sources[source])
            run.send(all_of_it=True)
        except CoinswarmError as error:
            error.report = run.report
            raise
        finally:
            run.report.seconds = clock.monotonic() - began
            figures |= run.report.figures()
    return run.report


class _Run:
    def __init__(
        self,
        plan: Plan,
        queue: Queue,
        clock: Clock,
        at_ms: int | None,
        rows_per_message: int,
        stop: Callable[[], bool],
        waiting: Waiting,
        log: Log,
    ) -> None:
        self.plan = plan
        self.queue = queue
        self.clock = clock
        self.rows_per_message = rows_per_message
        self.stop = stop
        self.waiting = waiting
        self.log = log
        counts = {source: len(list(series)) for source, series in groupby(plan.series, key=lambda s: s.source)}
        self.report = CollectReport(
            clock.now_ms() if at_ms is None else at_ms,
            {source: SourceStatus(source, series=count) for source, count in counts.items()},
        )
        self.pending: list[Candle] = []
        """Fetched and not yet queued."""

    def source(self, source: str, series: list[Series], open_fetcher: OpenFetcher) -> None:
        """Collect the series of one source, and send the messages they fill."""
        status = self.report.sources[source]
        in_a_row = 0
        try:
            with open_fetcher(source) as fetcher:
                for number, one in enumerate(series):
                    if self.report.interrupted or self.stop():
                        self.report.interrupted = True
                        break
                    in_a_row = self._series(fetcher, one, status, in_a_row)
                    left = len(series) - number - 1
                    if in_a_row >= FAILURES_IN_A_ROW and left:
                        status.fail(f"{left} more series", "not asked for, as the source is failing", count=left)
                        break
        except CoinswarmError as error:  # it cannot even be opened: a wrong address or key
            status.fail("all series", error.message, count=status.series - status.collected - status.failed)
        self.send()

    def _series(self, fetcher: Fetcher, series: Series, status: SourceStatus, in_a_row: int) -> int:
        """Collect one series; how many have failed in a row for reasons of the source, this one included."""
        request = FetchRequest(
            series.pair,
            series.timeframe,
            limit=self.plan.candles,
            to_ts=self.report.at_ms // 1000 - series.timeframe.seconds,
        )
        name = f"{series.pair.symbol} {series.timeframe.value}"
        try:
            fetched = collect(
                fetcher, self.pending, request, clock=self.clock, stop=self.stop, waiting=self.waiting, log=self.log
            )
        except (SourceError, FetchFailed) as failure:
            cause = failure.__cause__ if isinstance(failure, FetchFailed) else failure
            self._take(failure.report, status)
            status.fail(name, cause.message if isinstance(cause, CoinswarmError) else failure.message)
            return in_a_row + _weight(cause)
        self._take(fetched, status)
        if fetched.interrupted:
            self.report.interrupted = True
        elif not fetched.queued:
            status.fail(name, fetched.incomplete or f"sent no candle that closed by {iso(self.report.at_ms // 1000)}")
        else:
            status.collected += 1
        return 0

    def _take(self, fetched: FetchReport, status: SourceStatus) -> None:
        skipped = fetched.skipped
        status.requests += fetched.requests
        status.unfinished += skipped.unfinished
        self.report.skipped += (
            skipped.unfinished + skipped.invalid + skipped.before_listing + skipped.duplicate + skipped.outside
        )
        status.notes += [note for note in fetched.notes if note not in status.notes]

    def send(self, *, all_of_it: bool = False) -> None:
        """Queue what fills messages; the last candles wait for others until there are none."""
        count = len(self.pending)
        going = self.pending[: count if all_of_it else count - count % self.rows_per_message]
        gone = 0
        for sent in enqueue(self.queue, going, self.rows_per_message):
            self._count(going[gone : gone + sent.candles])
            self.report.messages += sent.messages
            self.log.event("messages.queued", queue=self.queue.name, candles=sent.candles, messages=sent.messages)
            gone += sent.candles
        del self.pending[: len(going)]

    def _count(self, candles: list[Candle]) -> None:
        report = self.report
        report.candles += len(candles)
        for candle in candles:
            report.sources[candle.source].candles += 1
            report.oldest = min(candle.timestamp, report.oldest or candle.timestamp)
            report.newest = max(candle.timestamp, report.newest or candle.timestamp)


def _weight(cause: BaseException | None) -> int:
    """How far a failure speaks against the whole source: a pair it does not list says nothing of the next pair."""
    if isinstance(cause, UnknownPair | UnsupportedTimeframe):
        return 0
    return FAILURES_IN_A_ROW if isinstance(cause, SourceRefused | QuotaExhausted) else 1
