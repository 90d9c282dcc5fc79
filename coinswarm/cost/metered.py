"""A forecast from what was metered here: the queues' operations and the databases' rows, day by day. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from coinswarm.cost import free
from coinswarm.cost.bill import Use
from coinswarm.cost.month import Table, day_of
from coinswarm.cost.report import Figure, Forecast
from coinswarm.d1.usage import DatabaseUsage
from coinswarm.errors import UsageError
from coinswarm.queue.usage import Usage


@dataclass(frozen=True, slots=True)
class Basis:
    """The days a forecast is made from."""

    first: date
    last: date
    whole: bool
    """Whether all of them are whole days; else they are counted as such, which forecasts too little."""

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def __contains__(self, day: str) -> bool:
        return self.first.isoformat() <= day <= self.last.isoformat()

    def __str__(self) -> str:
        span = f"{self.first}" if self.days == 1 else f"{self.days} days, {self.first} to {self.last}"
        return span if self.whole else f"{span}, not whole"


def basis(days: Iterable[str], now_ms: int) -> Basis:
    """Whole days between the first one metered, which had begun already, and today, which is not over.

    Days without use among them count. Where there is no whole one, all there are. Raises `UsageError` if none is.
    """
    known = sorted(days)
    if not known:
        raise UsageError(
            "nothing was metered here yet", hint="Run fetch and consume first, or: coinswarm cost --from-config"
        )
    first, today = date.fromisoformat(known[0]), datetime.fromtimestamp(now_ms / 1000, UTC).date()
    begin, end = first + timedelta(days=1), today - timedelta(days=1)
    if begin <= end:
        return Basis(begin, end, whole=True)
    return Basis(first, max(first, today), whole=False)


def forecast_from_usage(
    queues: Sequence[Usage],
    databases: Sequence[DatabaseUsage],
    *,
    now_ms: int,
    days: int,
    fires: int,
    fires_origin: str,
    batch_size: int,
    table: Table,
    cpu_ms: int,
) -> Forecast:
    """What `days` days use if they are like those metered.

    Requests are not metered: they are `fires` of the cron triggers, and the fewest batches the deliveries make.
    `cpu_ms` is what an invocation is taken to need. Raises `UsageError` where nothing was metered.
    """
    found = basis([*(row.day for row in queues), *(row.day for row in databases)], now_ms)
    queues = [row for row in queues if row.day in found]
    databases = [row for row in databases if row.day in found]

    def scaled(count: int) -> int:
        return -(-count * days // found.days)

    def formula(count: int, what: str) -> str:
        return f"{count:,} {what} ÷ {found.days} × {days} days = {scaled(count):,}"

    operations = sum(row.operations for row in queues)
    delivered = sum(row.delivered for row in queues)
    read, written = sum(row.rows_read for row in databases), sum(row.rows_written for row in databases)
    batches = -(-scaled(delivered) // batch_size)
    requests = fires + batches
    grown = scaled(written) / table.per_row * table.bytes_per_row
    use = Use(
        requests=requests,
        cpu_ms=requests * cpu_ms,
        queue_operations=scaled(operations),
        rows_read=scaled(read),
        rows_written=scaled(written),
        stored_bytes=round(table.stored_bytes + grown),
    )
    kinds = [sum(getattr(row, kind) for row in queues) for kind in ("writes", "reads", "deletes", "purges")]
    split = "{:,} writes + {:,} reads + {:,} deletes + {:,} purges".format(*kinds)
    metered = f"metered: {found}"
    figures = (
        Figure(
            "requests",
            requests,
            f"{fires:,} cron fires + ⌈{scaled(delivered):,} deliveries ÷ {batch_size}⌉ batches = {requests:,} at least",
            (fires_origin, metered),
        ),
        Figure("CPU time", use.cpu_ms, f"{requests:,} × {cpu_ms} ms, assumed = {use.cpu_ms:,} ms", ("--cpu-ms",)),
        Figure("queue operations", use.queue_operations, formula(operations, f"({split})"), (metered,)),
        Figure("rows read", use.rows_read, formula(read, "rows"), (metered,)),
        Figure("rows written", use.rows_written, formula(written, "rows"), (metered,)),
        Figure(
            "storage",
            use.stored_bytes,
            f"{table.stored_bytes:,} B + {use.rows_written:,} ÷ {table.per_row} rows × {table.bytes_per_row:.1f} B "
            f"= {use.stored_bytes:,} B",
            (table.origin,),
        ),
    )
    caps = free.spread_evenly(use, days, now_ms)
    store = free.storage(use.stored_bytes, grown / days)
    return Forecast("usage", day_of(now_ms), days, use, figures, tuple(caps), store, _notes(found, databases))


def _notes(found: Basis, databases: Sequence[DatabaseUsage]) -> tuple[str, ...]:
    notes = [f"Metered: {found}. One-off work of these days, a backfill for example, is forecast to go on."]
    if not found.whole:
        notes.append("No whole day was metered yet: take this for a hint.")
    if any(row.place == "local" for row in databases):
        notes.append("rows_read of local databases is an estimate; see docs/d1.md.")
    notes.append(
        "Not metered: CPU time, requests, what other programs did at Cloudflare, the last seconds of a killed process."
    )
    return tuple(notes)
