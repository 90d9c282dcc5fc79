"""`coinswarm chaos`: one plan for one seed, each planned kill happens, and a broken promise is told with its replay."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from coinswarm.chaos.clock import SharedClock
from coinswarm.chaos.drawing import plan
from coinswarm.chaos.plan import (
    DATABASE_ANSWERS,
    DAY,
    EXPIRY_SECONDS,
    HTTP_ANSWERS,
    REPLY,
    REQUEST,
    STATEMENT,
    WALL,
    Step,
    digest,
)
from coinswarm.chaos.run import CANDLES, KILLS
from coinswarm.consumer import rows
from coinswarm.failpoints import FAILPOINTS
from tests.support.command_line import CommandLine, process


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert digest(plan(7, 200, 100_000)) == digest(plan(7, 200, 100_000))
    assert len({digest(plan(seed, 200, 100_000)) for seed in range(20)}) == 20


@pytest.mark.parametrize(("kills", "candles"), [(1, 1_000), (13, 5_000), (50, 50_000), (1_000, 1_000_000)])
def test_a_plan_holds_the_kills_and_candles_asked_for(kills: int, candles: int) -> None:
    episodes = plan(3, kills, candles)
    assert sum(episode.kills for episode in episodes) == kills
    spans = [span for episode in episodes for span in episode.spans]
    seconds = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
    total = sum((span.last - span.first) // seconds[span.timeframe] + 1 for span in spans)
    assert candles <= total < candles + len(episodes)


def test_a_plan_fetches_every_span_without_a_fault_and_ends_with_a_drain() -> None:
    for episode in plan(5, 200, 100_000):
        whole = [step.span for step in episode.steps if step.job == "fetch" and step.faultless]
        assert set(whole) == set(range(len(episode.spans)))
        assert [step.job for step in episode.steps if step.last][-1] == "consume"
        assert all(step.faultless for step in episode.steps if step.last)


def test_no_clock_of_a_plan_makes_messages_too_old_but_where_that_is_meant() -> None:
    for episode in plan(5, 1_000, 100_000):
        clock, seen = 0, [0]
        for step in episode.steps:
            if step.jump == EXPIRY_SECONDS:
                continue
            clock += step.jump
            seen.append(clock)
        assert max(seen) - min(seen) < 4 * DAY
        assert max(seen) == seen[-1]


def test_the_full_run_kills_at_every_failpoint() -> None:
    steps = [step for episode in plan(1, 1_000, 1_000_000) for step in episode.steps]
    points = {step.kill.point for step in steps if step.kill is not None}
    assert points == {*FAILPOINTS, STATEMENT, REQUEST, REPLY, WALL}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("kills", "candles"), [(50, 20_000), (KILLS, CANDLES), (25, 5_000), (12, 2_000)])
def test_every_plan_of_a_dozen_kills_has_every_mode_and_every_kind_of_fault(
    seed: int, kills: int, candles: int
) -> None:
    """What CI runs, what the command does unless told otherwise, and the example of the documentation among them."""
    episodes = plan(seed, kills, candles)
    by_mode = {episode.mode: [step for step in episode.steps if not step.last] for episode in episodes}
    assert sorted(by_mode) == ["local", "rest", "served"]
    for mode, steps in by_mode.items():
        kinds = {kind for step in steps if step.job == "consume" for _, kind in step.answers}
        assert kinds == set(DATABASE_ANSWERS if mode == "local" else HTTP_ANSWERS)
        full = {step.job for step in steps if step.disk}
        assert full == ({"import"} if mode == "rest" else {"import", "fetch", "consume"})
        assert {("fetch", "lock queue"), ("consume", "lock queue"), ("consume", "lock d1")} <= set(beside(steps))
        assert {("fetch", "consume"), ("consume", "consume")} <= set(beside(steps))
        assert any(step.job == "poison" for step in steps)
        assert any(step.jump < 0 for step in steps)
        assert any(step.jump > 0 for step in steps)
        assert any(step.jump for step in steps if step.job == "fetch")
        if mode == "rest":
            assert any(step.answers for step in steps if step.job == "fetch")
    every = [step for steps in by_mode.values() for step in steps]
    assert ("consume", "purge") in beside(every)
    assert any({"consume", "purge"} <= set(step.beside) for step in every if step.job == "consume")
    assert any(step.jump == EXPIRY_SECONDS for step in every)


def beside(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.job, other) for step in steps for other in step.beside]


@pytest.mark.parametrize("candles", [20_000, CANDLES])
def test_fifty_kills_are_of_every_kind(candles: int) -> None:
    kills = [step.kill for episode in plan(1, 50, candles) for step in episode.steps if step.kill is not None]
    assert {STATEMENT, REQUEST, REPLY, WALL} < {kill.point for kill in kills}
    assert any(kill.server for kill in kills)
    assert any(kill.delay_ms for kill in kills if kill.point in FAILPOINTS)
    assert len({kill.point for kill in kills} & FAILPOINTS.keys()) >= 10


def test_no_mode_purge_or_expiry_is_kept_waiting_for_longer_than_three_episodes() -> None:
    episodes = plan(4, 1_000, 100_000)
    for first in range(0, len(episodes) - 2, 3):
        three = episodes[first : first + 3]
        assert len({episode.mode for episode in three}) == 3
        assert sum(any(step.jump == EXPIRY_SECONDS for step in episode.steps) for episode in three) == 1
        assert sum(any("purge" in step.beside for step in episode.steps) for episode in three) == 1


def test_waiting_moves_the_shared_clock_by_what_was_asked_and_takes_a_fraction_of_it() -> None:
    clock = SharedClock()
    before, began = clock.now_ms(), clock.monotonic()
    clock.sleep(60)
    assert 60_000 <= clock.now_ms() - before < 65_000
    assert 60 <= clock.monotonic() - began < 65
    clock.jump(-3_600)
    assert clock.now_ms() < before


def test_a_small_run_kills_as_planned_and_has_everything_in_the_end(coinswarm: CommandLine) -> None:
    result = coinswarm("chaos", "--kills", "8", "--candles", "2000", "--seed", "3", "--json")
    report = result.json
    assert (result.exit_code, report["passed"], report["violations"]) == (0, True, [])
    assert report["kills"] == sum(report["kills_by_point"].values()) == 8
    assert report["kills_in_flight"] + report["kills_too_late"] == 8
    assert report["plan_sha256"] == digest(plan(3, 8, 2_000))
    candles = report["candles"]
    assert candles["fetched"] == 2_000
    assert (candles["lost"], candles["doubled"], candles["altered"], candles["queued"]) == (0, 0, 0, 0)
    assert report["seed"] == 3
    assert report["machine"]["cpus"] > 0
    assert list(coinswarm.directory.iterdir()) == []


def test_a_broken_promise_exits_1_and_is_told_with_the_command_that_shows_it_again(
    coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    insert = rows._insert
    monkeypatch.setattr(
        rows, "_insert", lambda n: insert(n).split(" ON CONFLICT")[0].replace("INSERT", "INSERT OR REPLACE")
    )
    result = coinswarm("chaos", "--kills", "4", "--candles", "1000", "--seed", "2", "--keep", tmp_path / "kept")
    assert result.exit_code == 1
    assert re.search(r"⚠ episode 0: [\d,]+ altered", result.err)
    assert "replay it: coinswarm chaos --seed 2 --kills 4 --candles 1000 --episode 0" in result.err
    assert (tmp_path / "kept" / "episode-0" / "state").is_dir()
    planned = [json.loads(line) for line in (tmp_path / "kept" / "plan.jsonl").read_text().splitlines()]
    assert sum("kill" in line for line in planned) == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--episode", "9"], "the plan has no episode 9"),
        (["--kills", "0"], "--kills"),
        (["--candles", "10"], "--candles"),
        (["--keep", "."], "is not empty"),
        (["--seed", "x"], "--seed"),
    ],
)
def test_wrong_use_is_told_before_anything_runs(coinswarm: CommandLine, arguments: list[str], told: str) -> None:
    (coinswarm.directory / "mine.txt").write_text("mine")
    result = coinswarm("chaos", *arguments)
    assert result.exit_code == 2
    assert told in result.err
    assert [path.name for path in coinswarm.directory.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_fifty_kills_and_every_fault_that_the_documentation_names(tmp_path: Path) -> None:
    report = assert_clean(tmp_path, kills=50, candles=20_000, seed=1)
    met = set(report["faults"])
    assert {f"D1: {kind}" for kind in DATABASE_ANSWERS} <= met
    assert {fault.split()[1] for fault in met if fault.startswith("HTTP: ")} == set(HTTP_ANSWERS)
    assert any(fault.startswith("exchange: ") for fault in met)
    assert {"database is locked", "disk full", "clock set forward", "clock set back", "another consumer"} <= met
    assert {"consumer meanwhile", "purge meanwhile", "two consumers and a purge at once"} <= met
    assert {"FetchFailed (StorageFull)", "StorageFull"} <= set(report["errors_under_faults"])
    assert set(report["modes"].values()) == {1}
    assert report["candles"]["expired"] > 0
    assert report["candles"]["purged"] > 0
    assert report["dead_letters"]["poison"] > 0
    assert report["kills_in_flight"] >= 35


@pytest.mark.nightly
def test_a_thousand_kills_and_a_million_candles(tmp_path: Path) -> None:
    assert_clean(tmp_path, kills=1_000, candles=1_000_000, seed=1)


def assert_clean(directory: Path, *, kills: int, candles: int, seed: int) -> dict[str, Any]:
    """In a process of its own, as a person or a schedule starts it."""
    words, environment = process(
        *("chaos", "--kills", str(kills), "--candles", str(candles), "--seed", str(seed), "--json"), environment={}
    )
    done = subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert (done.returncode, report["violations"]) == (0, [])
    assert report["kills"] == kills
    assert report["candles"]["fetched"] >= candles * 0.99
    assert (report["candles"]["lost"], report["candles"]["doubled"], report["candles"]["altered"]) == (0, 0, 0)
    return cast(dict[str, Any], report)
