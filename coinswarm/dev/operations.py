"""What the routes beside Cloudflare's API do, for the stack of a configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coinswarm import __version__, wiring
from coinswarm.candles import EARLIEST, LATEST, Pair, Timeframe
from coinswarm.clock import Clock
from coinswarm.config import Stack
from coinswarm.cron.runner import Job, choose, jobs_of
from coinswarm.cron.schedule import Schedule
from coinswarm.d1.schema import check_price_data
from coinswarm.d1.stats import stats
from coinswarm.dev.schedule import cron_runner, described, producer
from coinswarm.dev.supervisor import Supervisor
from coinswarm.errors import CoinswarmError, FetchFailed, SourceError, UsageError
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchReport, FetchRequest
from coinswarm.log import NO_LOG, Log
from coinswarm.server.stack import Outcome
from coinswarm.watching import look


class StackOperations:
    """Each call opens what it needs and closes it again, so that nothing is shared between threads."""

    def __init__(self, stack: Stack, clock: Clock, *, log: Log = NO_LOG, supervisor: Supervisor | None = None) -> None:
        self._stack = stack
        self._clock = clock
        self._log = log
        self.supervisor = supervisor
        """Of the parts that run in this process, if any do."""

    def trigger(self, asked: dict[str, Any]) -> Outcome:
        """One page of a series into the queue, `[fetch]` of coinswarm.toml unless asked otherwise."""
        defaults = self._stack.fetch
        source = _text(asked, "source", defaults.source)
        request = FetchRequest(
            pair=Pair.parse(_text(asked, "pair", defaults.pair)),
            timeframe=Timeframe.parse(_text(asked, "timeframe", defaults.timeframe)),
            limit=_number(asked, "limit", 1, 100_000) or defaults.limit,
            to_ts=_number(asked, "toTs", EARLIEST, LATEST - 1),
        )
        log = self._log.for_run()
        with (
            wiring.fetcher(self._stack, source, self._clock, log) as fetcher,
            wiring.ingest_queue(self._stack, self._clock) as queue,
        ):
            try:
                report = collect(fetcher, queue, request, clock=self._clock, log=log)
            except (SourceError, FetchFailed) as error:
                document = error.as_json()
                if isinstance(error.report, FetchReport):
                    document["report"] = _reply(error.report)
                return Outcome(502, document)
        return Outcome(200, {"success": report.incomplete is None} | _reply(report))

    def scheduled(self, cron: str | None, time_ms: int | None) -> Outcome:
        """Run a job now, as if it had fired at `time_ms`. A source that fails makes it a 500."""
        job = self._job(cron)
        if time_ms is not None and not EARLIEST * 1000 <= time_ms <= self._clock.now_ms():
            raise UsageError(f"time {time_ms} is not a past moment in milliseconds")
        action = producer(self._stack, self._clock, log=self._log)
        with cron_runner(self._stack, self._clock, action) as runner:
            ran = runner.run_now(job, time_ms)
        document: dict[str, Any] = {"outcome": "ok" if ran.past.outcome == "done" else "exception", "noRetry": False}
        if ran.error is not None:
            document |= ran.error.as_json()
        if ran.result is not None:
            document |= ran.result.as_json()
        return Outcome(200 if ran.past.outcome == "done" else 500, document)

    def stats(self) -> Outcome:
        """What is stored; `total`, `oldest` and `newest` are the seed system's words."""
        with wiring.ingest_database(self._stack, self._clock) as database:
            found = stats(database)
        series = found["series"]
        ends = {
            "total": found["rows"],
            "oldest": min((one["first"] for one in series), default=None),
            "newest": max((one["last"] for one in series), default=None),
        }
        return Outcome(200, ends | found)

    def status(self) -> Outcome:
        """What `coinswarm status` tells, with every cron job's last run and the parts that run in this process."""
        document = look(self._stack, self._clock).as_json()
        document["crons"] = described(self._stack, self._clock)
        document["parts"] = {part.name: part.as_json() for part in self.supervisor.parts} if self.supervisor else {}
        return Outcome(200, document)

    def health(self) -> Outcome:
        """Healthy is: the database answers and has its table, the queue delivers, the cron's last run brought
        everything, and every part runs. Whatever else is so is a reason."""
        reasons = [*self._fault("database", self._check_database), *self._fault("queue", self._check_queue)]
        reasons += self._fault("cron", self._check_cron)
        reasons += self.supervisor.troubles() if self.supervisor else []
        return Outcome(
            503 if reasons else 200,
            {"status": "broken" if reasons else "ok", "version": __version__, "reasons": reasons},
        )

    def _job(self, cron: str | None) -> Job:
        jobs = jobs_of(self._stack.crons)
        if cron is None and jobs:
            return jobs[0]
        return choose(jobs, None if cron is None else Schedule.parse(cron).expression)

    def _fault(self, what: str, check: Callable[[], str | None]) -> list[str]:
        try:
            problem = check()
        except CoinswarmError as error:
            problem = error.message
        return [] if problem is None else [f"{what}: {problem}"]

    def _check_database(self) -> str | None:
        with wiring.ingest_database(self._stack, self._clock) as database:
            check_price_data(database)
        return None

    def _check_queue(self) -> str | None:
        with wiring.local_queues(self._stack, self._clock) as queues:
            queue = queues.open(self._stack.queue())
            queue.metrics()
            paused = queues.info(queue.name).settings.delivery_paused
        return f"delivery from {queue.name} is paused" if paused else None

    def _check_cron(self) -> str | None:
        for job in described(self._stack, self._clock):
            last = job["last"]
            if last is not None and last["outcome"] == "failed":
                return f"the last run of {job['worker']} failed: {last['message']}"
        return None


def _reply(report: FetchReport) -> dict[str, Any]:
    """The seed system's reply and more: what was queued, and how to ask for the page before it."""
    document = report.as_json()
    following = report.next_to_ts
    document["next_trigger"] = None if following is None else f"POST /trigger with toTs={following}"
    return document


def _text(asked: dict[str, Any], name: str, default: str) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be text, not {str(value)[:40]}")
    return value


def _number(asked: dict[str, Any], name: str, low: int, high: int) -> int | None:
    """A whole number from JSON or the query; None where it is left out."""
    value = asked.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} must be a whole number, not {str(value)[:40]!r}")
    if not low <= value <= high:
        hint = f"Milliseconds? Then: {value // 1000}" if name == "toTs" and low <= value // 1000 <= high else None
        raise UsageError(f"{name} must be {low} to {high}, not {value}", hint=hint)
    return value
