"""The cron of a stack: its jobs, what they do, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from coinswarm import wiring
from coinswarm.clock import Clock
from coinswarm.collecting.report import CollectReport, SourceStatus
from coinswarm.collecting.run import collect_plan
from coinswarm.config import Stack
from coinswarm.cron.runner import Action, Job, Ran, Runner, jobs_of
from coinswarm.cron.state import CronState
from coinswarm.log import NO_LOG, Log

FIRES_SHOWN: Final = 3


def cron_file(stack: Stack) -> Path:
    """Where the cron's memory lies: beside the queues."""
    return stack.state_dir / "v3" / "coinswarm" / "cron.sqlite"


def producer(
    stack: Stack,
    clock: Clock,
    *,
    remote: bool = False,
    stop: Callable[[], bool] = lambda: False,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    on_source: Callable[[SourceStatus], None] = lambda _status: None,
    log: Log = NO_LOG,
) -> Action:
    """What every fire does: collect the plan into the queue."""

    def collect(_job: Job, fire_ms: int) -> CollectReport:
        with wiring.ingest_queue(stack, clock, remote=remote) as queue:
            return collect_plan(
                stack.plan,
                queue,
                lambda source: wiring.fetcher(stack, source, clock, log),
                clock,
                at_ms=fire_ms,
                stop=stop,
                waiting=waiting,
                on_source=on_source,
                log=log.for_run(),
            )

    return collect


@contextmanager
def cron_runner(
    stack: Stack, clock: Clock, action: Action, *, told: Callable[[Ran], None] = lambda _ran: None
) -> Iterator[Runner]:
    """The runner of the stack's jobs, with its memory open."""
    with CronState(cron_file(stack)) as state:
        yield Runner(jobs_of(stack.crons), state, clock, action, missed=stack.plan.missed, told=told)


def described(stack: Stack, clock: Clock) -> list[dict[str, Any]]:
    """Every job with its next fires and its last run. Makes no file where none is."""
    jobs = jobs_of(stack.crons)
    if not cron_file(stack).exists():
        return [_described(job, clock, None) for job in jobs]
    with CronState(cron_file(stack)) as state:
        return [_described(job, clock, state) for job in jobs]


def _described(job: Job, clock: Clock, state: CronState | None) -> dict[str, Any]:
    last = state.last(job.key) if state else None
    return {
        "cron": job.schedule.expression,
        "worker": job.worker,
        "file": job.file,
        "next": [fire // 1000 for fire in job.schedule.fires(clock.now_ms(), FIRES_SHOWN)],
        "last": last.as_json() if last else None,
    }
