"""`/metrics`: queues, dead letters and candles in Prometheus' text format.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format (read 2026-11-23). Counters are the
durable usage of the queues, so that a restart of the server does not set them back.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from coinswarm import __version__
from coinswarm.errors import DatabaseNotFound, QueueNotFound, SqlError
from coinswarm.server.account import Account
from coinswarm.status.series import SeriesAge, newest_candles

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SERIES_SECONDS: Final = 60.0
"""How long the ages of the series are remembered: on a table with another key than ours they cost a scan."""

Labels = dict[str, str]


@dataclass
class Family:
    """One metric with all its samples."""

    name: str
    kind: Literal["counter", "gauge"]
    text: str
    samples: list[tuple[Labels, float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        self.samples.append((labels, value))

    def lines(self) -> Iterable[str]:
        if self.samples:
            help_text = self.text.replace("\\", "\\\\").replace("\n", "\\n")
            yield f"# HELP {self.name} {help_text}"
            yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{f'{{{shown}}}' if shown else ''} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics(account: Account) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint over `account`."""
    exposition = _Exposition(account)

    async def respond(_request: Request) -> Response:
        return Response(
            await run_in_threadpool(exposition.text), media_type=None, headers={"Content-Type": CONTENT_TYPE}
        )

    return respond


class _Exposition:
    def __init__(self, account: Account) -> None:
        self._account = account
        self._series: tuple[float, list[tuple[str, SeriesAge]]] | None = None
        self._lock = threading.Lock()

    def text(self) -> str:
        about = Family("coinswarm_build_info", "gauge", "The version that answers.")
        about.add(1, version=__version__)
        families = [about, *self._queues(), *self._usage(), *self._databases()]
        return "\n".join(line for family in families for line in family.lines()) + "\n"

    def _queues(self) -> list[Family]:
        gauges = {
            "backlog": Family("coinswarm_queue_backlog_messages", "gauge", "Messages stored in the queue."),
            "waiting": Family("coinswarm_queue_waiting_messages", "gauge", "Messages that can be delivered now."),
            "in_flight": Family("coinswarm_queue_in_flight_messages", "gauge", "Messages delivered and not settled."),
            "delayed": Family("coinswarm_queue_delayed_messages", "gauge", "Messages that are delivered later."),
            "bytes": Family("coinswarm_queue_backlog_bytes", "gauge", "Bytes of the bodies of all messages stored."),
        }
        age = Family("coinswarm_queue_oldest_message_age_seconds", "gauge", "Age of the oldest message; 0 when empty.")
        now = self._account.clock.now_ms()
        for info in self._account.queues.queues():
            try:
                found = self._account.queues.open(info.name).metrics()
            except QueueNotFound:  # deleted meanwhile
                continue
            for name, family in gauges.items():
                family.add(getattr(found, name), queue=info.name)
            sent = found.oldest_message_timestamp_ms
            age.add(max(0, now - sent) / 1000 if sent else 0.0, queue=info.name)
        return [*gauges.values(), age]

    def _usage(self) -> list[Family]:
        messages = Family("coinswarm_queue_messages_total", "counter", "Messages by what happened to them.")
        operations = Family("coinswarm_queue_operations_total", "counter", "Operations that Cloudflare would bill.")
        totals: dict[tuple[str, str, str], int] = {}
        there = {info.name for info in self._account.queues.queues()}
        for day in self._account.queues.usage():
            if day.queue not in there:  # deleted, as the canary's are: labels must not grow without end
                continue
            for event in ("sent", "delivered", "acked", "retried", "dead_lettered", "dropped", "expired"):
                totals["event", day.queue, event] = totals.get(("event", day.queue, event), 0) + getattr(day, event)
            for kind in ("writes", "reads", "deletes", "purges"):
                totals["kind", day.queue, kind] = totals.get(("kind", day.queue, kind), 0) + getattr(day, kind)
        for (label, queue, name), total in sorted(totals.items()):
            (messages if label == "event" else operations).add(total, queue=queue, **{label: name})
        return [messages, operations]

    def _databases(self) -> list[Family]:
        size = Family("coinswarm_database_size_bytes", "gauge", "Bytes of the database's file.")
        newest = Family("coinswarm_newest_candle_timestamp_seconds", "gauge", "Open of the series' newest candle.")
        for info in self._account.catalogue.databases():
            path = self._account.catalogue.path(info)
            if path.exists():
                size.add(path.stat().st_size, database=info.name)
        for database, one in self._remembered():
            labels = {"symbol": one.symbol, "timeframe": one.timeframe, "source": one.source}
            newest.add(one.newest, database=database, **labels)
        return [size, newest]

    def _remembered(self) -> list[tuple[str, SeriesAge]]:
        with self._lock:
            now = self._account.clock.monotonic()
            if self._series is None or now - self._series[0] >= SERIES_SECONDS:
                self._series = now, list(self._look())
            return self._series[1]

    def _look(self) -> Iterable[tuple[str, SeriesAge]]:
        catalogue = self._account.catalogue
        for info in catalogue.databases():
            if not catalogue.path(info).exists():
                continue
            try:
                with catalogue.use(info.uuid) as database:
                    found = newest_candles(database, self._account.clock.now_ms())
            except (DatabaseNotFound, SqlError):  # deleted meanwhile, or without a price_data
                continue
            yield from ((info.name, one) for one in found)
