"""From a configuration to a look at the stack, and to its alerts."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

from coinswarm import wiring
from coinswarm.alerts.episodes import Deliver, Episode, check, episodes_file, known
from coinswarm.alerts.rules import Finding, allowances, findings
from coinswarm.clock import Clock
from coinswarm.config import Stack
from coinswarm.config.alerts import AlertSettings
from coinswarm.d1.path import database_path
from coinswarm.d1.usage import read_usage, usage_file
from coinswarm.log.file import log_folder
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.status.activity import failures
from coinswarm.status.gather import Status, gather


def look(stack: Stack, clock: Clock) -> Status:
    """How the local stack is doing. Raises the `StorageError` of what cannot be read."""
    with wiring.local_queues(stack, clock) as queues:
        return _look(stack, queues, clock)


def alerts_now(stack: Stack, clock: Clock) -> list[Episode]:
    """How every alert stands, without telling anybody."""
    return known(episodes_file(stack.state_dir), _findings(stack, clock), clock.now_ms())


def check_alerts(stack: Stack, clock: Clock, deliver: Deliver) -> list[Episode]:
    """Look, note since when each alert holds, and tell of those that begin or end."""
    return check(episodes_file(stack.state_dir), _findings(stack, clock), clock.now_ms(), deliver)


def _look(stack: Stack, queues: SqliteQueueStore, clock: Clock) -> Status:
    declared = stack.database()
    path = database_path(declared.local_id, stack.state_dir)
    with ExitStack() as opened:
        if not path.exists():
            return gather(stack, queues, None, clock)
        # Not the metered one: who looks at the meter does not turn it.
        database = wiring.local_database(declared, stack, clock)
        opened.callback(database.close)
        # Not the file's own size: what was written last is still beside it, in the write-ahead log.
        (sized,) = database.execute("SELECT 1")
        return gather(stack, queues, database, clock, database_bytes=sized.meta.size_after)


def _findings(stack: Stack, clock: Clock) -> list[Finding]:
    settings = stack.alerts
    with wiring.local_queues(stack, clock) as queues:
        status = _look(stack, queues, clock)
        used = allowances(settings, _usage(stack, queues, settings, clock))
    failed = failures(log_folder(stack.state_dir), clock.now_ms(), settings.errors.minutes)
    return findings(settings, status, failed, used)


def _usage(stack: Stack, queues: SqliteQueueStore, settings: AlertSettings, clock: Clock) -> dict[str, int]:
    today = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).strftime("%Y-%m-%d")
    since = today if settings.plan == "free" else today[:8] + "01"
    rows = read_usage(usage_file(stack.state_dir), since=since)
    return {
        "queue operations": sum(day.operations for day in queues.usage(since=since)),
        "rows read": sum(day.rows_read for day in rows),
        "rows written": sum(day.rows_written for day in rows),
    }
