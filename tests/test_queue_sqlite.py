"""The queue file: what it is made of, what it survives, and what it says when it cannot be used."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coinswarm.clock import ManualClock
from coinswarm.errors import (
    CoinswarmError,
    MessageTooLarge,
    QueuePaused,
    QueueStorageLimit,
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageLocked,
    StorageReadOnly,
    StorageTooNew,
)
from coinswarm.limits import QUEUES
from coinswarm.queue import delivery, removal, schema
from coinswarm.queue.delivery import SqliteQueue
from coinswarm.queue.messages import Run, number_in, runs
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.statements import load
from coinswarm.queue.types import ConsumerSettings, OutgoingMessage, QueueSettings
from coinswarm.storage import connect
from tests.support.queues import ack, bodies, fill, send, take

ONE_ROW = ("SCAN CONSTANT ROW", "SCAN hidden", "SCAN overdue")
PACKAGE = Path(schema.__file__).parent
SQL_FILES = sorted(path.name for path in PACKAGE.glob("*.sql"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "coinswarm" / "queues.sqlite"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(path: Path, clock: ManualClock) -> Iterator[SqliteQueueStore]:
    with SqliteQueueStore(path, clock, busy_timeout=0.05) as store:
        yield store


@pytest.fixture
def queue(store: SqliteQueueStore) -> SqliteQueue:
    store.create("candles")
    return store.open("candles")


def raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=0)


class TestOpening:
    def test_a_new_file_and_its_folder_are_private_to_the_user(self, store: SqliteQueueStore, path: Path) -> None:
        send_something(store)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_everything_is_still_there_when_it_is_opened_again(self, path: Path, clock: ManualClock) -> None:
        consumer = ConsumerSettings(dead_letter_queue="dlq", max_retries=7)
        with SqliteQueueStore(path, clock) as store:
            store.ensure("candles", QueueSettings(delivery_delay=1), consumer, ["producer"])
            send(store.open("candles"), "a", "b")
            before = store.queues()
        with SqliteQueueStore(path, clock) as store:
            clock.advance(1)
            assert store.queues() == before
            assert take(store.open("candles")) == ["a", "b"]

    def test_two_stores_on_one_file_see_the_same_queues(
        self, path: Path, clock: ManualClock, queue: SqliteQueue
    ) -> None:
        with SqliteQueueStore(path, clock) as other:
            send(queue, "a", "b")
            leased = other.open("candles").lease(1)
            assert bodies(queue.lease(2)) == ["b"]
            assert ack(queue, leased).acked == 1

    def test_a_file_of_a_newer_schema_is_refused_and_left_alone(self, path: Path, clock: ManualClock) -> None:
        SqliteQueueStore(path, clock).close()
        with closing(raw(path)) as connection:
            connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        before = path.read_bytes()
        with pytest.raises(StorageTooNew, match=f"format {schema.VERSION + 1}; this coinswarm knows formats up to"):
            SqliteQueueStore(path, clock)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("version", range(1, schema.VERSION))
    def test_a_file_of_an_older_schema_is_upgraded_with_its_messages(
        self, path: Path, clock: ManualClock, version: int
    ) -> None:
        old_file(path, version)
        with SqliteQueueStore(path, clock) as store:
            queue = store.open("candles")
            assert bodies(leased := queue.lease(10)) == ["from long ago"]
            assert ack(queue, leased).acked == 1
            assert store.usage()[0].acked == 1
            send(queue, "new")
        with closing(raw(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)

    @pytest.mark.parametrize("counted", [None, 3, 20])
    def test_numbers_go_on_after_an_upgrade(self, path: Path, clock: ManualClock, counted: int | None) -> None:
        """The earliest files of format 3 had a counter, later ones had none, and `old_file` holds number 7."""
        old_file(path, 3)
        if counted is not None:
            with closing(raw(path)) as connection:
                connection.execute("CREATE TABLE sequence (next INTEGER NOT NULL) STRICT")
                connection.execute("INSERT INTO sequence VALUES (?)", (counted,))
        with SqliteQueueStore(path, clock) as store:
            (new,) = send(store.open("candles"), "new")
        assert number_in(new) == max(8, counted or 0)

    def test_an_upgrade_that_fails_changes_nothing(
        self, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old_file(path, 1)
        last = schema.STEPS[-1]
        broken = {"create": "CREATE TABLE half_way (a)", "fail": "CREATE TABLE half_way (a)"}
        monkeypatch.setattr(schema, "load", lambda file: broken if file == last else load(file))
        with pytest.raises(StorageError, match="half_way already exists"):
            SqliteQueueStore(path, clock)
        with closing(raw(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert "half_way" not in str(connection.execute("SELECT name FROM sqlite_schema").fetchall())

    @pytest.mark.parametrize("statement", ["CREATE TABLE price_data (a)", "PRAGMA user_version = 2"])
    def test_another_programs_database_is_refused_and_left_alone(
        self, tmp_path: Path, clock: ManualClock, statement: str
    ) -> None:
        foreign = tmp_path / "d1.sqlite"
        with closing(raw(foreign)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(statement)
        before = foreign.read_bytes()
        with pytest.raises(StorageError, match="not a coinswarm queue file"):
            SqliteQueueStore(foreign, clock)
        assert foreign.read_bytes() == before

    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, tmp_path: Path, clock: ManualClock) -> None:
        garbage = tmp_path / "queues.sqlite"
        garbage.write_bytes(b"these are not the pages you are looking for\n" * 200)
        before = garbage.read_bytes()
        with pytest.raises(StorageCorrupt, match=r"queues\.sqlite is damaged"):
            SqliteQueueStore(garbage, clock)
        assert garbage.read_bytes() == before

    def test_damage_inside_the_file_is_named(self, path: Path, clock: ManualClock) -> None:
        with SqliteQueueStore(path, clock) as store:
            store.create("candles")
            fill(store.open("candles"), 300, b"x" * 1_900)
        pages = bytearray(path.read_bytes())
        pages[40 * 4096 : 120 * 4096] = b"\xa5" * (80 * 4096)
        path.write_bytes(pages)
        with SqliteQueueStore(path, clock) as store, pytest.raises(StorageCorrupt, match=r"queues\.sqlite is damaged"):
            queue = store.open("candles")
            while leased := queue.lease(100):
                ack(queue, leased)

    @pytest.mark.parametrize("case", ["new file", "existing file", "existing file that may be written"])
    def test_a_read_only_folder_is_named(self, tmp_path: Path, case: str) -> None:
        if case != "new file":
            with SqliteQueueStore(tmp_path / "queues.sqlite") as store:
                store.create("candles")
            (tmp_path / "queues.sqlite").chmod(0o666 if "written" in case else 0o444)
        tmp_path.chmod(0o555)
        try:
            found = as_ordinary_user(
                tmp_path,
                "from pathlib import Path; from coinswarm.queue.sqlite import SqliteQueueStore\n"
                "SqliteQueueStore(Path('queues.sqlite'))",
            )
        finally:
            tmp_path.chmod(0o755)
        assert StorageReadOnly.__name__ in found
        assert "queues.sqlite cannot be" in found

    def test_an_old_sqlite_is_refused_by_name(
        self, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
        with pytest.raises(StorageError, match=r"needs SQLite 3\.37"):
            SqliteQueueStore(path, clock)


class TestTrouble:
    def test_a_lock_held_by_another_process_is_named_and_nothing_is_lost(self, queue: SqliteQueue, path: Path) -> None:
        send(queue, "a")
        with closing(raw(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageLocked, match="locked by another process") as caught:
                send(queue, "b")
            assert caught.value.retryable
            assert queue.metrics().backlog == 1
        assert take(queue) == ["a"]

    def test_a_locked_file_is_waited_for_and_then_named_when_opening(self, path: Path, clock: ManualClock) -> None:
        path.parent.mkdir()
        with closing(raw(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StorageLocked):
                SqliteQueueStore(path, clock, busy_timeout=0.05)
        assert clock.slept

    def test_on_a_full_disk_a_send_fails_whole_and_draining_goes_on(
        self, store: SqliteQueueStore, queue: SqliteQueue
    ) -> None:
        fill(queue, 100, b"x" * 2_000)
        (pages,) = store._file.execute("PRAGMA page_count").fetchone()
        store._file.execute(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(StorageFull, match="the disk is full"):
            fill(queue, 100, b"y" * 2_000)
        assert queue.metrics().backlog == 100
        assert ack(queue, queue.lease(100)).acked == 100
        store._file.execute("PRAGMA max_page_count = 1000000")
        fill(queue, 100, b"y" * 2_000)
        assert {m.body[:1] for m in queue.lease(100)} == {b"y"}

    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_file_deleted_or_replaced_meanwhile_is_noticed(
        self, queue: SqliteQueue, path: Path, replaced: bool
    ) -> None:
        send(queue, "a")
        path.unlink()
        if replaced:
            path.touch()
        for act in (lambda: send(queue, "b"), lambda: queue.lease(1), queue.metrics):
            with pytest.raises(StorageError, match="was deleted or replaced while it was open"):
                act()

    def test_a_closed_store_says_so(self, store: SqliteQueueStore, queue: SqliteQueue) -> None:
        store.close()
        store.close()
        with pytest.raises(StorageError, match="was closed"):
            send(queue, "a")

    def test_a_forked_child_is_refused_before_it_does_harm(self, queue: SqliteQueue) -> None:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                send(queue, "from the child")
                os.write(writing, b"sent")
            except StorageError as error:
                os.write(writing, error.message.encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert "cannot be used by its child" in os.read(reading, 1000).decode()
        os.close(reading)
        os.close(writing)
        send(queue, "from the parent")
        assert take(queue) == ["from the parent"]

    def test_a_full_backlog_is_refused_until_something_leaves(
        self, store: SqliteQueueStore, queue: SqliteQueue, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert QUEUES.backlog_bytes == 25_000_000_000
        monkeypatch.setattr(delivery, "QUEUES", replace(QUEUES, backlog_bytes=8))
        store.update("candles", QueueSettings(message_retention_period=60))
        send(queue, "aaaa", "bbbb")
        with pytest.raises(QueueStorageLimit, match="queue candles holds 8 bytes; its limit is 8"):
            send(queue, "c")
        ack(queue, queue.lease(1))
        send(queue, "cccc")
        clock.advance(60)
        send(queue, "expire")


class TestLookingAtWhatIsTooOld:
    RETENTION = 345_600

    def look(self, store: SqliteQueueStore, queue: SqliteQueue) -> None:
        """Everything that a command or a server calls to show a queue."""
        queue.peek()
        queue.wait_hint_ms()
        queue.timed_out()
        queue.departures()
        store.info("candles")
        store.queues()

    def test_it_deletes_nothing_and_says_how_much_there_is(
        self, store: SqliteQueueStore, queue: SqliteQueue, clock: ManualClock
    ) -> None:
        send(queue, "old", "older")
        send(queue, "delayed for long", delay=80_000)
        queue.lease(1, visibility_timeout_ms=1_000)
        clock.advance(self.RETENTION - 80_000)
        send(queue, "young")
        clock.advance(80_000)
        self.look(store, queue)
        metrics = queue.metrics()
        assert (metrics.backlog, metrics.waiting, metrics.delayed, metrics.overdue) == (1, 1, 0, 3)
        assert metrics.bytes == len("young")
        assert bodies(queue.peek()) == ["young"]
        assert queue.departures().expired == 0
        with raw(store.path) as other:
            assert other.execute("SELECT count(*) FROM bodies").fetchone() == (4,)

    def test_a_longer_retention_still_saves_it(
        self, store: SqliteQueueStore, queue: SqliteQueue, clock: ManualClock
    ) -> None:
        send(queue, "old")
        clock.advance(self.RETENTION)
        self.look(store, queue)
        store.update("candles", QueueSettings(message_retention_period=QUEUES.retention_seconds_max))
        assert queue.metrics().overdue == 0
        assert take(queue) == ["old"]

    def test_the_next_lease_deletes_it_and_counts_it_once(
        self, store: SqliteQueueStore, queue: SqliteQueue, clock: ManualClock
    ) -> None:
        send(queue, "old")
        clock.advance(self.RETENTION)
        self.look(store, queue)
        assert queue.lease(10) == []
        assert queue.lease(10) == []
        assert queue.departures().expired == 1
        assert queue.metrics().overdue == 0

    def test_a_late_ack_of_what_is_too_old_is_still_an_ack(self, queue: SqliteQueue, clock: ManualClock) -> None:
        send(queue, "old")
        leased = queue.lease(1)
        clock.advance(self.RETENTION)
        assert queue.metrics().overdue == 1
        assert ack(queue, leased).acked == 1


class TestTransactions:
    def test_an_exception_undoes_all_of_it_and_leaves_unchanged(self, queue: SqliteQueue) -> None:
        send(queue, "a")
        with pytest.raises(OSError, match=r"^mine$"), queue.transaction():
            send(queue, "b")
            ack(queue, queue.lease(1))
            raise OSError("mine")
        assert take(queue) == ["a"]

    def test_a_call_that_is_refused_inside_leaves_the_others_alone(self, queue: SqliteQueue) -> None:
        with queue.transaction():
            send(queue, "a")
            with pytest.raises(MessageTooLarge):
                queue.send_batch([OutgoingMessage(b"x" * 200_000)])
            send(queue, "c")
        assert take(queue) == ["a", "c"]

    def test_a_part_that_fails_half_way_takes_the_whole_with_it_even_if_nobody_minds(self, queue: SqliteQueue) -> None:
        with pytest.raises(StorageError, match="nothing of it was stored"), queue.transaction():
            send(queue, "a")
            with pytest.raises(RuntimeError), queue.transaction():
                send(queue, "b")
                raise RuntimeError
        with pytest.raises(StorageError, match="nothing of it was stored"), queue.transaction():
            with pytest.raises(RuntimeError), queue.transaction():
                send(queue, "c")
                raise RuntimeError
            send(queue, "d")
        send(queue, "e")
        assert take(queue) == ["e"]

    def test_what_the_file_said_in_a_part_is_said_again_at_the_end(self, queue: SqliteQueue) -> None:
        whole, part = queue.transaction(), queue.transaction()
        with pytest.raises(StorageFull, match=r"^full$"), whole, suppress(StorageFull), part:
            send(queue, "a")
            raise StorageFull("full")
        assert take(queue) == []

    def test_it_covers_all_queues_of_the_store(self, store: SqliteQueueStore, queue: SqliteQueue) -> None:
        store.create("other")
        with pytest.raises(RuntimeError), store.transaction():
            send(queue, "a")
            send(store.open("other"), "b")
            raise RuntimeError
        assert (queue.metrics().backlog, store.open("other").metrics().backlog) == (0, 0)

    def test_nobody_else_sees_it_before_it_ends(self, queue: SqliteQueue, path: Path, clock: ManualClock) -> None:
        with SqliteQueueStore(path, clock) as other:
            with queue.transaction():
                send(queue, "a")
                assert other.open("candles").metrics().backlog == 0
            assert other.open("candles").metrics().backlog == 1

    def test_only_a_lease_does_not_wait_for_the_disk(self, store: SqliteQueueStore, queue: SqliteQueue) -> None:
        spoken: list[str] = []
        store._file._connection.set_trace_callback(spoken.append)
        send(queue, "a")
        assert "PRAGMA synchronous = NORMAL" not in spoken
        leased = queue.lease(1)
        assert "PRAGMA synchronous = NORMAL" in spoken
        spoken.clear()
        ack(queue, leased)
        assert "PRAGMA synchronous = NORMAL" not in spoken
        with queue.transaction():
            send(queue, "b")
            queue.lease(1)
        assert "PRAGMA synchronous = NORMAL" not in spoken
        store.pause("candles")
        with pytest.raises(QueuePaused):
            queue.lease(1)
        assert store._file.execute("PRAGMA synchronous").fetchone() == (2,)


class TestNumbers:
    def test_they_are_never_used_again_not_even_after_all_messages_left(
        self, store: SqliteQueueStore, path: Path, clock: ManualClock
    ) -> None:
        store.create("candles")
        queue = store.open("candles")
        numbers = [number_in(name) for name in send(queue, "a", "b")]
        take(queue)
        numbers += [number_in(name) for name in send(queue, "c")]
        queue.purge()
        store.delete("candles")
        with SqliteQueueStore(path, clock) as other:
            other.create("candles")
            numbers += [number_in(name) for name in send(other.open("candles"), "d")]
        assert numbers == [1, 2, 3, 4]

    def test_a_purge_spares_what_is_sent_between_two_of_its_steps(
        self, store: SqliteQueueStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first step takes the highest numbers: what is delayed has lower ones, and its turn comes later."""
        monkeypatch.setattr(removal, "STEP", 10)
        store.create("candles")
        queue = store.open("candles")
        send(queue, *["delayed"] * 10, batch_delay=3600)
        send(queue, *["waiting"] * 10)
        step, steps = removal._delete, []

        def between_steps(*args: Any, **kwargs: Any) -> list[int]:
            steps.append(args)
            if len(steps) == 2:
                send(queue, "sent meanwhile")
            return step(*args, **kwargs)

        monkeypatch.setattr(removal, "_delete", between_steps)
        assert queue.purge() == 20
        assert take(queue) == ["sent meanwhile"]


