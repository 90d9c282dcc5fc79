"""What the doctor changes, each with the user's consent. All return what was done, in words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from coinswarm import wiring
from coinswarm.candles import Pair, Timeframe
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.worker import worker_for
from coinswarm.d1.migrate import apply
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchReport, FetchRequest
from coinswarm.limits import QUEUES
from coinswarm.queue.types import ConsumerSettings, QueueStore
from coinswarm.verify.subject import Subject


def create_queue(subject: Subject, name: str) -> str:
    with _queues(subject) as store:  # here, opening the stack's queues makes those that it declares
        if subject.remote or name not in {info.name for info in store.queues()}:
            store.create(name)
    return f"created {name}"


def attach_consumer(subject: Subject) -> str:
    """What keeps the consumer from its messages: that delivery is paused, or that there is none.

    On Cloudflare it is a pull consumer, which needs no Worker: `coinswarm consume --remote-queue` then is the one.
    """
    name, declared = subject.stack.queue(), subject.stack.consumer()
    with _queues(subject) as store:
        info = store.info(name)
        if info.settings.delivery_paused:
            store.change(name, lambda settings: replace(settings, delivery_paused=False))
            return f"resumed delivery from {name}"
        if not info.consumers:
            dead = declared.dead_letter_queue if declared else None
            size = declared.max_batch_size if declared else QUEUES.batch_messages
            store.add_consumer(name, ConsumerSettings(type="http_pull", dead_letter_queue=dead, batch_size=size))
    return f"attached a consumer to {name}"


def migrate(subject: Subject) -> str:
    declared = subject.stack.database()
    with wiring.database(subject.stack, None, subject.clock, remote=subject.remote) as database:
        names = apply(database, wiring.migrations_of(declared), table=declared.migrations_table)
    return f"applied {', '.join(names)}" if names else "no migration was pending"


def fetch(subject: Subject) -> FetchReport:
    """One page of what `coinswarm fetch` fetches without arguments."""
    stack, clock = subject.stack, subject.clock
    wanted = stack.fetch
    request = FetchRequest(Pair.parse(wanted.pair), Timeframe.parse(wanted.timeframe), limit=wanted.limit)
    with (
        wiring.fetcher(stack, wanted.source, clock) as fetcher,
        wiring.ingest_queue(stack, clock, remote=subject.remote) as queue,
    ):
        return collect(fetcher, queue, request, clock=clock)


def consume(subject: Subject, on_depth: Callable[[int], None]) -> tuple[ConsumeReport, int]:
    """Drain the queue; what came of it, and how many messages are left. `on_depth` hears how it falls."""
    stack, clock, remote = subject.stack, subject.clock, subject.remote
    with wiring.pipeline(stack, clock, remote_queue=remote, remote=remote) as (queue, database):
        worker = worker_for(stack.consumer(), queue, database, clock)
        report = worker.drain(on_batch=lambda _report: on_depth(queue.metrics().backlog))
        return report, queue.metrics().backlog


def _queues(subject: Subject) -> AbstractContextManager[QueueStore]:
    return wiring.queues(subject.stack, subject.clock, remote=subject.remote)
