"""A month of the whole stack under a clock that is told the time: schedule, runner, producer, queue, consumer, D1."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coinswarm import wiring
from coinswarm.clock import ManualClock
from coinswarm.collecting.run import collect_plan
from coinswarm.config.plan import Plan, messages_per_run
from coinswarm.config.stack import Cron
from coinswarm.consumer.worker import worker_for
from coinswarm.cron.runner import Runner, jobs_of
from coinswarm.cron.state import CronState
from coinswarm.d1.migrate import apply
from coinswarm.simulator import SyntheticMarket
from tests.support.market_fetcher import exchanges
from tests.support.served import stack_in

FIRES = 1440
NOVEMBER = int(datetime(2024, 11, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.slow
def test_a_month_bills_what_was_forecast_to_the_operation_and_stores_every_candle_once(tmp_path: Path) -> None:
    clock = ManualClock(NOVEMBER - 1)
    stack, plan = stack_in(tmp_path), Plan()
    (job,) = jobs_of([Cron("*/30 * * * *", "producer", "wrangler.toml")])
    fetchers = exchanges(SyntheticMarket(), clock)
    with (
        wiring.local_queues(stack, clock) as store,
        closing(wiring.local_database(stack.database(), stack, clock)) as database,
        CronState(tmp_path / "cron.sqlite") as state,
    ):
        apply(database, wiring.migrations_of(stack.database()))
        queue = store.open(stack.queue())
        worker = worker_for(stack.consumer(), queue, database, clock)
        runner = Runner([job], state, clock, lambda _job, fire: collect_plan(plan, queue, fetchers, clock, at_ms=fire))
        runner.run_due()
        ran = []
        for _ in range(FIRES):
            clock.advance((job.schedule.next_ms(clock.now_ms()) - clock.now_ms()) / 1000)
            ran += runner.run_due()
            worker.drain()
        (counted,) = database.execute("SELECT count(*) AS n FROM price_data")
        usage = store.usage(queue=stack.queue())

    assert clock.now_ms() == NOVEMBER + (FIRES - 1) * 1_800_000
    assert [one.past.outcome for one in ran] == ["done"] * FIRES
    messages = FIRES * messages_per_run(plan)
    assert messages == 28_800
    assert sum(day.operations for day in usage) == 3 * messages  # written, read, deleted: 86,400
    assert sum(day.sent for day in usage) == worker.report.acked == messages
    assert worker.report.rows.received == FIRES * plan.points
    assert counted.objects[0]["n"] == worker.report.rows.inserted == (FIRES + plan.candles - 1) * len(plan.series)
