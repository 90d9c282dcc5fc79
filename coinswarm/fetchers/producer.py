"""Paging, the only place it exists: a source's pages, newest first and backwards in time, into the queue.

What is queued stays queued: a page that fails ends the run with `FetchFailed`, which says what was queued before it and
which command continues. Paging ends on proof (the source says so, `since` is reached, as many pages as asked for),
never because a reply was short or empty: outages, thin markets and source limits look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from coinswarm.candles import EARLIEST, Candle, gaps
from coinswarm.clock import Clock
from coinswarm.errors import (
    CoinswarmError,
    FetchFailed,
    SourceError,
    StorageFull,
    UnknownPair,
    UnsupportedTimeframe,
    UsageError,
)
from coinswarm.failpoints import failpoint
from coinswarm.fetchers.base import Fetcher, Page, PageRequest
from coinswarm.fetchers.enqueue import Sent, enqueue
from coinswarm.fetchers.report import FetchReport, FetchRequest, iso
from coinswarm.fetchers.sift import Window, count_refused, sift, spacing_fault
from coinswarm.interrupt import Interrupted
from coinswarm.log import NO_LOG, Log, described, logged_run
from coinswarm.queue.types import Queue

FULL_HINT: Final = "Free some space; the candles that were not queued are fetched again by the command below."
MAX_REQUESTS: Final = 100_000
"""Five times what Coinbase's whole history of minutes takes; more means the paging goes nowhere."""


def collect(
    fetcher: Fetcher,
    queue: Queue | list[Candle],
    request: FetchRequest,
    *,
    clock: Clock,
    on_page: Callable[[FetchReport], None] = lambda _report: None,
    stop: Callable[[], bool] = lambda: False,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    max_requests: int = MAX_REQUESTS,
    log: Log = NO_LOG,
) -> FetchReport:
    """Fetch what `request` asks for and queue it; `on_page` hears of every page, `stop` is asked before every request.

    A list in the queue's place takes the candles, for who queues them together with others, and no log tells of it.
    A request is made inside `waiting()`, which may break it off with `Interrupted`: that is a stop, too.

    Raises `UsageError` for times in the future, a `SourceError` that no repetition can cure while nothing is queued,
    and `FetchFailed` for all else that goes wrong at the source or the queue. The errors carry the report so far.
    """
    run = _Run(fetcher, queue, request, clock, waiting, max_requests, log)
    with logged_run(log, "fetch", clock, **run.series) as figures:
        try:
            return run.collect(on_page, stop)
        finally:
            report = run.report
            figures |= {"candles": report.queued, "messages": report.messages, "requests": report.requests}
            figures["interrupted"] = report.interrupted