class TestThreads:
    def test_threads_share_a_store_and_each_message_is_had_once(self, queue: SqliteQueue) -> None:
        had: Counter[str] = Counter()
        lock = threading.Lock()
        failures: list[CoinswarmError] = []

        def produce_and_consume(name: str) -> None:
            try:
                for i in range(10):
                    send(queue, *(f"{name}-{i}-{j}" for j in range(10)))
                    mine = take(queue, 7)
                    with lock:
                        had.update(mine)
            except CoinswarmError as error:
                failures.append(error)

        threads = [threading.Thread(target=produce_and_consume, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while rest := take(queue):
            had.update(rest)
        assert not failures
        assert len(had) == 400
        assert set(had.values()) == {1}


class TestDeclaring:
    def test_what_is_missing_is_created(self, store: SqliteQueueStore) -> None:
        info = store.ensure(
            "candles", QueueSettings(5), ConsumerSettings(dead_letter_queue="dlq", batch_size=50), ["b", "a", "b"]
        )
        assert (info.settings.delivery_delay, info.producers) == (5, ("a", "b"))
        assert info.consumers[0].settings.batch_size == 50
        assert [i.name for i in store.queues()] == ["candles", "dlq"]

    def test_saying_it_again_writes_nothing(self, store: SqliteQueueStore, path: Path) -> None:
        arguments = ("candles", QueueSettings(5), ConsumerSettings(dead_letter_queue="dlq"), ["a"])
        before = store.ensure(*arguments)
        with closing(raw(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert store.ensure(*arguments) == before

    def test_what_differs_is_replaced_and_messages_stay(self, store: SqliteQueueStore) -> None:
        before = store.ensure("candles", QueueSettings(), ConsumerSettings(batch_size=10), ["a"])
        send(store.open("candles"), "m")
        after = store.ensure("candles", QueueSettings(7), ConsumerSettings(batch_size=20), [])
        assert after.queue_id == before.queue_id
        assert after.settings.delivery_delay == 7
        assert after.consumers[0].consumer_id == before.consumers[0].consumer_id
        assert after.consumers[0].settings.batch_size == 20
        assert after.producers == ()
        assert take(store.open("candles")) == ["m"]

    def test_what_is_not_said_stays(self, store: SqliteQueueStore) -> None:
        before = store.ensure("candles", QueueSettings(7), ConsumerSettings(batch_size=20), ["a"])
        assert store.ensure("candles") == before

    def test_a_paused_queue_stays_paused(self, store: SqliteQueueStore) -> None:
        store.ensure("candles", QueueSettings())
        store.pause("candles")
        assert store.ensure("candles", QueueSettings()).settings.delivery_paused
        assert store.ensure("candles", QueueSettings(9)).settings == QueueSettings(9, delivery_paused=True)
        assert not store.resume("candles").settings.delivery_paused


class TestStatements:
    @pytest.mark.parametrize("file", SQL_FILES)
    def test_every_statement_is_used_and_understood(self, store: SqliteQueueStore, file: str) -> None:
        if file.startswith("schema_"):
            assert file in schema.STEPS
            return
        code = "".join(path.read_text() for path in PACKAGE.glob("*.py"))
        for name, sql in load(file).items():
            assert f'"{name}"' in code, f"{file}: {name} is never used"
            numbers = [None] * sql.count("?") if "?" in sql else dict.fromkeys(re.findall(r":(\w+)", sql))
            store._file.execute("EXPLAIN " + sql, numbers)

    @pytest.mark.parametrize(
        "name",
        [
            "deliverable",
            "lease",
            "delete_leased",
            "end_lease",
            "release",
            "has_expired",
            "delete_expired",
            "delete_idle",
            "next_visible",
            "peek",
            "metrics",
            "delete_run",
            "delete_bodies",
        ],
    )
    def test_no_statement_on_the_way_walks_a_table_or_sorts(self, store: SqliteQueueStore, name: str) -> None:
        sql = load("messages.sql")[name]
        numbers = [1] * sql.count("?") if "?" in sql else dict.fromkeys(re.findall(r":(\w+)", sql), 1)
        plan = [row[3] for row in store._file.execute("EXPLAIN QUERY PLAN " + sql, numbers)]
        walks = [line for line in plan if line.startswith("SCAN") and line not in ONE_ROW]
        assert walks == []
        assert not any("TEMP B-TREE" in line for line in plan)
        if name in ("delete_leased", "end_lease", "release", "lease"):
            assert plan == [
                f"SEARCH messages USING INTEGER PRIMARY KEY (rowid{'=?' if name == 'end_lease' else '>? AND rowid<?'})"
            ]

    def test_a_file_with_a_name_twice_or_sql_without_one_is_refused(self, tmp_path: Path) -> None:
        for text, message in (("SELECT 1;", "before the first"), ("-- name: a\nSELECT 1;\n" * 2, "the same name")):
            file = tmp_path / "some.sql"
            file.write_text(text)
            with pytest.raises(ValueError, match=message):
                load(str(file))

    @pytest.mark.parametrize(
        ("numbers", "expected"),
        [([], []), ([5], [(5, 5)]), ([1, 2, 3], [(1, 3)]), ([1, 3, 4, 9], [(1, 1), (3, 4), (9, 9)])],
    )
    def test_numbers_become_runs(self, numbers: list[int], expected: list[tuple[int, int]]) -> None:
        assert runs(numbers) == [Run(*run) for run in expected]

    @pytest.mark.parametrize("message_id", ["", "x" * 32, "0" * 32, "f" * 32, "1" * 31, "A" * 32])
    def test_what_is_no_message_id_has_no_number(self, message_id: str) -> None:
        assert number_in(message_id) is None


def send_something(store: SqliteQueueStore) -> None:
    store.create("candles")
    send(store.open("candles"), "a")


def old_file(path: Path, version: int) -> None:
    """A queue file as a coinswarm of that version left it, with one message that was leased once."""
    with closing(connect(path)) as connection:
        schema.prepare(connection, path, version=version)
        connection.execute(
            "INSERT INTO queues VALUES (1, ?, 'candles', NULL, 1, 1, 0, 0, 345600, 1, 13)", ("5e1b9969" * 4,)
        )
        sent = ManualClock().now_ms() - 1_000
        connection.execute("INSERT INTO messages VALUES (7, 1, ?, 99, 1, ?, 13)", (sent, sent))
        connection.execute("INSERT INTO bodies VALUES (7, ?, 'text', ?, ?)", ("0" * 31 + "7", sent, b"from long ago"))


def as_ordinary_user(folder: Path, code: str) -> str:
    """What Python says on stderr when it runs `code` in `folder` without the rights of root."""
    drop = "import os\nos.getuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534))\n"
    imports = "import coinswarm.queue.sqlite\n"
    environment = {"PYTHONPATH": str(PACKAGE.parent.parent), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", imports + drop + code], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.stderr
