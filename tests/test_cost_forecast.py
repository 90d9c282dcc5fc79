"""A forecast from the configuration, held against what the real queue and database meter for the same runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from coinswarm.candles import Candle
from coinswarm.clock import ManualClock
from coinswarm.config import Stack, load
from coinswarm.config.plan import Plan, messages_per_run
from coinswarm.config.stack import Cron
from coinswarm.consumer.worker import Worker
from coinswarm.cost.bill import Use
from coinswarm.cost.forecast import WhatIf, forecast, load_of
from coinswarm.cost.month import DAY_MS, Group, Table
from coinswarm.cost.report import Forecast
from coinswarm.cost.sample import like, measure
from coinswarm.d1.usage import Metered, UsageMeter, read_usage
from coinswarm.errors import ConfigError
from coinswarm.fetchers.enqueue import enqueue
from coinswarm.queue.sqlite import SqliteQueueStore
from tests.support.databases import ORIGINAL_TABLE, migrated, open_database

START = 20_000 * DAY_MS
"""2024-10-04, midnight."""
OURS = Table(per_row=1, per_statement=0, bytes_per_row=100.0, stored_bytes=0, origin="told")
SEEDS = Table(per_row=4, per_statement=1, bytes_per_row=190.0, stored_bytes=0, origin="told")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """The built-in one: 13 tokens at 3 sources, 5 candles of each, every half hour."""
    return load((), cwd=tmp_path, environ={})


def with_crons(stack: Stack, *expressions: str) -> Stack:
    return replace(stack, crons=tuple(Cron(each, "producer", "wrangler.toml") for each in expressions))


def with_plan(stack: Stack, **changes: object) -> Stack:
    return replace(stack, plan=replace(stack.plan, **changes))  # type: ignore[arg-type]


def in_(stack: Stack, table: Table = OURS, days: int = 30, what_if: WhatIf | None = None) -> Forecast:
    return forecast(stack, start_ms=START, table=table, days=days, what_if=what_if or WhatIf())


def newest(plan: Plan, at_ms: int) -> Iterator[Candle]:
    """What a run at `at_ms` brings when every source has all."""
    for source, pair, timeframe in plan.series:
        last = timeframe.floor(at_ms // 1000 - timeframe.seconds)
        for age in reversed(range(plan.candles)):
            yield Candle(
                symbol=pair.symbol,
                timestamp=last - age * timeframe.seconds,
                timeframe=timeframe.value,
                open=10.0,
                high=12.0,
                low=9.0,
                close=11.0,
                volume_from=1.5,
                volume_to=15.0,
                source=source,
            )


def run_for_real(stack: Stack, days: int, tmp_path: Path, *, original_table: bool) -> tuple[Use, int]:
    """Every fire of these days under a virtual clock through queue, consumer and D1: what was metered, and candles."""
    clock = ManualClock(START)
    rows = 0
    path = tmp_path / "usage.sqlite"
    database = (
        open_database(tmp_path / "d1.sqlite", clock=clock) if original_table else migrated(tmp_path / "d1.sqlite")
    )
    if original_table:
        database.execute(ORIGINAL_TABLE)
    configured = load_of(stack, start_ms=START, days=days)
    consumer = stack.consumer()
    assert consumer is not None
    with (
        SqliteQueueStore(tmp_path / "queues.sqlite", clock) as store,
        closing(Metered(database, "local", UsageMeter(path, clock))) as metered,
    ):
        store.ensure("candles", consumer=replace(consumer.settings, dead_letter_queue=None))
        queue = store.open("candles")
        worker = Worker(queue, metered, clock, batch_size=consumer.max_batch_size)
        for at in configured.fires:
            clock.advance((at - clock.now_ms()) / 1000)
            for _ in enqueue(queue, newest(stack.plan, at)):
                pass
            worker.drain()
        operations = sum(day.operations for day in store.usage())
        rows = worker.report.rows.received
    used = read_usage(path)
    requests = len(configured.fires) + worker.report.batches
    read, written = sum(day.rows_read for day in used), sum(day.rows_written for day in used)
    return Use(requests=requests, queue_operations=operations, rows_read=read, rows_written=written), rows


SMALL = {"tokens": ("BTC", "ETH", "SOL"), "timeframes": ("30m", "1h", "1d"), "candles": 4}


@pytest.mark.parametrize(
    ("days", "original_table"), [(2, False), (2, True), pytest.param(30, False, marks=pytest.mark.slow)]
)
def test_the_forecast_equals_what_the_real_pipeline_meters_to_the_operation(
    stack: Stack, tmp_path: Path, days: int, original_table: bool
) -> None:
    stack = with_plan(stack, **SMALL)
    foreseen = in_(stack, SEEDS if original_table else OURS, days).use
    metered, rows = run_for_real(stack, days, tmp_path, original_table=original_table)
    assert rows == days * 48 * stack.plan.points
    assert metered.queue_operations == foreseen.queue_operations
    assert metered.requests == foreseen.requests
    assert metered.rows_written == foreseen.rows_written
    assert 0 < metered.rows_read <= foreseen.rows_read


def test_batches_smaller_than_a_run_are_invocations_of_their_own(stack: Stack, tmp_path: Path) -> None:
    consumers = tuple(replace(consumer, max_batch_size=3) for consumer in stack.consumers)
    stack = replace(with_plan(stack, **SMALL), consumers=consumers)
    metered, _ = run_for_real(stack, 1, tmp_path, original_table=True)
    foreseen = in_(stack, SEEDS, 1).use
    assert (metered.requests, metered.queue_operations) == (foreseen.requests, foreseen.queue_operations)
    assert metered.requests == 48 * (1 + 4), "108 candles, 11 messages, 4 batches"


def test_the_load_of_the_seed_is_what_its_table_should_have_said(stack: Stack) -> None:
    built_in = in_(stack)
    assert built_in.use.requests == 2_880, "not 844K"
    assert built_in.use.queue_operations == 86_400, "not 75K"
    assert str(built_in.bill.total) == "5.00"
    assert built_in.fits_free
    hourly = in_(with_plan(stack, timeframes=("1h",)), SEEDS).use
    first, later = 39 * 5, 39 * (24 * 30 - 1)
    assert hourly.rows_written == 4 * (first + later) + 1_440 * 20, "not 562K"


def test_the_messages_of_a_run_are_those_the_producer_packs(stack: Stack) -> None:
    for rows in (1, 7, 10, 195, 300):
        assert load_of(stack, start_ms=START, days=1, what_if=WhatIf(rows_per_message=rows)).run.messages == (
            messages_per_run(stack.plan, rows)
        )


def test_large_messages_cost_an_operation_for_every_started_64_kb(stack: Stack) -> None:
    stack = with_plan(stack, candles=100)
    run = load_of(stack, start_ms=START, days=1, what_if=WhatIf(rows_per_message=390)).run
    assert run.messages == 10
    assert run.operations == 3 * 10 * 2


def test_months_are_counted_by_the_schedule_itself(stack: Stack) -> None:
    first_of_month = with_crons(stack, "0 0 1 * *")
    assert in_(first_of_month, days=27).figures[0].value == 0, "4 October to 30 October"
    assert in_(first_of_month, days=30).figures[0].value == 1
    assert in_(with_crons(stack, "*/30 * * * *", "0 12 * * *"), days=31).figures[0].value == 31 * 49


def test_only_candles_that_closed_since_the_run_before_are_new() -> None:
    hourly = Group(seconds=3600, series=39, candles=5)
    at = START + 30 * 60_000
    assert hourly.new(at, None) == 195
    assert hourly.new(at, at - 30 * 60_000) == 0
    assert hourly.new(at + 30 * 60_000, at) == 39
    assert hourly.new(at + DAY_MS, at) == 195, "a day later more have closed than a run brings"


def test_every_number_names_its_formula_and_the_key_it_comes_from(stack: Stack) -> None:
    figures = {figure.name: figure for figure in in_(with_crons(stack, "0 * * * *")).figures}
    operations = figures["queue operations"]
    assert operations.value == 43_200
    assert operations.formula == "720 runs × 20 messages × 3 (write, read, delete)"
    assert operations.origins[0] == "wrangler.toml: triggers.crons"
    assert "plan.tokens" in operations.origins[1]


def test_what_if_changes_only_what_it_names(stack: Stack) -> None:
    quarter = in_(stack, what_if=WhatIf(cron="*/15 * * * *"))
    assert quarter.use.queue_operations == 172_800, "still far below the million that the seed feared"
    assert in_(stack, what_if=WhatIf(tokens=26)).use.queue_operations == 1_440 * 39 * 3
    assert in_(stack, what_if=WhatIf(tokens=1)).use.queue_operations == 1_440 * 2 * 3
    assert in_(stack, what_if=WhatIf(rows_per_message=1)).use.queue_operations == 1_440 * 195 * 3


def test_free_says_what_is_exceeded_and_when_it_stops(stack: Stack) -> None:
    burnt = in_(stack, what_if=WhatIf(rows_per_message=1))
    caps = {cap.name: cap for cap in burnt.caps}
    assert not burnt.fits_free
    operations = caps["queue operations"]
    assert (operations.used, operations.allowed, operations.exceeded) == (48 * 585, 10_000, True)
    assert operations.exceeded_at == "08:30", "the 18th run of 585 operations"
    assert not caps["requests"].exceeded
    assert caps["requests"].exceeded_at is None


def test_free_limits_the_fetches_of_one_invocation(stack: Stack) -> None:
    caps = {cap.name: cap for cap in in_(stack, what_if=WhatIf(tokens=17)).caps}
    assert (caps["subrequests"].used, caps["subrequests"].exceeded) == (52, True)


def test_storage_says_when_a_free_database_is_full(stack: Stack) -> None:
    nearly = replace(OURS, stored_bytes=495_000_000)
    storage = in_(stack, nearly).storage
    assert storage.exceeded
    assert storage.full_in_days == 0.0
    room = in_(stack, replace(OURS, stored_bytes=400_000_000)).storage
    assert room.full_in_days == pytest.approx((500e6 - room.stored_bytes) / room.bytes_a_day)
    assert room.bytes_a_day == pytest.approx(39 * 48 * 100, rel=0.001)


def test_a_stack_without_a_cron_trigger_uses_nothing_and_says_so(stack: Stack) -> None:
    idle = in_(with_crons(stack), replace(OURS, stored_bytes=12_000))
    assert idle.use == Use(stored_bytes=12_000)
    assert idle.notes[0].startswith("No cron trigger is configured")
    assert idle.fits_free


def test_a_cron_expression_that_cloudflare_refuses_is_refused(stack: Stack) -> None:
    with pytest.raises(ConfigError):
        in_(stack, what_if=WhatIf(cron="every morning"))


def test_what_a_row_costs_is_measured_by_storing_some(tmp_path: Path) -> None:
    with closing(migrated(tmp_path / "ours.sqlite")) as database:
        ours = like(database, [])
    assert (ours.per_row, ours.per_statement) == (1, 0)
    with closing(open_database(tmp_path / "seeds.sqlite")) as database:
        database.execute(ORIGINAL_TABLE)
        seeds = like(database, [])
    assert (seeds.per_row, seeds.per_statement) == (4, 1)
    assert 60 < ours.bytes_per_row < seeds.bytes_per_row < 300
    with closing(open_database(tmp_path / "empty.sqlite")) as database:
        assert like(database, [ORIGINAL_TABLE]).per_row == 4
    assert measure([ORIGINAL_TABLE]).stored_bytes == 0


def test_days_are_days_of_utc_and_the_busiest_decides(stack: Stack) -> None:
    fridays = with_crons(stack, "* * * * FRI", "0 0 * * *")
    caps = {cap.name: cap for cap in in_(fridays, days=14).caps}
    assert caps["queue operations"].day == "2024-10-04"
    assert caps["queue operations"].used == 1_441 * 60
    assert caps["queue operations"].exceeded_at == "02:45"
