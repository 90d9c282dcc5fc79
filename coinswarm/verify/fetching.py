"""V17 to V19: fetching goes through the queue, and never into D1.

A real `fetch` with the stack's own settings, from a simulated exchange into a scratch folder: nothing of the user's is
touched, no exchange is asked.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from coinswarm import wiring
from coinswarm.candles import Pair, Timeframe
from coinswarm.clock import Clock
from coinswarm.config import Secret, Stack
from coinswarm.d1.path import database_path
from coinswarm.errors import UnknownPair, UnsupportedTimeframe
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchReport, FetchRequest
from coinswarm.limits import QUEUES
from coinswarm.payload import ROWS_PER_MESSAGE
from coinswarm.queue.types import Departures, Message, Metrics, OutgoingMessage, Queue, Settled, Settlement
from coinswarm.verify.check import Outcome, failed, passed, warned
from coinswarm.verify.subject import Subject

KNOWN_PAIR: Final = "BTC-USD"
KNOWN_TIMEFRAME: Final = "4h"
"""Every simulated exchange has these; they stand in where it lacks the configured ones."""
_BUG: Final = "This is a fault of coinswarm itself: please report it with the output of the same command and --json."


@dataclass(frozen=True, slots=True)
class Trial:
    """What one fetch did."""

    source: str
    symbol: str
    candles: int
    messages: int
    depth: int
    """Messages by which the queue rose."""
    calls: int
    """Of `send_batch`."""
    wrote_to_d1: bool


class Counted:
    """A queue that counts how often it is sent to."""

    def __init__(self, inner: Queue) -> None:
        self._inner = inner
        self.calls = 0

    @property
    def name(self) -> str:
        return self._inner.name

    def send_batch(self, messages: Sequence[OutgoingMessage], *, delay_seconds: int | None = None) -> list[str]:
        self.calls += 1
        return self._inner.send_batch(messages, delay_seconds=delay_seconds)

    def lease(self, batch_size: int, *, visibility_timeout_ms: int | None = None) -> list[Message]:
        return self._inner.lease(batch_size, visibility_timeout_ms=visibility_timeout_ms)

    def settle(self, settlement: Settlement) -> Settled:
        return self._inner.settle(settlement)

    def transaction(self) -> AbstractContextManager[None]:
        return self._inner.transaction()

    def wait_hint_ms(self) -> int | None:
        return self._inner.wait_hint_ms()

    def metrics(self) -> Metrics:
        return self._inner.metrics()

    def departures(self) -> Departures:
        return self._inner.departures()

    def peek(self, limit: int = 10) -> list[Message]:
        return self._inner.peek(limit)

    def purge(self, stop: Callable[[], bool] = lambda: False) -> int:
        return self._inner.purge(stop)


def uses_queue(subject: Subject) -> Outcome:
    trial = subject.once("trial", lambda: try_out(subject))
    expected = math.ceil(trial.candles / ROWS_PER_MESSAGE)
    evidence = {"candles": trial.candles, "messages": trial.messages, "depth": trial.depth, "source": trial.source}
    if trial.wrote_to_d1:
        return failed(f"fetching {trial.candles:,} candles wrote to D1", _BUG, **evidence)
    if not trial.candles:
        hint = "Choose a pair, source and timeframe that exist in coinswarm.toml."
        return failed(f"fetching {trial.symbol} from simulated {trial.source} queued nothing", hint, **evidence)
    if trial.depth != expected:
        text = f"fetching {trial.candles:,} candles raised the queue by {trial.depth:,}, not {expected:,} messages"
        return failed(text, _BUG, **evidence)
    text = f"fetch uses the queue: {trial.candles:,} candles raised it by {trial.depth:,}, D1 by none"
    return passed(text, **evidence)


def queue_binding(subject: Subject) -> Outcome:
    queue = subject.stack.queue()
    bound = [producer for producer in subject.stack.producers if producer.queue == queue]
    if not bound:
        others = ", ".join(dict.fromkeys(producer.queue for producer in subject.stack.producers))
        hint = f'Bind it: queue = "{queue}" below [[queues.producers]] in the wrangler file.'
        return failed(f"the producer is bound to {others or 'no queue'}, the consumer reads {queue}", hint)
    info = subject.queue_info() if subject.remote else None
    worker = info is not None and info.consumers and info.consumers[0].settings.type == "worker"
    if info is not None and worker and info.producers and not {p.worker for p in bound} & set(info.producers):
        text = f"on Cloudflare {queue} is bound by {', '.join(info.producers)}, not {bound[0].worker}"
        return failed(text, subject.how_to_deploy(bound[0].worker))
    return passed(f"{bound[0].worker} has the queue binding {bound[0].binding} to {queue}", binding=bound[0].binding)


def batch_sending(subject: Subject) -> Outcome:
    trial = subject.once("trial", lambda: try_out(subject))
    fewest = math.ceil(trial.messages / QUEUES.batch_messages)
    most = 2 * fewest + 1  # 256 KB a batch may part some, and pages end where they end
    text = f"fetch sends in batches: {trial.messages:,} messages in {trial.calls:,} calls"
    if trial.calls > most:
        return warned(text, _BUG, calls=trial.calls, fewest=fewest)
    return passed(text, calls=trial.calls, fewest=fewest)


def try_out(subject: Subject) -> Trial:
    """Fetch one page from the simulator as the stack is configured to; the user's API keys stay here."""
    from coinswarm.simulator import Simulator

    fetch = subject.stack.fetch
    with tempfile.TemporaryDirectory(prefix="coinswarm-verify-") as folder, Simulator(clock=subject.clock) as simulator:
        key = {fetch.source: Secret("simulated")} if fetch.source in subject.stack.api_keys else {}
        stack = replace(
            subject.stack,
            state_dir=Path(folder),
            source_urls=MappingProxyType({fetch.source: simulator.url(fetch.source)}),
            api_keys=MappingProxyType(key),
        )
        try:
            return _fetch(stack, fetch.pair, fetch.timeframe, subject.clock)
        except (UnknownPair, UnsupportedTimeframe):
            return _fetch(stack, KNOWN_PAIR, KNOWN_TIMEFRAME, subject.clock)


def _fetch(stack: Stack, pair: str, timeframe: str, clock: Clock) -> Trial:
    source = stack.fetch.source
    request = FetchRequest(Pair.parse(pair), Timeframe.parse(timeframe), limit=stack.fetch.limit)
    with wiring.fetcher(stack, source, clock) as fetcher, wiring.ingest_queue(stack, clock) as opened:
        queue = Counted(opened)
        before = queue.metrics().backlog
        report: FetchReport = collect(fetcher, queue, request, clock=clock)
        depth = queue.metrics().backlog - before
    files: list[Any] = [database_path(d.local_id, stack.state_dir) for d in stack.databases]
    wrote = any(path.exists() for path in files)
    return Trial(source, request.pair.symbol, report.queued, report.messages, depth, queue.calls, wrote)
