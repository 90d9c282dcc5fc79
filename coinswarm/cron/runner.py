"""Runs jobs when they are due: one at a time on this machine, with missed fires skipped, run once or all, as chosen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from coinswarm.clock import Clock
from coinswarm.config import Cron
from coinswarm.cron.schedule import Schedule
from coinswarm.cron.state import CronBusy, CronState, PastRun
from coinswarm.errors import CoinswarmError, UsageError

GRACE_MS: Final = 60_000
"""A fire is on time for so long; later it is one that was missed."""
AHEAD_MS: Final = 3_600_000
"""A fire remembered from so far in the future tells of a clock that was wrong then, not of work done."""
MOST_MISSED: Final = 10_000
"""Fires that `all` makes up for: the newest of them."""
LONGEST_PAUSE_SECONDS: Final = 0.5
"""How long a request to stop may go unheard."""


class Result(Protocol):
    """What a run says of itself."""

    interrupted: bool

    @property
    def ok(self) -> bool: ...
    @property
    def message(self) -> str: ...
    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One cron trigger of a Worker."""

    worker: str
    schedule: Schedule
    file: str

    @property
    def key(self) -> str:
        """What its fires are remembered under: a changed expression is another job."""
        return f"{self.worker} {self.schedule.expression}"

    def known_as(self, name: str) -> bool:
        return name in (self.worker, self.schedule.expression, self.key) or name.upper() == self.schedule.expression


Action = Callable[[Job, int], Result]
"""Does what a fire is for; the fire's moment in milliseconds. Raises `CoinswarmError`."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run and what came of it."""

    past: PastRun
    result: Result | None
    error: CoinswarmError | None = None


def jobs_of(crons: Iterable[Cron]) -> list[Job]:
    """The jobs that the configuration's cron triggers are, each once."""
    return list(dict.fromkeys(Job(cron.worker, Schedule.parse(cron.expression), cron.file) for cron in crons))


def choose(jobs: Sequence[Job], name: str | None) -> Job:
    """The job known by this name: its worker's or its expression. Raises `UsageError` where the answer is not one."""
    found = [job for job in jobs if name is None or job.known_as(name)]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{job.worker} ({job.schedule.expression})" for job in found or jobs)
    if not jobs:
        raise UsageError("no cron trigger is configured", hint='Add [triggers] with crons = ["*/30 * * * *"].')
    if not found:
        raise UsageError(f"there is no cron trigger {name!r}", hint=f"Known: {listed}")
    raise UsageError("which cron trigger is not clear", hint=f"Say which one by worker or expression: {listed}")


class Runner:
    """Sees to it that jobs run. Not to be shared between threads; other processes may have runners of their own."""

    def __init__(
        self,
        jobs: Sequence[Job],
        state: CronState,
        clock: Clock,
        action: Action,
        *,
        missed: str = "skip",
        told: Callable[[Ran], None] = lambda _ran: None,
    ) -> None:
        self.jobs = jobs
        self.state = state
        self.clock = clock
        self.action = action
        self.missed = missed
        self.told = told
        self._on_time: dict[str, int] = {}
        """By job, the newest fire that was seen on time: if it has to wait for another run, it is not a missed one."""

    def due(self, job: Job) -> list[int]:
        """The fires of `job` to run now, oldest first. Accounts for those passed over, which needs no right to run."""
        now = self.clock.now_ms()
        since = self._since(job, now)
        if since is None:
            self.state.begin(job.key, now, ahead_ms=AHEAD_MS)  # seen for the first time: nothing was missed before
            return []
        passed = deque(job.schedule.between(since, now), maxlen=MOST_MISSED)
        if not passed or self.missed == "all":
            return list(passed)
        newest = passed[-1]
        if self.missed == "once" or now - newest < GRACE_MS or self._on_time.get(job.key, since) > since:
            return [newest]
        self.state.see(job.key, newest)
        return []

    def run_due(self, stop: Callable[[], bool] = lambda: False) -> list[Ran]:
        """Run what is due, one after the other. A fire that finds another run under way stays due."""
        ran: list[Ran] = []
        for job in self.jobs:
            self._notice(job)
        for job in self.jobs:
            if not self.due(job):  # so that nobody is told of a run under way while there is none
                continue
            try:
                with self.state.alone():
                    for fire in self.due(job):
                        if stop():
                            return ran
                        ran.append(self._run(job, fire, manual=False))
            except CronBusy:
                continue
        return ran

    def run_now(self, job: Job, fire_ms: int | None = None) -> Ran:
        """Run `job` at once, as for a fire at `fire_ms` (default: now). Raises `CronBusy`."""
        with self.state.alone():
            return self._run(job, self.clock.now_ms() if fire_ms is None else fire_ms, manual=True)

    def watch(self, stop: Callable[[], bool]) -> None:
        """Run what becomes due until `stop` returns true."""
        while not stop():
            self.run_due(stop)
            until = min((job.schedule.next_ms(self.clock.now_ms()) for job in self.jobs), default=None)
            wait = LONGEST_PAUSE_SECONDS if until is None else (until - self.clock.now_ms()) / 1000
            self.clock.sleep(max(0.001, min(LONGEST_PAUSE_SECONDS, wait)))

    def _notice(self, job: Job) -> None:
        now = self.clock.now_ms()
        for fire in job.schedule.between(now - GRACE_MS, now):
            self._on_time[job.key] = fire

    def _since(self, job: Job, now: int) -> int | None:
        """The last fire accounted for; None for a job never seen, or seen when the clock was ahead."""
        since = self.state.seen(job.key)
        return None if since is not None and since - now > AHEAD_MS else since

    def _run(self, job: Job, fire_ms: int, *, manual: bool) -> Ran:
        started = self.clock.now_ms()
        result: Result | None = None
        failure: CoinswarmError | None = None
        try:
            result = self.action(job, fire_ms)
            outcome = "interrupted" if result.interrupted else "done" if result.ok else "failed"
            message = result.message
        except CoinswarmError as error:
            failure, outcome, message = error, "failed", error.message
        past = PastRun(job.key, fire_ms, started, self.clock.now_ms(), outcome, message, manual)
        if outcome != "interrupted":
            self.state.record(past)
        ran = Ran(past, result, failure)
        self.told(ran)
        return ran
