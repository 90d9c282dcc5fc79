"""What the children do: the product's own functions, under the faults of one step."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from coinswarm import fetchers
from coinswarm.candles import Pair, Timeframe
from coinswarm.chaos.faulty import FaultyDatabase
from coinswarm.chaos.plan import POISON, Step
from coinswarm.chaos.process import Trigger
from coinswarm.chaos.witness import watch
from coinswarm.chaos.world import World
from coinswarm.consumer.worker import Worker
from coinswarm.d1.ingest import ingest, statements
from coinswarm.d1.migrate import apply, migrations_in
from coinswarm.d1.remote import RemoteDatabase
from coinswarm.d1.types import Database
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchRequest
from coinswarm.queue.cloudflare import CloudflareQueueStore
from coinswarm.queue.types import OutgoingMessage, Queue
from coinswarm.storage import connect

PATIENCE: Final = 150
"""Pauses after which a consumer is asked to stop: leases of the dead may be hidden for a day by a clock set wrongly."""
HOLD_SECONDS: Final = 0.15
"""For so long a lock is held: longer than anybody waits for it."""

Report = dict[str, Any]


def work(world: World, step: Step) -> Callable[[Trigger], Report]:
    """The job of a step, for a child to run."""

    def run(trigger: Trigger) -> Report:
        job = _Job(world, step, trigger)
        if step.disk:
            _limit_files(world.database_file.parent if step.job == "import" else world.stack.state_dir, step.disk)
        return job.run()

    return run


class _Job:
    def __init__(self, world: World, step: Step, trigger: Trigger) -> None:
        self.world = world
        self.step = step
        self.trigger = trigger
        self.answers = dict(step.answers)
        self.faults: Counter[str] = Counter()
        trigger.announces = "consumer.leased" if step.job == "consume" else ""
        trigger.on_open = lambda opened: watch(opened, step.job, world.clock.now_ms)

    def run(self) -> Report:
        actions: dict[str, Callable[[], Report]] = {
            "migrate": self._migrate,
            "import": self._import,
            "fetch": self._fetch,
            "poison": self._poison,
            "consume": self._consume,
            "purge": self._purge,
            "redrive": self._redrive,
        }
        try:
            return actions[self.step.job]()
        finally:
            for name, count in self.faults.items():
                self.trigger.tell({"fault": name, "count": count})

    def _migrate(self) -> Report:
        with closing(self.world.local_database()) as database, self.world.queues():
            return {"applied": apply(database, migrations_in(self.world.migrations))}

    def _import(self) -> Report:
        world = self.world
        with world.import_file.open("rb") as file:
            done = ingest(world.database_file, statements(file), clock=world.clock, stop=lambda: False)
        return {"queries": done.queries}

    def _fetch(self) -> Report:
        world, span = self.world, self.world.plan.spans[self.step.span]
        request = FetchRequest(
            Pair.parse(span.symbol),
            Timeframe.parse(span.timeframe),
            limit=1_000,
            to_ts=span.last,
            since=span.first,
            pages=None,
        )
        with (
            world.http({}, self._met, self._here) as client,
            self._queue() as queue,
        ):
            fetcher = fetchers.build(
                span.source,
                client=client,
                clock=world.clock,
                base_url=world.environment[f"COINSWARM_{span.source.upper()}_URL"],
            )
            report = collect(fetcher, queue, request, clock=world.clock)
        return {"queued": report.queued, "requests": report.requests, "whole": report.queued == len(world.truth(span))}

    def _poison(self) -> Report:
        with self._queue() as queue:
            queue.send_batch([OutgoingMessage(body) for body in self.world.poison(self.step.span, POISON)])
        return {}

    def _consume(self) -> Report:
        clock = self.world.clock
        began = clock.pauses
        with self._queue() as queue, self._database() as database:
            jitter = random.Random(f"{self.world.plan.seed}/{self.step}").random
            worker = Worker(queue, database, clock, batch_size=self.step.batch, jitter=jitter)
            patience = PATIENCE if not self.step.last else 100 * PATIENCE
            report = worker.drain(max_batches=self.step.most_batches, stop=lambda: clock.pauses - began > patience)
        return report.as_json()

    def _purge(self) -> Report:
        with self.world.queues() as store:
            return {"purged": store.open(self.world.stack.queue()).purge()}

    def _redrive(self) -> Report:
        with self.world.queues() as store:
            return {"redriven": store.dead_letters(self.world.letters).redrive().count}

    @contextmanager
    def _queue(self) -> Iterator[Queue]:
        world = self.world
        if world.plan.mode != "rest":
            with world.queues() as store:
                yield store.open(world.stack.queue())
            return
        with world.http(self.answers, self._met, self._here) as client:
            yield CloudflareQueueStore(world.api(client)).open(world.stack.queue())

    @contextmanager
    def _database(self) -> Iterator[Database]:
        world = self.world
        if world.plan.mode == "local":
            with closing(world.local_database()) as local:
                yield FaultyDatabase(local, self.answers, self._met)
            return
        with world.http(self.answers, self._met, self._here) as client:
            yield RemoteDatabase.open(world.api(client), world.stack.database(None).name, idempotent_batches=True)

    def _met(self, fault: str) -> None:
        self.faults[fault] += 1

    def _here(self, place: str) -> None:
        self.trigger(place)


def hold_lock(path: Path) -> Callable[[Trigger], Report]:
    """Another program in the middle of a transaction."""

    def run(trigger: Trigger) -> Report:
        with closing(connect(path, create=False)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            trigger.tell({"ready": True})
            time.sleep(HOLD_SECONDS)
            connection.execute("ROLLBACK")
        return {}

    return run


def _limit_files(folder: Path, more: int) -> None:
    """The system refuses to let a file grow further, as a full disk would."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    largest = max((path.stat().st_size for path in files), default=0)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + more, hard))
