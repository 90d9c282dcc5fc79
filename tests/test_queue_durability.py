"""Processes that die, and several at once: what `send_batch` returned is never lost, and never in two hands."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from coinswarm.clock import ManualClock, SystemClock
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings
from tests.support.queues import ack, bodies, send, take

ROOT = Path(__file__).parent.parent
PRELUDE = """
import sys, os
from pathlib import Path
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import OutgoingMessage, Settlement
store = SqliteQueueStore(Path(sys.argv[1]))
store.ensure("candles")
queue = store.open("candles")
def say(*words):
    print(*words, flush=True)
def wait():
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queues.sqlite"


@contextmanager
def process(path: Path, code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another Python on the same file; it is killed when the block ends."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def words(running: subprocess.Popen[str]) -> list[str]:
    assert running.stdout is not None
    return running.stdout.readline().split()


def kill(running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGKILL)
    running.wait()


def later(seconds: float) -> ManualClock:
    clock = ManualClock(SystemClock().now_ms())
    clock.advance(seconds)
    return clock


def healthy(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        counted = connection.execute(
            """SELECT count(*) FROM queues AS q WHERE (backlog, bytes) <>
               (SELECT count(*), ifnull(sum(bytes), 0) FROM messages WHERE queue = q.number)"""
        ).fetchone()
        orphans = connection.execute(
            "SELECT count(*) FROM bodies FULL JOIN messages USING (seq) WHERE body IS NULL OR bytes IS NULL"
            if sqlite3.sqlite_version_info >= (3, 39)
            else "SELECT (SELECT count(*) FROM bodies) <> (SELECT count(*) FROM messages)"
        ).fetchone()
        return (connection.execute("PRAGMA integrity_check").fetchone(), counted, orphans) == (("ok",), (0,), (0,))


def test_what_send_returned_survives_kill_9(path: Path) -> None:
    with process(
        path,
        """
i = 0
while True:
    ids = queue.send_batch([OutgoingMessage(b"%d" % (i + j) + b" " * 1_900) for j in range(7)])
    i += 7
    say(i, *ids)
""",
    ) as sender:
        told: list[str] = []
        for _ in range(40):
            told += words(sender)[1:]
        kill(sender)
        assert sender.stdout is not None
        for line in sender.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                told += line.split()[1:]
    with SqliteQueueStore(path, later(0)) as store:
        queue = store.open("candles")
        stored: list[str] = []
        numbers: list[int] = []
        while leased := queue.lease(100):
            stored += [m.id for m in leased]
            numbers += [int(m.body) for m in leased]
            ack(queue, leased)
    assert stored[: len(told)] == told
    assert numbers == list(range(len(numbers)))
    assert len(numbers) % 7 == 0
    assert healthy(path)


def test_a_batch_half_way_through_at_kill_9_is_not_there_at_all(path: Path) -> None:
    with process(
        path,
        """
with queue.transaction():
    queue.send_batch([OutgoingMessage(b"a")] * 100)
    say("inside")
    wait()
""",
    ) as sender:
        assert words(sender) == ["inside"]
        kill(sender)
    with SqliteQueueStore(path, later(0)) as store:
        assert store.open("candles").metrics().backlog == 0
    assert healthy(path)


def test_killed_between_lease_and_settle_it_comes_back_after_the_timeout(path: Path) -> None:
    with SqliteQueueStore(path) as store:
        store.create("candles")
        send(store.open("candles"), "a", "b")
    with process(path, "say(*(m.attempts for m in queue.lease(2)))\nwait()") as worker:
        assert words(worker) == ["1", "1"]
        kill(worker)
    with SqliteQueueStore(path, later(0)) as store:
        assert store.open("candles").lease(2) == []
    with SqliteQueueStore(path, later(31)) as store:
        queue = store.open("candles")
        leased = queue.lease(2)
        assert [(m.body, m.attempts) for m in leased] == [(b"a", 2), (b"b", 2)]
        assert ack(queue, leased).acked == 2
    assert healthy(path)


def test_what_settle_returned_survives_kill_9(path: Path) -> None:
    with SqliteQueueStore(path) as store:
        store.create("candles")
        send(store.open("candles"), *(str(i) for i in range(100)))
    with process(
        path,
        """
while leased := queue.lease(3):
    queue.settle(Settlement(acks=[m.lease_id for m in leased]))
    say(*(m.body.decode() for m in leased))
    if int(leased[-1].body) > 50:
        queue.lease(3)
        say("leased more")
        wait()
""",
    ) as worker:
        acked: list[str] = []
        while (line := words(worker)) != ["leased", "more"]:
            acked += line
        kill(worker)
    with SqliteQueueStore(path, later(31)) as store:
        rest = take(store.open("candles"))
    assert sorted(acked + rest, key=int) == [str(i) for i in range(100)]
    assert healthy(path)


def test_a_consumer_that_is_killed_every_time_does_not_block_the_queue(path: Path) -> None:
    with SqliteQueueStore(path) as store:
        store.ensure("candles", consumer=ConsumerSettings(max_retries=1, dead_letter_queue="dlq"))
        send(store.open("candles"), "killer")
    with process(path, "queue.lease(1, visibility_timeout_ms=1)\nsay('got it')\nwait()") as worker:
        words(worker)
        kill(worker)
    with SqliteQueueStore(path, later(1)) as store:
        assert [m.attempts for m in store.open("candles").lease(1, visibility_timeout_ms=1)] == [2]
    with SqliteQueueStore(path, later(2)) as store:
        assert store.open("candles").lease(1) == []
        assert [r.reason for r in store.dead_letters("dlq").records()] == ["visibility timeout expired 2 times"]
    assert healthy(path)


@pytest.mark.slow
def test_processes_that_set_up_the_same_file_at_once_all_succeed(path: Path) -> None:
    code = """
for i in range(20):
    queue.send_batch([OutgoingMessage(f"{sys.argv[2]}-{i}-{j}".encode()) for j in range(5)])
say("done")
"""
    with (
        process(path, code, "a") as a,
        process(path, code, "b") as b,
        process(path, code, "c") as c,
        process(path, code, "d") as d,
    ):
        assert [words(running) for running in (a, b, c, d)] == [["done"]] * 4
    with SqliteQueueStore(path, later(0)) as store:
        queue = store.open("candles")
        found: list[str] = []
        while more := take(queue):
            found += more
    assert len(found) == len(set(found)) == 400
    for name in "abcd":
        mine = [body for body in found if body.startswith(name)]
        assert mine == [f"{name}-{i}-{j}" for i in range(20) for j in range(5)]
    assert healthy(path)


@pytest.mark.slow
def test_processes_that_drain_the_same_queue_have_each_message_once(path: Path) -> None:
    with SqliteQueueStore(path) as store:
        store.create("candles")
        queue = store.open("candles")
        for i in range(10):
            send(queue, *(f"{i}-{j}" for j in range(100)))
    code = """
had = []
wait()
while leased := queue.lease(7):
    had += [m.body.decode() for m in leased]
    assert not queue.settle(Settlement(acks=[m.lease_id for m in leased])).stale
say(*had)
"""
    with process(path, code) as a, process(path, code) as b, process(path, code) as c:
        for running in (a, b, c):
            assert running.stdin is not None
            running.stdin.write("go\n")
            running.stdin.flush()
        had = [words(running) for running in (a, b, c)]
    counted = Counter(body for mine in had for body in mine)
    assert len(counted) == 1_000
    assert set(counted.values()) == {1}
    assert healthy(path)


def test_the_log_beside_the_file_is_needed_and_used(path: Path) -> None:
    """A copy taken while a process holds the file open must take `-wal` along; with it, nothing is missing."""
    with process(path, "queue.send_batch([OutgoingMessage(b'a')])\nsay('sent')\nwait()") as sender:
        words(sender)
        kill(sender)
    assert path.with_name("queues.sqlite-wal").stat().st_size > 0
    with SqliteQueueStore(path, later(0)) as store:
        assert bodies(store.open("candles").lease(1)) == ["a"]
