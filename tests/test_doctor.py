"""`coinswarm doctor`: thirteen steps, a question before each change, and next steps from what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coinswarm.doctor.report import DoctorReport
from coinswarm.doctor.walk import examine
from coinswarm.queue.types import OutgoingMessage, QueueSettings
from coinswarm.simulator import Simulator
from coinswarm.verify.check import Status
from coinswarm.verify.subject import Subject
from tests.support.command_line import CommandLine, HastyClock
from tests.support.verified import CLOCK, DEAD, QUEUE, FreshStack, behind_http

PASSED, WARNING, FAILED, SKIPPED = Status.PASSED, Status.WARNING, Status.FAILED, Status.SKIPPED


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def fresh(tmp_path: Path, exchange: Simulator) -> FreshStack:
    made = FreshStack(tmp_path / "project")
    made.environ |= exchange.environment
    return made


class Person:
    """Answers questions: yes to those that hold one of `yes`, no to the others."""

    def __init__(self, *yes: str) -> None:
        self.yes = yes
        self.asked: list[str] = []

    def __call__(self, question: str) -> bool:
        self.asked.append(question)
        return any(part in question for part in self.yes)


def visit(fresh: FreshStack, person: Person, *, remote: bool = False, depths: list[int] | None = None) -> DoctorReport:
    heard: list[int] = [] if depths is None else depths
    subject = Subject(fresh.stack, CLOCK, remote=remote, look_only=True)
    return examine(subject, agree=person, on_depth=heard.append)


def statuses(report: DoctorReport) -> dict[int, Status]:
    return {step.number: step.status for step in report.steps if step.status is not PASSED}


def test_there_are_the_originals_thirteen_steps(fresh: FreshStack) -> None:
    report = visit(fresh, Person())
    assert [step.number for step in report.steps] == list(range(1, 14))


def test_with_every_yes_an_empty_folder_becomes_a_stack_with_candles(
    coinswarm: CommandLine, exchange: Simulator
) -> None:
    coinswarm.environment = exchange.environment
    result = coinswarm("doctor", "--yes", "--json")
    assert result.exit_code == 0, result.err
    assert result.json["healthy"]
    assert [change.split()[0] for change in result.json["changes"]] == ["created", "applied", "queued", "stored"]
    assert coinswarm("d1", "stats", "--json").json["rows"] == 2000
    assert coinswarm("queues", "info", QUEUE, "--json").json["backlog"] == 0
    again = coinswarm("doctor", "--json")
    assert (again.exit_code, again.json["changes"]) == (0, [])


def test_without_a_terminal_and_without_yes_nothing_is_changed(coinswarm: CommandLine) -> None:
    result = coinswarm("doctor")
    assert result.exit_code == 1
    assert " 3. ❌ Queue: historical-data-queue does not exist" in result.out
    assert list(coinswarm.directory.iterdir()) == []


def test_what_is_in_order_is_not_asked_about(fresh: FreshStack) -> None:
    with fresh.queues():
        pass
    person = Person()
    assert visit(fresh, person).healthy
    assert [question.split()[0] for question in person.asked] == ["Import"]


@pytest.mark.parametrize(
    ("missing", "step", "yes"),
    [
        ("queue", 3, "queue does not exist"),
        ("dead-letter queue", 4, "dlq"),
        ("consumer", 5, "Attach"),
        ("table", 7, "migrations"),
    ],
)
def test_what_is_missing_is_made_after_a_yes_and_left_after_a_no(
    fresh: FreshStack, missing: str, step: int, yes: str
) -> None:
    with fresh.queues() as queues:
        if missing == "queue":
            queues.delete(QUEUE)
        elif missing == "dead-letter queue":
            queues.delete(DEAD)
        elif missing == "consumer":
            queues.remove_consumer(QUEUE, queues.info(QUEUE).consumers[0].consumer_id)
    if missing == "table":
        fresh.sql("DROP TABLE price_data; DELETE FROM d1_migrations")
    refused = visit(fresh, Person())
    assert statuses(refused)[step] is FAILED
    assert refused.changes == []
    assert refused.next_steps == ["coinswarm doctor", "coinswarm verify"]
    mended = visit(fresh, Person(yes))
    assert step not in statuses(mended)
    assert len(mended.changes) == 1
    assert fresh.verify("queue", "dead-letter-queue", "consumer", "price-data").exit_code == 0


def test_delivery_that_is_paused_is_resumed_after_a_yes(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        queues.update(QUEUE, QueueSettings(delivery_paused=True))
        assert visit(fresh, Person("Attach")).changes == [f"resumed delivery from {QUEUE}"]
        assert not queues.info(QUEUE).settings.delivery_paused


def test_an_import_is_queued_and_the_depth_is_seen_to_fall(fresh: FreshStack) -> None:
    (fresh.folder / "coinswarm.toml").write_text("[fetch]\nlimit = 1500\n")
    depths: list[int] = []
    report = visit(fresh, Person("create", "Create", "Import", "Store"), depths=depths)
    assert report.steps[8].did == "queued 1,500 candles"
    assert report.steps[9].message.startswith("Data queued successfully: Queued 1500 candles for BTC-USDC in 150")
    assert (depths[0], depths[-1]) == (150, 0)
    assert sorted(set(depths), reverse=True) == depths
    assert report.steps[10].did == "stored 1,500 new rows; 0 were there"
    assert any(step.startswith("coinswarm fetch BTC-USDC") and "--to-ts" in step for step in report.next_steps)
    assert "coinswarm consume" not in report.next_steps


def test_next_steps_follow_from_what_was_seen(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        queues.open(DEAD).send_batch([OutgoingMessage(b"1")])
        queues.open(QUEUE).send_batch([OutgoingMessage(b"1")])
    report = visit(fresh, Person())
    assert report.next_steps[:3] == [
        "coinswarm queues dlq list",
        "coinswarm consume",
        "coinswarm fetch BTC-USDC --source binance",
    ]


def test_an_exchange_that_refuses_is_told_and_the_walk_goes_on(fresh: FreshStack) -> None:
    with fresh.queues():
        pass
    (fresh.folder / "coinswarm.toml").write_text('[fetch]\npair = "NOSUCH-USD"\n')
    report = visit(fresh, Person("Import"))
    assert statuses(report) == {9: FAILED, 10: SKIPPED, 12: FAILED}
    assert report.steps[8].hint


def test_poison_in_the_queue_shows_as_dead_letters(fresh: FreshStack) -> None:
    with fresh.queues() as queues:
        queues.open(QUEUE).send_batch([OutgoingMessage(b"poison")])
    report = visit(fresh, Person("Store"))
    assert statuses(report)[11] is WARNING
    assert "1 message was dead-lettered" in report.steps[10].message


def test_on_cloudflare_missing_queues_are_created_with_a_pull_consumer(fresh: FreshStack) -> None:
    with behind_http(fresh) as queues:
        queues.delete(QUEUE)
        queues.delete(DEAD)
        report = visit(fresh, Person("Create", "Attach", "Import", "Store"), remote=True)
        assert statuses(report) == {}
        (consumer,) = queues.info(QUEUE).consumers
        assert (consumer.settings.type, consumer.settings.dead_letter_queue) == ("http_pull", DEAD)
        assert queues.open(QUEUE).metrics().backlog == 0
    with fresh.database() as database:
        assert database.execute("SELECT count(*) FROM price_data")[0].rows == [(2000,)]


def test_a_deployed_worker_is_watched_and_not_stood_in_for(fresh: FreshStack, hasty_clock: HastyClock) -> None:
    with behind_http(fresh, pulled=False) as queues:
        queues.open(QUEUE).send_batch([OutgoingMessage(b"1")] * 7)
        subject = Subject(fresh.stack, hasty_clock, remote=True, look_only=True)
        asleep: list[float] = []

        def taken(seconds: float) -> None:
            asleep.append(seconds)
            if len(asleep) == 3:
                queues.open(QUEUE).purge()

        hasty_clock.on_sleep = taken
        depths: list[int] = []
        person = Person("Store")
        report = examine(subject, agree=person, on_depth=depths.append)
        assert not any("Store" in question for question in person.asked)
    assert report.steps[10].message == "Queue is empty (consumer is keeping up!); 7 messages were taken"
    assert depths == [7, 0]


def test_what_to_do_next_on_cloudflare_is_done_there(coinswarm: CommandLine, fresh: FreshStack) -> None:
    coinswarm.directory = fresh.folder
    with behind_http(fresh) as queues:
        coinswarm.environment = fresh.environ
        queues.open(QUEUE).send_batch([OutgoingMessage(b"1")])
        told = coinswarm("doctor", "--remote", "--config", "wrangler.toml").err.splitlines()
        document = coinswarm("doctor", "--remote", "--json").json
        queues.delete(DEAD)
        broken = coinswarm("doctor", "--remote", "--json").json
    steps = [line.removeprefix("  → ") for line in told if "→" in line]
    assert steps[0] == "coinswarm consume --remote-queue --remote --config wrangler.toml"
    assert steps[-1] == "coinswarm verify --remote --config wrangler.toml"
    assert all("--remote" in step for step in [*steps, *document["next_steps"]])
    assert broken["next_steps"] == ["coinswarm doctor --remote", "coinswarm verify --remote"]
    assert "run coinswarm doctor --remote again" in broken["steps"][11]["hint"]


def test_the_built_in_stack_without_files_is_named(coinswarm: CommandLine) -> None:
    assert "the built-in stack" in coinswarm("doctor").out.splitlines()[0]
