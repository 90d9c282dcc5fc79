"""Killed exactly there, or starved exactly so: no candle is lost, doubled or altered, whatever the place or the fault.

Every test runs the whole pipeline in processes of its own: simulated exchange over HTTP, queue, consumer, D1.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coinswarm import failpoints
from coinswarm.chaos.plan import (
    DATABASE_ANSWERS,
    DAY,
    EXPIRY_SECONDS,
    HTTP_ANSWERS,
    REPLY,
    REQUEST,
    STATEMENT,
    WALL,
    Kill,
    Step,
)
from coinswarm.chaos.plan import (
    END as END_OF_JOB,
)
from coinswarm.chaos.report import EpisodeReport
from coinswarm.failpoints import FAILPOINTS, failpoint
from tests.support.episodes import CANDLES, END, FETCH, MAKE, run
from tests.test_architecture import MODULES

JOBS = {
    "producer.queued": "fetch",
    "consumer.leased": "consume",
    "consumer.written": "consume",
    "consumer.settled": "consume",
    "queue.upgrading": "migrate",
    "queue.committing": "fetch",
    "queue.committed": "consume",
    "queue.dead_lettering": "consume",
    "queue.dead_letters_sent": "consume",
    "queue.purging": "purge",
    "queue.redriving": "redrive",
    "queue.closing": "consume",
    "migration.applying": "migrate",
    "migration.applied": "migrate",
    "import.committing": "import",
    "import.checkpoint": "import",
    "d1.committing": "consume",
    "d1.committed": "consume",
    "d1.closing": "consume",
}
"""In which job each of them is stood at."""


def steps_with(kill: Kill, job: str) -> tuple[Step, ...]:
    """The pipeline from its first file to its last candle, with one kill in the first `job` of it."""
    killed = Step(job, kill, batch=10)
    if job in ("migrate", "import"):
        before = MAKE[: [step.job for step in MAKE].index(job)]
        return (*before, killed, *MAKE[len(before) :], *FETCH, *END)
    if job == "redrive":
        return (*MAKE, *FETCH, Step("consume"), killed, *END)
    return (*MAKE, killed, *FETCH, *END) if job == "fetch" else (*MAKE, *FETCH, killed, *END)


def assert_all_there(report: EpisodeReport, *, purged: bool = False, expired: bool = False) -> None:
    account = report.account
    assert account.violations == []
    assert (account.lost, account.doubled, account.altered, account.queued) == (0, 0, 0, 0)
    assert account.fetched == CANDLES
    gone = account.purged + account.expired
    assert account.stored + account.dead_lettered + gone == CANDLES
    if not (purged or expired):
        assert gone == 0
        assert account.poison >= 4


# --- killed at a named place ---


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_kill_at_each_failpoint_loses_doubles_and_alters_nothing(point: str, tmp_path: Path) -> None:
    mode = "rest" if point == "queue.dead_letters_sent" else "local"
    kill = Kill(point, hit=3 if point in ("d1.committing", "d1.committed") else 1)
    report = run(tmp_path, *steps_with(kill, JOBS[point]), mode=mode)
    assert report.kills == {point: 1}
    assert_all_there(report, purged=point == "queue.purging")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "job"),
    [
        ("queue.committing", "migrate"),
        ("d1.committing", "migrate"),
        ("d1.committed", "migrate"),
        ("queue.committing", "consume"),
        ("queue.committed", "fetch"),
        ("queue.committed", "purge"),
        ("queue.committed", "redrive"),
        (REQUEST, "fetch"),
        (REPLY, "fetch"),
        (END_OF_JOB, "consume"),
        (END_OF_JOB, "fetch"),
        (WALL, "consume"),
    ],
)
def test_so_does_a_kill_at_these_places_of_other_jobs(point: str, job: str, tmp_path: Path) -> None:
    report = run(tmp_path, *steps_with(Kill(point, delay_ms=12.0 if point == WALL else 0.0), job))
    assert report.kills == {point: 1}
    assert_all_there(report, purged=job == "purge")


@pytest.mark.slow
@pytest.mark.parametrize("delay_ms", [0.05, 0.4, 2.0])
@pytest.mark.parametrize(("point", "job"), [("import.checkpoint", "import"), ("queue.closing", "consume")])
def test_a_kill_while_the_write_ahead_log_is_checkpointed_damages_nothing(
    point: str, job: str, delay_ms: float, tmp_path: Path
) -> None:
    report = run(tmp_path, *steps_with(Kill(point, delay_ms=delay_ms), job))
    assert report.kills.total() == 1
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 5, 12, 20, 30, 45])
@pytest.mark.parametrize("job", ["migrate", "import", "consume"])
def test_a_kill_before_any_statement_is_survived(job: str, number: int, tmp_path: Path) -> None:
    report = run(tmp_path, *steps_with(Kill(STATEMENT, number), job), seed_table=number % 2 == 0)
    assert report.kills.total() == 1
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "point"),
    [
        ("served", "d1.committing"),
        ("served", "d1.committed"),
        ("rest", "queue.committing"),
        ("rest", "queue.committed"),
        ("rest", "d1.committed"),
    ],
)
def test_a_server_killed_under_its_clients_is_started_again_and_nothing_is_missing(
    mode: str, point: str, tmp_path: Path
) -> None:
    killed = Step("consume", Kill(point, hit=3, server=True), batch=10)
    report = run(tmp_path, *MAKE, *FETCH, killed, *END, mode=mode)
    assert report.kills == {f"serve: {point}": 1}
    assert_all_there(report)


# --- faults without a kill ---


@pytest.mark.slow
@pytest.mark.parametrize("kind", DATABASE_ANSWERS)
def test_whatever_d1_answers_instead_of_a_result_each_candle_is_stored_once(kind: str, tmp_path: Path) -> None:
    # The first two calls look at the table, as the first two transactions do.
    report = run(tmp_path, *MAKE, *FETCH, Step("consume", answers=((2, kind), (4, kind)), batch=10), *END)
    assert report.faults[f"D1: {kind}"] == 2
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HTTP_ANSWERS)
def test_whatever_the_api_answers_or_does_not_each_candle_is_stored_once(kind: str, tmp_path: Path) -> None:
    calls = tuple((number, kind) for number in (3, 5, 6, 8))
    report = run(tmp_path, *MAKE, *FETCH, Step("consume", answers=calls, batch=10), *END, mode="rest")
    assert sum(count for fault, count in report.faults.items() if fault.startswith(f"HTTP: {kind}")) > 0
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["consume", "lock d1", "lock queue"])
def test_others_at_the_same_files_disturb_nothing(beside: str, tmp_path: Path) -> None:
    report = run(tmp_path, *MAKE, *FETCH, Step("consume", beside=(beside,), batch=5), *END)
    assert report.faults.keys() & {"another consumer", "database is locked"}
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HTTP_ANSWERS)
def test_whatever_the_api_answers_a_producer_no_candle_is_missing(kind: str, tmp_path: Path) -> None:
    starved = Step("fetch", span=0, answers=((2, kind), (3, kind)))
    report = run(tmp_path, *MAKE, starved, *FETCH, *END, mode="rest")
    assert sum(count for fault, count in report.faults.items() if fault.startswith(f"HTTP: {kind}")) == 2
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "starved", "told"),
    [
        ("local", Step("fetch", disk=1), "disk full"),
        ("local", Step("fetch", beside=("lock queue",)), "database is locked"),
        ("rest", Step("fetch", beside=("lock queue",)), "database is locked"),
        ("local", Step("fetch", beside=("consume",)), "consumer meanwhile"),
        ("rest", Step("fetch", beside=("consume",)), "consumer meanwhile"),
        ("local", Step("fetch", jump=-DAY), "clock set back"),
    ],
)
def test_a_producer_under_faults_leaves_nothing_out(mode: str, starved: Step, told: str, tmp_path: Path) -> None:
    report = run(tmp_path, *MAKE, starved, *FETCH, *END, mode=mode)
    assert report.faults[told] == 1
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["local", "served", "rest"])
def test_two_consumers_and_a_purge_at_once_lose_nothing_but_what_the_purge_counts(mode: str, tmp_path: Path) -> None:
    crowd = Step("consume", beside=("consume", "purge"), batch=5)
    report = run(tmp_path, *MAKE, *FETCH, crowd, *END, mode=mode)
    assert report.faults["two consumers and a purge at once"] == 1
    assert_all_there(report, purged=True)


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["", "consume"])
def test_what_a_purge_takes_away_is_exactly_what_it_counts(beside: str, tmp_path: Path) -> None:
    alone = Step("purge")
    report = run(tmp_path, *MAKE, *FETCH, Step("consume", beside=("purge",), batch=5) if beside else alone, *END)
    assert_all_there(report, purged=True)
    if not beside:
        assert report.account.purged > 0
        assert report.account.stored < CANDLES


@pytest.mark.slow
@pytest.mark.parametrize("more", [1, 5_000, 40_000])
@pytest.mark.parametrize("job", ["import", "consume"])
def test_a_full_disk_stops_a_job_and_takes_nothing_away(job: str, more: int, tmp_path: Path) -> None:
    before = MAKE if job == "consume" else MAKE[:1]
    report = run(tmp_path, *before, *FETCH, Step(job, disk=more, batch=5), *MAKE[1:], *END)
    if more == 1:
        assert report.faults["disk full"] == 1
    assert_all_there(report)


@pytest.mark.slow
@pytest.mark.parametrize("jump", [-DAY, -60, 45, DAY])
def test_a_clock_set_wrongly_hides_no_message_for_good(jump: int, tmp_path: Path) -> None:
    dying = Step("consume", Kill("consumer.leased"), batch=10, jump=jump)
    report = run(tmp_path, *MAKE, *FETCH, dying, Step("consume", jump=-jump), *END)
    assert_all_there(report)


def test_messages_too_old_are_counted_when_they_go(tmp_path: Path) -> None:
    report = run(tmp_path, *MAKE, *FETCH, Step("consume", jump=EXPIRY_SECONDS), *END)
    assert_all_there(report, expired=True)
    assert report.account.expired == CANDLES - report.account.stored > 0


# --- the failpoints themselves ---


def test_every_failpoint_of_the_product_is_listed_and_every_listed_one_is_in_the_product() -> None:
    product = {path for module, path in MODULES.items() if not module.startswith("coinswarm.chaos")}
    named = [name for path in product for name in re.findall(r'\bfailpoint\("([^"]+)"', path.read_text())]
    assert sorted(named) == sorted(FAILPOINTS)
    assert JOBS.keys() == FAILPOINTS.keys()


def test_a_failpoint_does_nothing_unless_the_process_armed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, object]] = []
    failpoint("consumer.written")
    monkeypatch.setattr(failpoints, "_handler", lambda name, subject: heard.append((name, subject)))
    failpoint("consumer.written", 1)
    failpoints.arm(None)
    failpoint("consumer.written", 2)
    assert heard == [("consumer.written", 1)]
