"""A forecast from the configuration: every number with its formula and the key it comes from. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Final

from coinswarm.config import Stack
from coinswarm.config.plan import Plan
from coinswarm.consumer.rows import ROWS_PER_STATEMENT
from coinswarm.cost import free
from coinswarm.cost.month import DAY_MS, Group, Moment, Run, Table, day_of, month, total
from coinswarm.cost.report import Figure, Forecast
from coinswarm.cost.sample import body_bytes
from coinswarm.cron.schedule import Schedule
from coinswarm.limits import QUEUE_DEFAULTS, QUEUES
from coinswarm.payload import ROWS_PER_MESSAGE
from coinswarm.pricing import FREE, operations

if TYPE_CHECKING:
    from coinswarm.config.stack import Consumer

CPU_MS: Final = 10
"""What an invocation is taken to need unless told otherwise: all that the Free plan grants."""
PLAN_FILE: Final = "coinswarm.toml"
BUILT_IN: Final = "built in"


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What to reckon with instead of what is configured."""

    cron: str | None = None
    tokens: int | None = None
    """So many: the plan's first ones, and made-up ones where it has fewer."""
    rows_per_message: int | None = None

    def __bool__(self) -> bool:
        return self != WhatIf()

    def applied_to(self, plan: Plan) -> Plan:
        if self.tokens is None:
            return plan
        more = (f"T{number}" for number in range(len(plan.tokens), self.tokens))
        return replace(plan, tokens=tuple(chain(plan.tokens[: self.tokens], more)))


@dataclass(frozen=True, slots=True)
class Load:
    """What is configured, resolved: when runs happen and what each does."""

    fires: tuple[int, ...]
    """Milliseconds, ascending; two triggers that fire together fire twice."""
    crons: tuple[str, ...]
    plan: Plan
    rows_per_message: int
    body_bytes: tuple[int, ...]
    """Of each message of a run."""
    batch_size: int
    run: Run
    origins: dict[str, str] = field(default_factory=dict)


def forecast(
    stack: Stack,
    *,
    start_ms: int,
    table: Table,
    days: int = 30,
    cpu_ms: int = CPU_MS,
    what_if: WhatIf = WhatIf(),
) -> Forecast:
    """What the `days` days from `start_ms` on use, fire by fire, if every source has all candles and nothing fails.

    Raises `ConfigError` for a cron expression that Cloudflare would refuse.
    """
    load = load_of(stack, start_ms=start_ms, days=days, cpu_ms=cpu_ms, what_if=what_if)
    moments = month(load.fires, load.run, table)
    use = total(moments, table.stored_bytes)
    grown = _grown_a_day(moments, table, days)
    return Forecast(
        source="config",
        first_day=day_of(start_ms),
        days=days,
        use=use,
        figures=_figures(load, moments, table, days, cpu_ms),
        caps=(*free.daily_caps(moments), *_invocation_caps(load, cpu_ms)),
        storage=free.storage(use.stored_bytes, grown),
        notes=_notes(load),
    )


def load_of(stack: Stack, *, start_ms: int, days: int, cpu_ms: int = CPU_MS, what_if: WhatIf = WhatIf()) -> Load:
    """Everything the forecast is made from. Queue operations of a run are `run.operations`, to the operation."""
    plan = what_if.applied_to(stack.plan)
    crons = (what_if.cron,) if what_if.cron is not None else tuple(cron.expression for cron in stack.crons)
    rows = what_if.rows_per_message or ROWS_PER_MESSAGE
    sizes = _sizes(plan, rows)
    consumer = stack.consumer()
    batch_size = consumer.max_batch_size if consumer else QUEUE_DEFAULTS.batch_size
    return Load(
        fires=fires_between(crons, start_ms, days),
        crons=crons,
        plan=plan,
        rows_per_message=rows,
        body_bytes=tuple(sizes),
        batch_size=batch_size,
        run=_run(plan, sizes, rows, batch_size, cpu_ms),
        origins=_origins(stack, what_if, consumer),
    )


def fires_between(crons: Sequence[str], start_ms: int, days: int) -> tuple[int, ...]:
    """Every fire of these days, counted by the schedules themselves. Raises `ConfigError`."""
    end = start_ms + days * DAY_MS
    return tuple(merge(*(Schedule.parse(cron).between(start_ms - 1, end - 1) for cron in crons)))


def _sizes(plan: Plan, rows_per_message: int) -> list[int]:
    """Of the bodies of a run: candles of all series fill messages together; one too large for a message is parted."""
    pairs = [series.pair for series in plan.series]
    full, rest = divmod(plan.points, rows_per_message)
    return body_bytes(pairs, rows_per_message) * full + (body_bytes(pairs, rest) if rest else [])


