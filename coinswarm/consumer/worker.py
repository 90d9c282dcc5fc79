"""The drain loop: lease a batch, store it, settle it; never the other way round.

One thread leases and settles. Up to `concurrency` batches are being stored meanwhile where the database gains from
calls in parallel (over a network); into a file they go one after the other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Final

from coinswarm.clock import Clock
from coinswarm.config import Consumer
from coinswarm.consumer import verdict
from coinswarm.consumer.pools import pool_for
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.rows import Contents, read
from coinswarm.consumer.store import Stored, store
from coinswarm.consumer.telling import tell_batch
from coinswarm.consumer.unseen import Unseen
from coinswarm.consumer.verdict import BackOff, Verdict
from coinswarm.d1.schema import TABLE, check_price_data
from coinswarm.d1.types import Database
from coinswarm.errors import CoinswarmError, QueuePaused
from coinswarm.failpoints import failpoint
from coinswarm.limits import QUEUE_DEFAULTS, QUEUES
from coinswarm.log import NO_LOG, Log, logged_run
from coinswarm.queue.types import Message, Queue

CONCURRENCY: Final = 5
SHORTEST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.5
"""Between two looks at a queue that delivers nothing now; also how long a request to stop may go unheard."""


class Worker:
    """Drains one queue into the `price_data` of one database. Several may work on the same queue."""

    def __init__(
        self,
        queue: Queue,
        database: Database,
        clock: Clock,
        *,
        concurrency: int = CONCURRENCY,
        batch_size: int = QUEUES.batch_messages,
        visibility_timeout_ms: int | None = None,
        retry_delay_seconds: int = 0,
        jitter: Callable[[], float] = random.random,
        log: Log = NO_LOG,
    ) -> None:
        """`retry_delay_seconds` is the least a retry waits; `jitter` returns 0 to 1 and spreads the back-off."""
        self.queue = queue
        self.database = database
        self.clock = clock
        self.concurrency = concurrency
        self.batch_size = batch_size
        self.visibility_timeout_ms = visibility_timeout_ms
        self.back_off = BackOff(jitter, retry_delay_seconds)
        self.log = log
        self.report = ConsumeReport()
        """What this worker has done so far, over all its drains."""

    def drain(
        self,
        *,
        watch: bool = False,
        max_batches: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        on_batch: Callable[[ConsumeReport], None] = lambda _report: None,
    ) -> ConsumeReport:
        """Work until nothing is waiting, delayed or in flight anywhere; with `watch` until `stop` returns true.

        `stop` ends it after the batches under way; `on_batch` hears of every settled batch. When those are settled and
        the failed one is given back, raises the fatal error that ended it (`SchemaMismatch`, `StorageFull`, …) with the
        report so far, or the unforeseen exception. Nothing is acknowledged that is not stored.
        """
        with logged_run(self.log, "consume", self.clock, queue=self.queue.name) as figures:
            try:
                return self._drain(watch, max_batches, stop, on_batch)
            finally:
                figures |= self.report.figures()

    def _drain(
        self,
        watch: bool,
        max_batches: int | None,
        stop: Callable[[], bool],
        on_batch: Callable[[ConsumeReport], None],
    ) -> ConsumeReport:
        started = self.clock.monotonic()
        self.report.interrupted = False
        pool, takes = pool_for(self.database, self.concurrency)
        try:
            self._note_triggers(check_price_data(self.database))
            unseen = Unseen(self.queue, self.report, self.log)
            with pool:
                _Drain(self, pool, takes, unseen, watch, max_batches, stop, on_batch).run()
            unseen.note()
        except CoinswarmError as error:
            error.report = self.report
            raise
        finally:
            self.report.seconds += self.clock.monotonic() - started
        return self.report

    def _note_triggers(self, found: list[str]) -> None:
        """Say once that a trigger of the user's makes the counts uncertain: D1 counts what it changes with the rows."""
        if found:
            named = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            note = (
                f"{TABLE} has triggers that run on insert ({named}): the numbers of inserted and duplicate rows may be "
                "blurred by what they change; the rows are not"
            )
            if note not in self.report.notes:
                self.report.notes.append(note)


def worker_for(
    declared: Consumer | None,
    queue: Queue,
    database: Database,
    clock: Clock,
    *,
    concurrency: int | None = None,
    batch_size: int | None = None,
    log: Log = NO_LOG,
) -> Worker:
    """The consumer as the configuration declares it, but for what is given here."""
    return Worker(
        queue,
        database,
        clock,
        concurrency=concurrency or (declared.max_concurrency if declared else None) or CONCURRENCY,
        batch_size=batch_size or (declared.max_batch_size if declared else QUEUE_DEFAULTS.batch_size),
        retry_delay_seconds=declared.retry_delay if declared else 0,
        log=log,
    )


