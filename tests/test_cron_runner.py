"""The runner: what it runs when, what becomes of missed fires, and that two runs never go at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coinswarm.clock import ManualClock
from coinswarm.config.stack import Cron
from coinswarm.cron.runner import Job, Runner, choose, jobs_of
from coinswarm.cron.state import CronBusy, CronState
from coinswarm.errors import SourceUnavailable, UsageError

NOON = int(datetime(2024, 11, 1, 12, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000
HALF_HOURLY = Cron("*/30 * * * *", "producer", "wrangler.toml")


@dataclass
class Outcome:
    ok: bool = True
    interrupted: bool = False
    message: str = "Queued 195 candles in 20 messages"

    def as_json(self) -> dict[str, Any]:
        return {}


@dataclass
class World:
    clock: ManualClock
    folder: Path
    fires: list[int]
    action: Callable[[Job, int], Outcome]

    def state(self) -> CronState:
        return CronState(self.folder / "cron.sqlite")

    def runner(self, state: CronState, *, missed: str = "skip", crons: tuple[Cron, ...] = (HALF_HOURLY,)) -> Runner:
        return Runner(jobs_of(crons), state, self.clock, self.action, missed=missed)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    fires: list[int] = []

    def action(_job: Job, fire: int) -> Outcome:
        fires.append(fire)
        return Outcome()

    yield World(ManualClock(NOON - MINUTE), tmp_path, fires, action)


def test_nothing_runs_before_its_time_and_each_fire_once(world: World) -> None:
    with world.state() as state:
        runner = world.runner(state)
        assert runner.run_due() == []
        world.clock.advance(59)
        assert runner.run_due() == []
        world.clock.advance(1)
        assert [ran.past.fire_ms for ran in runner.run_due()] == [NOON]
        assert runner.run_due() == []
        world.clock.advance(1800)
        runner.run_due()
    assert world.fires == [NOON, NOON + 30 * MINUTE]


def test_a_fire_that_is_looked_at_a_little_late_still_runs_for_its_own_moment(world: World) -> None:
    with world.state() as state:
        runner = world.runner(state)
        runner.run_due()
        world.clock.advance(60 + 59)
        runner.run_due()
    assert world.fires == [NOON]


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("skip", [NOON + 180 * MINUTE]),
        ("once", [NOON + 150 * MINUTE, NOON + 180 * MINUTE]),
        ("all", [NOON + number * 30 * MINUTE for number in range(7)]),
    ],
)
def test_fires_missed_while_nothing_ran_are_skipped_run_once_or_all(
    world: World, missed: str, expected: list[int]
) -> None:
    with world.state() as state:
        world.runner(state, missed=missed).run_due()
    world.clock.advance(60 + 2.75 * 3600)  # no process; 12:00 to 14:30 pass
    with world.state() as state:
        runner = world.runner(state, missed=missed)
        runner.run_due()
        world.clock.advance(900)
        runner.run_due()
    assert world.fires == expected


def test_fires_that_pass_during_a_long_run_do_not_pile_up(world: World) -> None:
    def slow(job: Job, fire: int) -> Outcome:
        world.fires.append(fire)
        world.clock.advance(75 * 60)
        return Outcome()

    with world.state() as state:
        runner = Runner(jobs_of([HALF_HOURLY]), state, world.clock, slow)
        runner.run_due()
        world.clock.advance(60)
        runner.run_due()
        runner.run_due()
        world.clock.advance(15 * 60)
        runner.run_due()
    assert world.fires == [NOON, NOON + 90 * MINUTE]


def test_a_failed_run_is_remembered_with_its_reason_and_the_next_fire_runs(world: World) -> None:
    def failing(_job: Job, _fire: int) -> Outcome:
        raise SourceUnavailable("binance", "did not answer")

    with world.state() as state:
        runner = Runner(jobs_of([HALF_HOURLY]), state, world.clock, failing)
        runner.run_due()
        world.clock.advance(60)
        (ran,) = runner.run_due()
        assert isinstance(ran.error, SourceUnavailable)
        last = state.last(runner.jobs[0].key)
        assert last is not None
        assert (last.outcome, last.message, last.fire_ms) == ("failed", "binance: did not answer", NOON)
        world.clock.advance(1800)
        assert len(runner.run_due()) == 1


def test_two_never_run_at_a_time_and_what_was_due_runs_afterwards(world: World) -> None:
    with world.state() as first, world.state() as second:
        runner = world.runner(first)
        runner.run_due()
        world.clock.advance(60)
        with second.alone():
            assert runner.run_due() == []
            with pytest.raises(CronBusy, match=r"under way already, in process \d+"):
                runner.run_now(runner.jobs[0])
        runner.run_due()
        assert world.runner(second).run_due() == []  # the other process sees that it has been done
    assert world.fires == [NOON]


@pytest.mark.parametrize("passed", [0, 60 + 2.75 * 3600], ids=["seen for the first time", "fires passed over"])
def test_while_nothing_is_to_run_nobody_is_kept_from_running(
    world: World, monkeypatch: pytest.MonkeyPatch, passed: float
) -> None:
    with world.state() as state:
        if passed:
            world.runner(state).run_due()
            world.clock.advance(passed)
        taken: list[None] = []
        monkeypatch.setattr(state, "alone", lambda: taken.append(None) or nullcontext())
        assert world.runner(state).run_due() == []
        assert not taken
        world.clock.advance(30 * 60 - passed % 1800 + 60)
        assert len(world.runner(state).run_due()) == 1
        assert taken


def test_two_that_see_a_trigger_for_the_first_time_do_not_bring_back_a_fire_that_ran(world: World) -> None:
    with world.state() as state:
        runner = world.runner(state)
        runner.run_due()
        world.clock.advance(60)
        runner.run_due()
        state.begin(runner.jobs[0].key, NOON - 1, ahead_ms=MINUTE)  # the slower one, which had found nothing noted
        assert runner.run_due() == []
    assert world.fires == [NOON]


def test_a_fire_that_waits_for_the_run_of_another_trigger_is_not_a_missed_one(world: World) -> None:
    hourly = Cron("0 * * * *", "importer", "importer.toml")

    def slow(job: Job, fire: int) -> Outcome:
        world.fires.append(fire)
        world.clock.advance(90)
        return Outcome()

    with world.state() as state:
        runner = Runner(jobs_of([HALF_HOURLY, hourly]), state, world.clock, slow)
        runner.run_due()
        world.clock.advance(60)
        runner.run_due()
        assert world.fires == [NOON, NOON]
        assert runner.run_due() == []


def test_a_fire_that_waits_long_for_a_run_by_hand_is_not_a_missed_one(world: World) -> None:
    with world.state() as first, world.state() as second:
        runner = world.runner(first)
        runner.run_due()
        world.clock.advance(60)
        with second.alone():
            runner.run_due()
            world.clock.advance(300)
            runner.run_due()
        runner.run_due()
    assert world.fires == [NOON]


def test_a_clock_that_was_ahead_once_does_not_stop_the_schedule_until_then(world: World) -> None:
    right = world.clock.now_ms()
    with world.state() as state:
        world.clock.advance(400 * 86_400)
        world.runner(state).run_due()
        world.clock = ManualClock(right)
        runner = world.runner(state)
        runner.run_due()
        assert world.fires == []
        world.clock.advance(60)
        runner.run_due()
    assert world.fires == [NOON]


def test_a_clock_set_back_a_little_runs_no_fire_again(world: World) -> None:
    with world.state() as state:
        runner = world.runner(state)
        runner.run_due()
        world.clock.advance(60)
        runner.run_due()
        runner.clock = ManualClock(NOON - 5_000)
        runner.run_due()
        runner.clock.advance(5)
        runner.run_due()
    assert world.fires == [NOON]


def test_another_process_keeps_out_ours_and_a_killed_one_does_not(world: World) -> None:
    code = (
        "import sys, pathlib, time; from coinswarm.cron.state import CronState\n"
        "state = CronState(pathlib.Path(sys.argv[1]))\n"
        "with state.alone(): print('held', flush=True); time.sleep(60)"
    )
    with world.state() as state:
        arguments = [sys.executable, "-c", code, str(world.folder / "cron.sqlite")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(CronBusy, match=str(holder.pid)), state.alone():
                pass
            holder.kill()
        with state.alone():
            pass


def test_a_run_by_hand_is_no_fire_of_the_schedule(world: World) -> None:
    with world.state() as state:
        runner = world.runner(state)
        runner.run_due()
        ran = runner.run_now(runner.jobs[0], NOON)
        assert ran.past.manual
        world.clock.advance(60)
        runner.run_due()
    assert world.fires == [NOON, NOON]


def test_an_interrupted_run_counts_as_not_made(world: World) -> None:
    with world.state() as state:
        runner = Runner(
            jobs_of([HALF_HOURLY]), state, world.clock, lambda _job, _fire: Outcome(ok=False, interrupted=True)
        )
        runner.run_due()
        world.clock.advance(60)
        runner.run_due()
        assert state.last(runner.jobs[0].key) is None
        assert world.runner(state).run_due() != []


def test_watching_sleeps_until_the_next_fire_and_stops_when_told(world: World) -> None:
    with world.state() as state:
        world.runner(state).watch(lambda: world.clock.now_ms() > NOON + 61 * MINUTE)
    assert world.fires == [NOON, NOON + 30 * MINUTE, NOON + 60 * MINUTE]
    assert max(world.clock.slept) <= 0.5


def test_a_job_is_known_by_its_worker_or_its_expression() -> None:
    jobs = jobs_of([HALF_HOURLY, HALF_HOURLY, Cron("0 0 * * sun", "producer", "w.toml"), Cron("0 1 * * *", "b", "b")])
    assert len(jobs) == 3
    assert choose(jobs, "b").schedule.expression == "0 1 * * *"
    assert choose(jobs, "0 0 * * SUN").worker == "producer"
    assert choose(jobs, "0 0 * * sun").worker == "producer"
    for name, told in ((None, "not clear"), ("producer", "not clear"), ("x", "there is no cron trigger 'x'")):
        with pytest.raises(UsageError, match=told):
            choose(jobs, name)
    with pytest.raises(UsageError, match="no cron trigger is configured"):
        choose([], None)
