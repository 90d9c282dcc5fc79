"""One look at everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from coinswarm.clock import Clock
from coinswarm.config import Stack
from coinswarm.cron.schedule import Schedule
from coinswarm.d1.types import Database
from coinswarm.errors import SqlError
from coinswarm.log.file import log_folder
from coinswarm.log.read import runs
from coinswarm.queue.dead_letters import Cause
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import Metrics
from coinswarm.status.activity import Rate, RunSeen, last_runs, rate_now
from coinswarm.status.series import SeriesAge, newest_candles

FIRES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Status:
    """What one look found. Times are ms since 1970 unless said otherwise."""

    now_ms: int
    queue: str
    metrics: Metrics
    paused: bool
    rate: Rate
    """What the consumer does now."""
    last_rate: float | None
    """Messages a second of the last run of the consumer that had any."""
    dead_letter_place: str
    """The dead-letter queue, or the queue for which dead letters are held."""
    causes: tuple[Cause, ...]
    series: tuple[SeriesAge, ...]
    database: str
    database_bytes: int
    database_note: str | None
    """Why there are no series."""
    runs: tuple[RunSeen, ...]
    fires: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The next fires of each cron."""
    warnings: tuple[str, ...] = ()

    @property
    def dead_letters(self) -> int:
        return sum(cause.count for cause in self.causes)

    @property
    def oldest_seconds(self) -> int | None:
        """Age of the oldest message stored; None when there is none."""
        sent = self.metrics.oldest_message_timestamp_ms
        return max(0, self.now_ms - sent) // 1000 if sent else None

    @property
    def seconds_to_drain(self) -> float | None:
        """At the rate of now; None where nothing is being consumed."""
        if self.metrics.backlog == 0:
            return 0.0
        return self.metrics.backlog / self.rate.messages if self.rate.messages > 0 else None

    def as_json(self) -> dict[str, Any]:
        """The document of `coinswarm status --json`."""
        m = self.metrics
        drain = self.seconds_to_drain
        return {
            "queue": {
                "name": self.queue,
                "backlog": m.backlog,
                "waiting": m.waiting,
                "in_flight": m.in_flight,
                "delayed": m.delayed,
                "bytes": m.bytes,
                "overdue": m.overdue,
                "paused": self.paused,
                "oldest_message_timestamp_ms": m.oldest_message_timestamp_ms,
                "oldest_seconds": self.oldest_seconds,
            },
            "rate": {"messages_per_second": round(self.rate.messages, 1), "rows_per_second": round(self.rate.rows)},
            "seconds_to_drain": None if drain is None else round(drain, 1),
            "dead_letters": {
                "queue": self.dead_letter_place,
                "messages": self.dead_letters,
                "causes": [{"source": c.source, "reason": c.reason, "messages": c.count} for c in self.causes],
            },
            "database": {"name": self.database, "bytes": self.database_bytes, "note": self.database_note},
            "series": [one.as_json() for one in self.series],
            "runs": [run.as_json() for run in self.runs],
            "crons": [{"cron": cron, "next_ms": list(fires)} for cron, fires in self.fires.items()],
            "warnings": list(self.warnings),
        }


def gather(
    stack: Stack, queues: SqliteQueueStore, database: Database | None, clock: Clock, *, database_bytes: int = 0
) -> Status:
    """Look once. `database` is None where its file does not exist yet. Changes nothing."""
    now = clock.now_ms()
    name = stack.queue()
    consumer = stack.consumer()
    place = (consumer.dead_letter_queue if consumer else None) or name
    folder = log_folder(stack.state_dir)
    series, note = _series(database, now)
    return Status(
        now_ms=now,
        queue=name,
        metrics=queues.open(name).metrics(),
        paused=queues.info(name).settings.delivery_paused,
        rate=rate_now(folder, now),
        last_rate=_last_rate(stack),
        dead_letter_place=place,
        causes=tuple(queues.dead_letters(place).causes()),
        series=tuple(series),
        database=stack.database().name,
        database_bytes=database_bytes,
        database_note=note,
        runs=tuple(last_runs(folder)),
        fires={cron.expression: tuple(Schedule.parse(cron.expression).fires(now, FIRES_SHOWN)) for cron in stack.crons},
        warnings=stack.warnings,
    )


EMPTY: Final = "price_data is empty"


def _series(database: Database | None, now_ms: int) -> tuple[list[SeriesAge], str | None]:
    if database is None:
        return [], "there is no database yet"
    try:
        found = newest_candles(database, now_ms)
    except SqlError as error:
        if "no such table" not in error.message:
            raise
        return [], "there is no table price_data yet"
    return found, None if found else EMPTY


def _last_rate(stack: Stack) -> float | None:
    for event in reversed(runs(log_folder(stack.state_dir))):
        if event["event"] == "run.finished" and event.get("kind") == "consume" and event.get("acked"):
            return float(event["acked"] / max(event.get("seconds", 0.0), 0.001))
    return None