def _run(plan: Plan, sizes: Sequence[int], rows: int, batch_size: int, cpu_ms: int) -> Run:
    batches = -(-len(sizes) // batch_size)
    candles_a_batch = min(rows * batch_size, plan.points)
    whole, rest = divmod(plan.points, candles_a_batch)
    statements = whole * -(-candles_a_batch // ROWS_PER_STATEMENT) + -(-rest // ROWS_PER_STATEMENT)
    counted = Counter(series.timeframe for series in plan.series)
    groups = tuple(Group(timeframe.seconds, count, plan.candles) for timeframe, count in counted.items())
    return Run(
        groups=groups,
        messages=len(sizes),
        operations=3 * sum(map(operations, sizes)),
        batches=batches,
        statements=statements,
        cpu_ms=(1 + batches) * cpu_ms,
    )


def _origins(stack: Stack, what_if: WhatIf, consumer: Consumer | None) -> dict[str, str]:
    files = list(dict.fromkeys(cron.file for cron in stack.crons))
    plan_file = PLAN_FILE if stack.plan != Plan() else f"{PLAN_FILE}, {BUILT_IN}"
    return {
        "cron": "--cron" if what_if.cron is not None else f"{', '.join(files) or BUILT_IN}: triggers.crons",
        "tokens": "--tokens" if what_if.tokens is not None else f"{plan_file}: plan.tokens",
        "plan": f"{plan_file}: plan.sources, plan.timeframes, plan.candles",
        "rows": "--rows-per-message" if what_if.rows_per_message else BUILT_IN + ": 10 rows a message",
        "batch": f"{consumer.file if consumer else BUILT_IN}: queues.consumers.max_batch_size",
    }


def _grown_a_day(moments: Sequence[Moment], table: Table, days: int) -> float:
    """Bytes, once the first run has brought what was missing."""
    return sum(moment.new_rows for moment in moments[1:]) * table.bytes_per_row / days


def _figures(load: Load, moments: Sequence[Moment], table: Table, days: int, cpu_ms: int) -> tuple[Figure, ...]:
    run, origin = load.run, load.origins
    use = total(moments, table.stored_bytes)
    fires, new = len(moments), sum(moment.new_rows for moment in moments)
    known = sum(1 for moment in moments if moment.new_rows < run.points)
    counters = f" + {fires:,} runs × {run.statements} statements × 1 (AUTOINCREMENT)" if table.per_statement else ""
    chunks = max(map(operations, load.body_bytes), default=1)
    series = len(load.plan.series)
    a_day = _grown_a_day(moments, table, days) / 1e6
    largest = max(load.body_bytes, default=0)
    plan, cron = (origin["tokens"], origin["plan"]), origin["cron"]
    return (
        Figure("runs", fires, f"fires of {' and '.join(load.crons) or 'no cron trigger'} in {days} days", (cron,)),
        Figure("candles a run", run.points, f"{series:,} series × {load.plan.candles:,} candles", plan),
        Figure(
            "messages a run",
            run.messages,
            f"{run.points:,} candles, {load.rows_per_message:,} a message, of up to {largest:,} B",
            (origin["rows"],),
        ),
        Figure(
            "requests",
            use.requests,
            f"{fires:,} runs × (1 cron fire + ⌈{run.messages:,} messages ÷ {load.batch_size}⌉ batches)",
            (cron, origin["batch"]),
        ),
        Figure("CPU time", use.cpu_ms, f"{use.requests:,} requests × {cpu_ms} ms, assumed", ("--cpu-ms",)),
        Figure(
            "queue operations",
            use.queue_operations,
            f"{fires:,} runs × {run.messages:,} messages × 3 (write, read, delete)"
            + (f" × up to {chunks} (each started 64,000 B)" if chunks > 1 else ""),
            (cron, *plan),
        ),
        Figure(
            "rows written",
            use.rows_written,
            f"{new:,} new candles × {table.per_row}{counters}",
            (table.origin, cron, *plan),
        ),
        Figure(
            "rows read",
            use.rows_read,
            f"at most {known:,} runs × {run.points:,} candles, looked up as they may be there already{counters}",
            (cron, *plan),
        ),
        Figure(
            "storage",
            use.stored_bytes,
            f"{table.stored_bytes:,} B + {new:,} candles × {table.bytes_per_row:.1f} B; "
            f"then {a_day * 30:,.1f} MB in 30 days, {a_day * 365:,.1f} MB a year",
            (table.origin,),
        ),
    )


def _invocation_caps(load: Load, cpu_ms: int) -> list[free.Cap]:
    """What Free limits besides: calls and CPU time of one invocation, cron triggers of an account."""
    fetches = len(load.plan.series)
    sends = -(-load.run.messages // QUEUES.batch_messages)
    return [
        free.Cap("CPU ms", FREE.cpu_ms, cpu_ms, "invocation"),
        free.Cap("subrequests", FREE.subrequests, fetches + sends, "invocation"),
        free.Cap("cron triggers", FREE.crons, len(load.crons), "account"),
    ]


def _notes(load: Load) -> tuple[str, ...]:
    notes = [
        "If every source has all candles and nothing fails: a retry is one more read, a dead letter one more write.",
        "The first run finds an empty table; backfills, `d1 stats` and other queries come on top.",
        "A consumer that pulls over HTTP needs no Worker; each pull that brings nothing is one more read.",
    ]
    if not load.crons:
        notes.insert(0, "No cron trigger is configured, so nothing runs by itself; try --cron '*/30 * * * *'.")
    return tuple(notes)