class _Drain:
    """The state of one `drain`."""

    def __init__(
        self,
        worker: Worker,
        pool: Executor,
        takes: int,
        unseen: Unseen,
        watch: bool,
        max_batches: int | None,
        stop: Callable[[], bool],
        on_batch: Callable[[ConsumeReport], None],
    ) -> None:
        self.worker = worker
        self.report = worker.report
        self.queue = worker.queue
        self.pool = pool
        self.takes = takes
        self.unseen = unseen
        self.watch = watch
        self.batches_left = math.inf if max_batches is None else max_batches
        self.stop = stop
        self.on_batch = on_batch
        self.in_flight: dict[Future[Stored], tuple[list[Message], Contents]] = {}
        self.begun: dict[Future[Stored], float] = {}
        """When storing began, on the monotonic clock."""
        self.leased: list[list[Message]] = []
        """Batches that nobody has begun to store."""
        self.failure: BaseException | None = None
        self.paused = False
        self.idle_looks = 0

    def run(self) -> None:
        while True:
            self._settle_and_lease()
            if self.leased:
                self.idle_looks = 0
                self._start()
            elif self.in_flight:
                wait(self.in_flight, return_when=FIRST_COMPLETED)
            elif self._is_over():
                break
            else:
                self.unseen.note()
                self._pause()
        if self.failure is not None:
            raise self.failure

    def _settle_and_lease(self) -> None:
        """Settle the batches that are stored and lease as many as may be stored at once, in one commit of the queue."""
        done = [future for future in self.in_flight if future.done()]
        verdicts = [self._verdict(future, *self.in_flight.pop(future)) for future in done]
        begun = [self.begun.pop(future) for future in done]
        verdicts += [verdict.unread(messages) for messages in self.leased]
        room = 0 if self._ending() else self.takes - len(self.in_flight)
        self.leased = []
        if not verdicts and room <= 0:
            return
        with self.queue.transaction():
            settled = [self.queue.settle(one.settlement) for one in verdicts]
            while len(self.leased) < room and (messages := self._lease()):
                self.leased.append(messages)
        if verdicts:
            failpoint("consumer.settled")
        for one, result in zip(verdicts, settled, strict=True):
            one.add_to(self.report, result)
            self.on_batch(self.report)
        now = self.worker.clock.monotonic()
        for one, result, since in zip(verdicts, settled, begun, strict=False):  # what was given back unread has no time
            tell_batch(self.worker.log, self.queue.name, one, result, seconds=now - since)

    def _start(self) -> None:
        """Store what is leased. After a failure seen at once the rest stays leased, to be given back."""
        while self.leased:
            messages = self.leased.pop(0)
            failpoint("consumer.leased")
            try:
                contents = read(messages)
            except Exception as error:  # not to go on: the run ends with it once all leases are given back
                self.leased.insert(0, messages)
                self.failure = error
                return
            begun = self.worker.clock.monotonic()
            future = self.pool.submit(store, self.worker.database, contents.values)
            self.begun[future] = begun
            self.in_flight[future] = messages, contents
            if future.done() and future.exception() is not None:
                return

    def _verdict(self, future: Future[Stored], messages: list[Message], contents: Contents) -> Verdict:
        error = future.exception()
        if error is None:
            return verdict.stored(messages, contents, future.result())
        if not (isinstance(error, CoinswarmError) and error.retryable):
            self.failure = self.failure or error
        return verdict.failed(messages, contents, error, self.worker.back_off)

    def _lease(self) -> list[Message]:
        if self.batches_left <= 0:
            return []
        try:
            messages = self.queue.lease(self.worker.batch_size, visibility_timeout_ms=self.worker.visibility_timeout_ms)
        except QueuePaused:
            self.paused = True
            return []
        self.paused = False
        if messages:
            self.batches_left -= 1
            self.report.batches += 1
            self.report.messages += len(messages)
            if late := sum([message.timed_out for message in messages]):
                self.report.timed_out += late
                self.worker.log.event("messages.timed_out", queue=self.queue.name, messages=late)
        return messages

    def _ending(self) -> bool:
        if self.stop():
            self.report.interrupted = True
        return self.report.interrupted or self.failure is not None or self.batches_left <= 0

    def _is_over(self) -> bool:
        if self._ending():
            return True
        if self.watch:
            return False
        if self.paused:
            self.report.paused = True
            self.report.notes.append(f"delivery from {self.queue.name} is paused; what it holds is still there")
            return True
        return self.queue.wait_hint_ms() is None

    def _pause(self) -> None:
        """Wait until a message may be deliverable: longer each time, and never longer than one may be left unheard."""
        hint = None if self.paused else self.queue.wait_hint_ms()
        longest = LONGEST_PAUSE_SECONDS if not hint else min(LONGEST_PAUSE_SECONDS, hint / 1000)
        self.worker.clock.sleep(min(longest, SHORTEST_PAUSE_SECONDS * 2**self.idle_looks))
        self.idle_looks = min(self.idle_looks + 1, 10)
