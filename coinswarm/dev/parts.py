"""The parts that `coinswarm dev` keeps running: the cron producer and the consumer."""

from __future__ import annotations

from collections.abc import Callable

from coinswarm import wiring
from coinswarm.clock import Clock
from coinswarm.config import Stack
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.worker import worker_for
from coinswarm.cron.runner import Ran
from coinswarm.dev.schedule import cron_runner, producer
from coinswarm.dev.supervisor import Part, Stop
from coinswarm.log import NO_LOG, Log


def cron_part(
    stack: Stack, clock: Clock, *, told: Callable[[Ran], None] = lambda _ran: None, log: Log = NO_LOG
) -> Part:
    """Runs the jobs when they are due. A failed run is told and is no failure of the part."""

    def run(stop: Stop) -> None:
        with cron_runner(stack, clock, producer(stack, clock, stop=stop, log=log), told=told) as runner:
            runner.watch(stop)

    return Part("cron", run)


def consumer_part(
    stack: Stack,
    clock: Clock,
    *,
    told: Callable[[ConsumeReport], None] = lambda _report: None,
    log: Log = NO_LOG,
) -> Part:
    """Drains the queue into the database as it fills."""

    def run(stop: Stop) -> None:
        with wiring.pipeline(stack, clock, remote_queue=False, remote=False, log=log) as (queue, database):
            worker = worker_for(stack.consumer(), queue, database, clock, log=log.for_run())
            worker.drain(watch=True, stop=stop, on_batch=told)

    return Part("consumer", run)