class _Run:
    def __init__(
        self,
        fetcher: Fetcher,
        queue: Queue | list[Candle],
        request: FetchRequest,
        clock: Clock,
        waiting: Callable[[], AbstractContextManager[None]],
        max_requests: int,
        log: Log,
    ) -> None:
        self.fetcher = fetcher
        self.queue = queue
        self.request = request
        self.clock = clock
        self.waiting = waiting
        self.max_requests = max_requests
        self.log = log
        self.series = {
            "source": fetcher.source,
            "symbol": request.pair.symbol,
            "timeframe": request.timeframe.value,
        }
        self.report = FetchReport(fetcher.source, request)
        self.top = self._newest_closed(request)
        self.cursor: int | None = self.top
        """The newest open not yet fetched; None when there is nothing older."""
        self.kept: list[Candle] = []
        """Fetched and not yet queued, newest first: less than one reply more than a page."""
        self.edge: int | None = None
        """Open of the oldest candle of the last page queued."""
        self.sparse = False
        """The last reply held fewer candles than it might: windows of time are not full, so ask for wide ones."""

    def _newest_closed(self, request: FetchRequest) -> int:
        now = self.clock.now_ms() // 1000
        for name, moment in (("--to-ts", request.to_ts), ("--since", request.since)):
            if moment is not None and moment > now:
                raise UsageError(f"{name} {moment} ({iso(moment)}) lies in the future; it is {iso(now)} here")
        if request.to_ts is not None and request.to_ts < EARLIEST:
            raise UsageError(f"--to-ts {request.to_ts} ({iso(request.to_ts)}) is older than any candle")
        newest = now - request.timeframe.seconds
        return self._on_grid(newest if request.to_ts is None else min(newest, request.to_ts))

    def _on_grid(self, moment: int) -> int:
        return moment - moment % self.request.timeframe.grid

    def collect(self, on_page: Callable[[FetchReport], None], stop: Callable[[], bool]) -> FetchReport:
        report = self.report
        while not self._done():
            failure = self._gather(stop)
            self._queue_page()
            if failure is not None:
                raise self._failed(failure, self._next())
            if report.interrupted:
                break
            report.pages += 1
            report.next_to_ts = self._next()
            on_page(report)
        report.next_to_ts = self._next()
        report.skipped.outside += len(self.kept)
        if report.next_to_ts is None:
            report.doubt_nothing(self.top)
        return report

    def _done(self) -> bool:
        if self.request.pages is not None and self.report.pages >= self.request.pages:
            return True
        return not self.kept and self._wanted() is None

    def _wanted(self) -> int | None:
        """The newest open still to be asked for, if any."""
        if self.cursor is None or (self.request.since is not None and self.cursor < self.request.since):
            return None
        return self.cursor

    def _next(self) -> int | None:
        """The newest open that is neither queued nor counted."""
        return self.kept[0].timestamp if self.kept else self.cursor

    def _gather(self, stop: Callable[[], bool]) -> SourceError | None:
        """Ask until a page is full or nothing is left; the error that ended it, if one did."""
        while len(self.kept) < self.request.limit and (cursor := self._wanted()) is not None:
            if stop():
                self.report.interrupted = True
                return None
            if self.report.requests >= self.max_requests:
                return SourceError(self.fetcher.source, f"no end after {self.max_requests} requests")
            try:
                self._ask(cursor)
            except Interrupted:
                self.report.interrupted = True
                return None
            except SourceError as error:
                self.log.event("source.failed", **self.series, **described(error), retryable=error.retryable)
                return error
        return None

    def _ask(self, cursor: int) -> None:
        wanted = self._how_many(cursor)
        asked_at = self.clock.now_ms() / 1000
        try:
            with self.waiting():
                page = self.fetcher.page(PageRequest(self.request.pair, self.request.timeframe, cursor, wanted))
        except SourceError:
            self.report.requests += 1
            raise
        self.report.requests += page.requests
        self._tell_page(page)
        closed_before = asked_at if page.as_of is None else min(asked_at, page.as_of)
        window = Window(self.request.timeframe, self.top, cursor, self.request.since, closed_before)
        self._check(page, window)
        sifted = sift(page, window, self.report.skipped)
        self.kept += sifted.candles
        self.sparse = len(sifted.candles) < wanted
        for text in (page.note, page.remark):
            if text:
                self.report.note(text)
        self._move(page, cursor, more_below=sifted.before_since > 0)

    def _tell_page(self, page: Page) -> None:
        opens = [candle.timestamp for candle in page.candles]
        self.log.event(
            "page.fetched",
            **self.series,
            candles=len(opens),
            oldest=min(opens, default=None),
            newest=max(opens, default=None),
            requests=page.requests,
        )

    def _how_many(self, cursor: int) -> int:
        most = self.fetcher.page_limit(self.request.timeframe)
        last_page = self.request.pages is not None and self.report.pages + 1 >= self.request.pages
        if last_page and not self.sparse:
            most = min(most, self.request.limit - len(self.kept))
        if self.request.since is not None:
            most = min(most, (cursor - self.request.since) // self.request.timeframe.seconds + 1)
        return most

    def _check(self, page: Page, window: Window) -> None:
        """Refuse a reply whose candles are not of this timeframe, or that would keep paging on the spot."""
        problem = spacing_fault(page, window)
        if problem is None and page.covers_from > window.newest and not page.exhausted:
            problem = (
                f"asked for candles up to {iso(window.newest)}, but the reply begins at {iso(page.covers_from)}: "
                "the cursor does not move"
            )
        if problem is not None:
            count_refused(page, problem, self.report.skipped)
            raise SourceError(
                self.fetcher.source,
                problem,
                hint="Nothing of this reply was queued; please report it with the command.",
            )

    def _move(self, page: Page, cursor: int, *, more_below: bool) -> None:
        since = self.request.since
        reached = min(page.covers_from, cursor + 1)
        if since is not None and reached < since:
            reached = since
        below = self._on_grid(reached - 1)
        if page.exhausted and page.note:
            oldest = page.candles[0].timestamp if page.candles else self.kept[-1].timestamp if self.kept else self.edge
            self.report.explain_limit(page.note, oldest)
        self.cursor = None if below < EARLIEST or (page.exhausted and not more_below) else below

    def _queue_page(self) -> None:
        """Queue up to a page of what is kept, oldest first; what is more stays kept."""
        page = self.kept[: self.request.limit]
        page.reverse()
        queued = 0
        try:
            for sent in self._send(page):
                failpoint("producer.queued")
                self._count(page[queued], page[queued + sent.candles - 1], sent)
                queued += sent.candles
        except CoinswarmError as error:
            self._note_gaps(page[:queued])
            raise self._failed(error, page[-1].timestamp) from error
        del self.kept[: len(page)]
        if page:
            self._note_gaps(page, before=self.edge)
            self.edge = page[0].timestamp

    def _send(self, page: list[Candle]) -> Iterator[Sent]:
        if not isinstance(self.queue, list):
            return enqueue(self.queue, page, self.request.rows_per_message, dry_run=self.request.dry_run)
        self.queue += page
        return iter([Sent(len(page), 0)] if page else [])

    def _count(self, first: Candle, last: Candle, sent: Sent) -> None:
        report = self.report
        report.queued += sent.candles
        report.messages += sent.messages
        if not self.request.dry_run and not isinstance(self.queue, list):
            self.log.event(
                "messages.queued", **self.series, queue=self.queue.name, candles=sent.candles, messages=sent.messages
            )
        report.oldest = first.timestamp if report.oldest is None else min(report.oldest, first.timestamp)
        report.newest = last.timestamp if report.newest is None else max(report.newest, last.timestamp)

    def _note_gaps(self, ascending: list[Candle], *, before: int | None = None) -> None:
        opens = [candle.timestamp for candle in ascending]
        if before is not None:
            opens.append(before)
        for gap in reversed(gaps(opens, self.request.timeframe)):
            self.report.add_gap(gap)

    def _failed(self, error: CoinswarmError, resume_to_ts: int | None) -> CoinswarmError:
        """`error` with the report so far, and how to go on unless going on cannot help."""
        report = self.report
        report.next_to_ts = resume_to_ts
        if isinstance(error, SourceError) and not error.retryable and not report.queued:
            if isinstance(error, UnknownPair | UnsupportedTimeframe):
                report.next_to_ts = None  # no repetition brings what there is not
            error.report = report
            return error
        continues = report.next_trigger or self.request.command(report.source)
        before = f"{report.message} before that" if report.queued else "Nothing was queued"
        hint = FULL_HINT if error.hint == StorageFull.default_hint else error.hint
        failed = FetchFailed(
            f"{error.message.rstrip('.')}. {before}.",
            hint="\n".join(filter(None, (hint, f"Continue with: {continues}"))),
        )
        failed.report = report
        failed.resume_to_ts = resume_to_ts
        failed.__cause__ = error
        return failed
