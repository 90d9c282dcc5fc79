"""Keeping parts running: what fails is started again, after longer and longer pauses, and told of."""

from __future__ import annotations

import threading

from coinswarm.clock import ManualClock
from coinswarm.dev.supervisor import LONGEST_PAUSE_SECONDS, STEADY_SECONDS, Part, Stop, Supervisor
from coinswarm.errors import SchemaMismatch


class Failing:
    """Fails as often as told, then runs until stopped."""

    def __init__(self, clock: ManualClock, *failures: Exception, steady: float = 0.0) -> None:
        self.clock = clock
        self.failures = list(failures)
        self.steady = steady
        self.running = threading.Event()
        self.stopped = False

    def __call__(self, stop: Stop) -> None:
        if self.failures:
            self.clock.advance(self.steady)
            raise self.failures.pop(0)
        self.running.set()
        while not stop():
            threading.Event().wait(0.001)
        self.stopped = True


def supervised(clock: ManualClock, *parts: Part) -> tuple[Supervisor, list[str]]:
    told: list[str] = []
    return Supervisor(parts, clock, told=lambda part, text: told.append(f"{part.name}: {text}")), told


def test_a_part_that_fails_is_started_again_and_the_others_do_not_notice() -> None:
    clock = ManualClock()
    bad = Failing(clock, SchemaMismatch("price_data is missing", hint="Apply the migrations."), ValueError("a bug"))
    good = Failing(clock)
    supervisor, told = supervised(clock, Part("cron", bad), Part("consumer", good))
    supervisor.start()
    assert bad.running.wait(10)
    assert good.running.wait(10)
    assert [part.restarts for part in supervisor.parts] == [2, 0]
    supervisor.stop()
    assert bad.stopped
    assert good.stopped
    assert [part.state for part in supervisor.parts] == ["stopped", "stopped"]
    assert told[0] == "cron: price_data is missing (Apply the migrations.); starting again in 1 s"
    assert told[1] == "cron: started again"
    assert "Traceback" in told[2]
    assert told[3:] == ["cron: ValueError: a bug; starting again in 2 s", "cron: started again"]


def test_pauses_double_up_to_a_minute_and_begin_anew_after_a_steady_run() -> None:
    clock = ManualClock()
    part = Failing(clock, *[ValueError("again")] * 9)
    supervisor, told = supervised(clock, Part("cron", part))
    supervisor.start()
    assert part.running.wait(10)
    supervisor.stop()
    pauses = [float(text.rsplit(" ", 2)[1]) for text in told if "starting again in" in text]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert sum(clock.slept) >= sum(pauses) - 0.01

    steady = Failing(clock, ValueError("a"), ValueError("b"), ValueError("c"), steady=STEADY_SECONDS)
    supervisor, told = supervised(clock, Part("cron", steady))
    supervisor.start()
    assert steady.running.wait(10)
    supervisor.stop()
    assert [text[-3:] for text in told if "starting again in" in text] == ["1 s"] * 3


def test_a_part_that_ends_although_nobody_asked_is_a_failure() -> None:
    clock = ManualClock()
    ended = threading.Event()
    runs = []

    def short(stop: Stop) -> None:
        runs.append(1)
        if len(runs) < 2:
            return
        ended.set()
        while not stop():
            threading.Event().wait(0.001)

    supervisor, told = supervised(clock, Part("consumer", short))
    supervisor.start()
    assert ended.wait(10)
    supervisor.stop()
    assert told[0] == "consumer: ended by itself; starting again in 1 s"


def test_an_error_is_a_trouble_until_the_part_has_gone_round_its_loop_again_and_no_longer() -> None:
    clock, runs = ManualClock(), []
    begun, go, round_once = threading.Event(), threading.Event(), threading.Event()

    def part(stop: Stop) -> None:
        runs.append(stop())
        if len(runs) == 1:
            raise ValueError("once")
        begun.set()
        go.wait(10)
        stop()
        round_once.set()
        while not stop():
            threading.Event().wait(0.001)

    supervisor, _ = supervised(clock, Part("cron", part))
    supervisor.start()
    assert begun.wait(10)
    assert supervisor.troubles() == ["cron: ValueError: once"]
    go.set()
    assert round_once.wait(10)
    assert supervisor.troubles() == []
    supervisor.stop()
