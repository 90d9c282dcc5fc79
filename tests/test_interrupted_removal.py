"""Purges and exports that are stopped half way: they end between two steps, say how far they came and how to go on."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coinswarm.commands.archive import Archive
from coinswarm.commands.run import STOPPED
from coinswarm.interrupt import Stopped
from coinswarm.queue import dead_letters, removal
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, DeadLetter, Settlement
from tests.support.candle_messages import body, row
from tests.support.cloudflare import TOKEN
from tests.support.command_line import CommandLine, Result
from tests.support.local_cloudflare import LocalCloudflare, local_cloudflare
from tests.support.queues import fill

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"
LETTERS = 450
SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@pytest.fixture
def letters(coinswarm: CommandLine) -> Iterator[SqliteQueueStore]:
    coinswarm("queues", "list")
    (path,) = coinswarm.directory.rglob("queues.sqlite")
    with SqliteQueueStore(path) as store:
        fill(store.open(QUEUE), LETTERS, body(row()).encode())
        while leased := store.open(QUEUE).lease(100):
            store.open(QUEUE).settle(Settlement(dead_letters=[DeadLetter(m.lease_id, "poison") for m in leased]))
        yield store


def stopped_at(monkeypatch: pytest.MonkeyPatch, number: int, owner: object, name: str, *, call: int) -> None:
    """The signal comes at the beginning of this call of `owner.name`."""
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(number)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, counted)


def continued(coinswarm: CommandLine, stopped: Result) -> Result:
    (step,) = (line.strip().removeprefix("→ ") for line in stopped.err.splitlines() if "→" in line)
    return coinswarm(*shlex.split(step)[1:])


def lines(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


# --- dead letters that are purged ---


@SIGNALS
def test_a_purge_with_an_archive_reports_what_it_deleted_which_is_what_the_archive_holds(
    coinswarm: CommandLine, letters: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    stopped_at(monkeypatch, number, Archive, "keep", call=2)
    result = coinswarm("queues", "dlq", "purge", "--archive", "kept.jsonl", "--json")
    assert result.exit_code == code
    assert result.json == {
        "queue_name": DEAD,
        "purged": 200,
        "archive": "kept.jsonl",
        "interrupted": True,
    }
    assert letters.dead_letters(DEAD).count() == LETTERS - 200
    assert len(lines(coinswarm.directory / "kept.jsonl")) == 200


def test_the_command_that_a_stopped_purge_prints_archives_and_deletes_the_rest(
    coinswarm: CommandLine, letters: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [record.id for record in letters.dead_letters(DEAD).records(limit=LETTERS)]
    stopped_at(monkeypatch, signal.SIGINT, Archive, "keep", call=3)
    stopped = coinswarm("queues", "dlq", "purge", "--archive", "kept.jsonl", "--source", QUEUE)
    assert stopped.out == "Deleted 300 dead letters; they are in kept.jsonl.\n"
    assert "stopped when asked to, between two steps: the others are where they were" in stopped.err
    assert continued(coinswarm, stopped).exit_code == 0
    assert letters.dead_letters(DEAD).count() == 0
    folder = coinswarm.directory
    assert lines(folder / "kept.jsonl") + lines(folder / "kept-2.jsonl") == ids


def test_a_stopped_purge_without_an_archive_reports_and_goes_on_in_the_same_way(
    coinswarm: CommandLine, letters: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(monkeypatch, signal.SIGINT, dead_letters, "delete_bodies", call=1)
    stopped = coinswarm("queues", "dlq", "purge", "--force")
    assert (stopped.exit_code, stopped.out) == (130, "Deleted 100 dead letters.\n")
    assert letters.dead_letters(DEAD).count() == LETTERS - 100
    assert continued(coinswarm, stopped).out == f"Deleted {LETTERS - 100} dead letters.\n"


def test_a_purge_that_is_told_to_stop_in_its_last_step_is_done_and_says_nothing_of_others(
    coinswarm: CommandLine, letters: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(monkeypatch, signal.SIGINT, Archive, "keep", call=5)
    stopped = coinswarm("queues", "dlq", "purge", "--archive", "kept.jsonl")
    assert (stopped.exit_code, letters.dead_letters(DEAD).count()) == (130, 0)
    assert "stopped" not in stopped.err


# --- messages that are purged ---


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "STEP", 50)


@SIGNALS
def test_a_stopped_purge_of_a_queue_reports_what_is_gone_and_what_is_left(
    coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch, small_steps: None, number: int, code: int
) -> None:
    coinswarm("queues", "list")
    (path,) = coinswarm.directory.rglob("queues.sqlite")
    with SqliteQueueStore(path) as store:
        fill(store.open(QUEUE), 300)
    stopped_at(monkeypatch, number, removal, "delete_bodies", call=2)
    stopped = coinswarm("queues", "purge", QUEUE, "--force", "--json")
    assert stopped.exit_code == code
    assert stopped.json == {"queue_name": QUEUE, "purged": 100, "interrupted": True}
    stopped_at(monkeypatch, number, removal, "delete_bodies", call=1)
    stopped = coinswarm("queues", "purge", QUEUE, "--force")
    assert stopped.out == f"Purged 50 messages from {QUEUE}.\n"
    assert "stopped when asked to, between two steps: 150 messages left" in stopped.err
    assert continued(coinswarm, stopped).out == f"Purged 150 messages from {QUEUE}.\n"


# --- dead letters that are exported ---


@SIGNALS
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_stopped_export_leaves_no_file_that_looks_whole(
    coinswarm: CommandLine,
    letters: SqliteQueueStore,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    number: int,
    code: int,
) -> None:
    before = set(coinswarm.directory.iterdir())
    with monkeypatch.context() as patch:
        stopped_at(patch, number, Archive, "add", call=120)
        stopped = coinswarm("queues", "dlq", "export", "--output", "all", "--format", form, "--json")
    assert stopped.exit_code == code
    assert (stopped.json["exported"], stopped.json["file"], stopped.json["interrupted"]) == (0, None, True)
    assert set(coinswarm.directory.iterdir()) == before


def test_the_command_that_a_stopped_export_prints_writes_all_of_it(
    coinswarm: CommandLine, letters: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stopped_at(patch, signal.SIGINT, Archive, "add", call=120)
        stopped = coinswarm("queues", "dlq", "export", "-o", "all.jsonl", "--source", QUEUE)
    assert "stopped when asked to, after 120 dead letters: all.jsonl was not made" in stopped.err
    assert continued(coinswarm, stopped).exit_code == 0
    assert len(lines(coinswarm.directory / "all.jsonl")) == LETTERS


def test_a_stopped_export_to_stdout_says_that_there_may_be_more(
    coinswarm: CommandLine, letters: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(monkeypatch, signal.SIGINT, Archive, "add", call=120)
    stopped = coinswarm("queues", "dlq", "export")
    assert (stopped.exit_code, len(stopped.out.splitlines())) == (130, 120)
    assert "stopped when asked to, after 120 dead letters: there may be more" in stopped.err


def test_an_export_that_fails_leaves_nothing_and_one_that_ends_replaces_nothing(
    coinswarm: CommandLine, letters: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = coinswarm.directory / "all.jsonl"
    original = Archive.add

    def overtaken(self: Archive, records: Any) -> None:
        target.write_text("somebody else's")
        original(self, records)

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "add", overtaken)
        assert coinswarm("queues", "dlq", "export", "-o", "all.jsonl").exit_code == 2
    assert target.read_text() == "somebody else's"
    assert {path.name for path in coinswarm.directory.iterdir()} == {".wrangler", "all.jsonl"}


# --- on Cloudflare ---


@pytest.fixture
def cloud(tmp_path: Path, coinswarm: CommandLine) -> Iterator[LocalCloudflare]:
    with local_cloudflare(tmp_path / "cloud") as running:
        running.queues.create(QUEUE)
        running.queues.add_consumer(QUEUE, ConsumerSettings(type="http_pull", dead_letter_queue=DEAD))
        coinswarm.environment = {
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": running.account.id,
            "CLOUDFLARE_API_BASE_URL": running.url,
        }
        yield running


def test_a_stopped_purge_on_cloudflare_reports_too(
    cloud: LocalCloudflare, coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cloud.queues.open(DEAD), 250, body(row()).encode())
    stopped_at(monkeypatch, signal.SIGINT, Archive, "keep", call=1)
    stopped = coinswarm("queues", "dlq", "purge", "--archive", "kept.jsonl", "--remote")
    assert (stopped.exit_code, stopped.out) == (130, "Deleted 100 dead letters; they are in kept.jsonl.\n")
    assert cloud.queues.open(DEAD).metrics().backlog == 150
    assert continued(coinswarm, stopped).exit_code == 0
    assert cloud.queues.open(DEAD).metrics().backlog == 0


# --- commands that cannot tell how far they came ---


def test_a_command_without_a_report_of_its_own_claims_nothing_and_answers_in_json_too(
    coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_arguments: object) -> None:
        raise Stopped(143)

    monkeypatch.setattr(SqliteQueueStore, "create", never)
    stopped = coinswarm("queues", "create", "q", "--json")
    assert (stopped.exit_code, stopped.error) == (143, ("Stopped", STOPPED, None))
    assert stopped.err == f"⚠ {STOPPED}\n"
