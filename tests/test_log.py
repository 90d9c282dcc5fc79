"""The log: what is written, what is never written, and who reads it."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from coinswarm.clock import ManualClock
from coinswarm.config import load
from coinswarm.consumer.worker import Worker
from coinswarm.errors import SchemaMismatch, SourceUnavailable
from coinswarm.log import logged_run
from coinswarm.log.file import FileLog, log_folder, segments
from coinswarm.log.opening import open_log
from coinswarm.log.read import Follower, Wanted, events
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.transport import RateLimiter, RetryPolicy, Transport
from tests.support.databases import migrated, open_database
from tests.support.queues import send

NOW = 1_700_000_000_042


def log_in(folder: Path, **options: Any) -> FileLog:
    return FileLog(folder, ManualClock(NOW), **options)


def names(folder: Path) -> list[str]:
    return [event["event"] for event in events(folder)]


def test_an_event_is_a_line_with_time_run_name_and_fields(tmp_path: Path) -> None:
    log_in(tmp_path).event("page.fetched", source="kraken", candles=720, newest=None)
    (line,) = segments(tmp_path)[0][1].read_text().splitlines()
    event = json.loads(line)
    run = event.pop("run")
    assert len(run) == 8
    assert event == {"time": "2023-11-14T22:13:20.042Z", "event": "page.fetched", "source": "kraken", "candles": 720}


def test_each_run_has_an_id_of_its_own(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.event("a.b")
    log.for_run().event("a.b")
    first, second = events(tmp_path)
    assert first["run"] != second["run"]


def test_the_log_is_private_to_the_user(tmp_path: Path) -> None:
    log_in(tmp_path / "log").event("a.b")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    assert segments(tmp_path / "log")[0][1].stat().st_mode & 0o777 == 0o600


def test_secrets_never_appear(tmp_path: Path) -> None:
    log = log_in(tmp_path, hidden=["hunter-2-hunter-2"])
    log.event("a.b", message="the key hunter-2-hunter-2 is wrong", nested={"list": ["hunter-2-hunter-2"]})
    log.event("a.b", api_token="abc", url="https://hooks.example/x?token=abcdef")
    text = segments(tmp_path)[0][1].read_text()
    assert "hunter" not in text
    assert "abc" not in text


def test_the_secrets_of_the_configuration_are_hidden(tmp_path: Path) -> None:
    environ = {
        "CLOUDFLARE_API_TOKEN": "token-of-mine",
        "CRYPTOCOMPARE_API_KEY": "key-of-mine",
        "COINSWARM_ALERT_WEBHOOK": "https://hooks.example/of-mine",
    }
    stack = load(cwd=tmp_path, environ=environ)
    with open_log(stack, ManualClock()) as log:
        log.event("a.b", message="token-of-mine key-of-mine https://hooks.example/of-mine")
    assert "of-mine" not in segments(log_folder(stack.state_dir))[0][1].read_text()
    assert "of-mine" not in repr(stack)


def test_full_segments_are_followed_by_new_ones_and_the_oldest_go(tmp_path: Path) -> None:
    log = log_in(tmp_path, segment_bytes=500, keep=3)
    for number in range(100):
        log.event("a.b", number=number)
    there = segments(tmp_path)
    assert len(there) == 3
    assert sum(path.stat().st_size for _, path in there) < 3 * 600
    assert [event["number"] for event in events(tmp_path)][-1] == 99


def test_a_reader_that_follows_misses_nothing_over_rotations(tmp_path: Path) -> None:
    log = log_in(tmp_path, segment_bytes=300, keep=50)
    follower = Follower(tmp_path)
    seen = []
    for number in range(60):
        log.event("a.b", number=number)
        if number % 7 == 0:
            seen += [event["number"] for event in follower.new()]
    seen += [event["number"] for event in follower.new()]
    assert seen == list(range(60))


@pytest.mark.parametrize("longer", [False, True])
def test_a_reader_that_follows_goes_on_when_the_folder_is_removed_and_made_again(tmp_path: Path, longer: bool) -> None:
    folder = tmp_path / "log"
    log = log_in(folder)
    follower = Follower(folder)
    for number in range(3):
        log.event("a.b", number=number)
    assert len(list(follower.new())) == 3
    folder.rename(tmp_path / "gone")
    for number in range(10, 20 if longer else 11):
        log.event("a.b", number=number)
    other = log_in(folder)
    for number in range(10, 20 if longer else 11):
        other.event("a.b", number=number)
    assert [event["number"] for event in follower.new()] == list(range(10, 20 if longer else 11))


def _write(folder: str, worker: int) -> None:
    log = FileLog(Path(folder), ManualClock(NOW), segment_bytes=20_000, keep=100)
    for number in range(500):
        log.event("a.b", worker=worker, number=number, text="x" * 50)


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(str(tmp_path), number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    follower = Follower(tmp_path)
    found = sorted((event["worker"], event["number"]) for event in follower.new())
    assert found == [(worker, number) for worker in range(3) for number in range(500)]
    assert follower.unreadable == 0


def test_a_log_that_cannot_be_written_says_so_once_and_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    told: list[str] = []
    log = log_in(tmp_path / "log", told=told.append)
    log.event("a.b")
    log.event("a.b")
    assert len(told) == 1
    assert "goes on without it" in told[0]


def test_a_line_torn_by_a_full_disk_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    log = log_in(tmp_path, told=told.append)
    log.event("first.one")
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
        log.event("torn.one")
    log.event("third.one")
    follower = Follower(tmp_path)
    assert [event["event"] for event in follower.new()] == ["first.one", "third.one"]
    assert follower.unreadable == 1
    assert "the disk is full" in told[0]


def test_a_run_tells_how_it_ended(tmp_path: Path) -> None:
    log, clock = log_in(tmp_path), ManualClock(NOW)
    with logged_run(log, "fetch", clock, source="kraken") as figures:
        clock.advance(1.5)
        figures["candles"] = 7
    with pytest.raises(SchemaMismatch), logged_run(log, "consume", clock):
        raise SchemaMismatch("there is no table")
    with logged_run(log, "cron", clock) as figures:
        figures["interrupted"] = True
    with logged_run(log, "cron", clock) as figures:
        figures["failure"] = SchemaMismatch("one source is down")
    done, failed, stopped, told = (event for event in events(tmp_path) if event["event"] == "run.finished")
    assert (done["outcome"], done["seconds"], done["candles"]) == ("done", 1.5, 7)
    assert (failed["outcome"], failed["error"], failed["message"]) == ("failed", "SchemaMismatch", "there is no table")
    assert stopped["outcome"] == "interrupted"
    assert (told["outcome"], told["error"], told["message"]) == ("failed", "SchemaMismatch", "one source is down")


def test_every_attempt_of_a_request_is_told_without_its_query(tmp_path: Path) -> None:
    replies = iter([httpx.Response(503), httpx.Response(200, json=[])])
    clock = ManualClock(NOW)
    with httpx.Client(transport=httpx.MockTransport(lambda _request: next(replies))) as client:
        transport = Transport(
            "kraken",
            "https://api.example",
            client=client,
            limiter=RateLimiter(1, 1, clock),
            clock=clock,
            policy=RetryPolicy(attempts=2),
            jitter=lambda: 0.0,
            log=log_in(tmp_path),
        )

        def read(reply: Any) -> None:
            reply.require_json("kraken")

        transport.get("/0/public/OHLC", {"secret": "value"}, read)
    first, wait, second = events(tmp_path)
    assert (first["event"], first["status"], first["attempt"], first["error"]) == (
        "http.request",
        503,
        1,
        SourceUnavailable.__name__,
    )
    assert (wait["event"], wait["wait_seconds"], wait["source"]) == ("http.retry", 0.5, "kraken")
    assert (second["method"], second["host"], second["path"], second["status"], second["attempt"]) == (
        "GET",
        "api.example",
        "/0/public/OHLC",
        200,
        2,
    )
    assert second["limit_wait_ms"] == 500
    assert "secret" not in segments(tmp_path)[0][1].read_text()


def test_the_consumer_tells_a_batch_and_why_a_message_was_dead_lettered(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    database = migrated(tmp_path / "d1.sqlite")
    with SqliteQueueStore(tmp_path / "queues.sqlite", clock) as store:
        store.create("prices")
        queue = store.open("prices")
        send(queue, "not candles", "neither")
        Worker(queue, database, clock, log=log_in(tmp_path / "log")).drain()
    database.close()
    assert names(tmp_path / "log")[:2] == ["run.started", "batch.written"]
    written = next(event for event in events(tmp_path / "log") if event["event"] == "batch.written")
    assert (written["messages"], written["inserted"], written["queue"]) == (2, 0, "prices")
    (letters,) = events(tmp_path / "log", wanted=Wanted(troubles=True))
    assert letters["event"] == "messages.dead_lettered"
    assert letters["messages"] == 2
    assert letters["reason"]


def test_a_consumer_that_cannot_begin_is_a_failed_run(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    database = open_database(tmp_path / "d1.sqlite")
    with SqliteQueueStore(tmp_path / "queues.sqlite", clock) as store:
        store.create("prices")
        with pytest.raises(SchemaMismatch):
            Worker(store.open("prices"), database, clock, log=log_in(tmp_path / "log")).drain()
    database.close()
    assert [event.get("outcome") for event in events(tmp_path / "log")] == [None, "failed"]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (Wanted(), 3),
        (Wanted(event="http"), 1),
        (Wanted(event="messages.*"), 1),
        (Wanted(event="page.fetched"), 1),
        (Wanted(source="kraken"), 2),
        (Wanted(troubles=True), 1),
    ],
)
def test_events_are_filtered_by_name_source_and_trouble(tmp_path: Path, wanted: Wanted, kept: int) -> None:
    log = log_in(tmp_path)
    log.event("http.request", source="kraken", status=200)
    log.event("page.fetched", source="kraken")
    log.event("messages.retried", reason="D1 is busy")
    assert len(events(tmp_path, wanted=wanted)) == kept


def test_events_before_a_time_are_passed_over(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    log = FileLog(tmp_path, clock)
    log.event("old.one")
    clock.advance(60)
    log.event("new.one")
    assert [event["event"] for event in events(tmp_path, since_ms=NOW + 1)] == ["new.one"]
