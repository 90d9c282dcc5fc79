"""Producer, durable queue, consumer and local D1 together, on real files."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coinswarm.candles import COLUMNS, Candle, Pair, Timeframe
from coinswarm.clock import ManualClock
from coinswarm.consumer.worker import Worker
from coinswarm.d1.local import LocalDatabase
from coinswarm.errors import StorageLocked
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchRequest
from coinswarm.payload import pack
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings, OutgoingMessage, QueueSettings
from coinswarm.storage import connect
from tests.support.databases import ORIGINAL_TABLE, migrated, open_database
from tests.support.scripted_fetcher import NOW, ScriptedFetcher, candle, hours

QUEUE, DEAD = "historical-data-queue", "historical-data-dlq"

CONSUMER = """
import sys
from pathlib import Path
from coinswarm.clock import SystemClock
from coinswarm.consumer.worker import Worker
from coinswarm.d1.local import LocalDatabase
from coinswarm.queue.sqlite import SqliteQueueStore

folder = Path(sys.argv[1])
with SqliteQueueStore(folder / "queue.sqlite") as store:
    database = LocalDatabase(folder / "d1.sqlite", name="prices", id="0a1b")
    worker = Worker(store.open("historical-data-queue"), database, SystemClock(), visibility_timeout_ms=300)
    print("ready", flush=True)
    print(worker.drain().rows.inserted, flush=True)
"""


class Events:
    """A log that keeps the last event of each name."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}

    def event(self, name: str, /, **fields: Any) -> None:
        self.told[name] = fields

    def for_run(self) -> Events:
        return self


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW * 1000)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[SqliteQueueStore]:
    with SqliteQueueStore(tmp_path / "queue.sqlite", clock) as opened:
        opened.create(QUEUE)
        opened.add_consumer(QUEUE, ConsumerSettings(dead_letter_queue=DEAD))
        yield opened


def own(path: Path) -> LocalDatabase:
    return migrated(path)


def original(path: Path) -> LocalDatabase:
    database = open_database(path)
    database.execute(ORIGINAL_TABLE)
    return database


def stored(database: LocalDatabase) -> list[Candle]:
    [result] = database.execute(f"SELECT {', '.join(COLUMNS)} FROM price_data ORDER BY symbol, timestamp")
    return [Candle(*row) for row in result.rows]  # type: ignore[arg-type]


def enqueue(store: SqliteQueueStore, candles: list[Candle]) -> None:
    bodies = [OutgoingMessage(body) for body, _ in pack(candles)]
    for start in range(0, len(bodies), 100):
        store.open(QUEUE).send_batch(bodies[start : start + 100])


@pytest.mark.parametrize("table", [own, original])
def test_what_the_source_has_is_what_the_table_holds(
    table: Callable[[Path], LocalDatabase], store: SqliteQueueStore, clock: ManualClock, tmp_path: Path
) -> None:
    market = [c for i, c in enumerate(hours(5432)) if i % 97]
    database = table(tmp_path / "d1.sqlite")
    queue = store.open(QUEUE)
    fetched = collect(
        ScriptedFetcher(market, most=999, overlap=2, running=candle(NOW // 3600 * 3600)),
        queue,
        FetchRequest(Pair("BTC", "USDC"), Timeframe.H1, pages=None),
        clock=clock,
    )
    consumed = Worker(queue, database, clock).drain()
    assert stored(database) == market
    assert fetched.queued == consumed.rows.inserted == len(market)
    assert queue.metrics().backlog == 0
    billed = consumed.rows_written / len(market)
    assert billed == 1 if table is own else 4 <= billed < 4.2  # AUTOINCREMENT adds a row a statement

    collect(ScriptedFetcher(market), queue, FetchRequest(Pair("BTC", "USDC"), Timeframe.H1, pages=None), clock=clock)
    again = Worker(queue, database, clock).drain()
    assert (again.rows.inserted, again.rows.duplicate, again.conflicts) == (0, len(market), 0)
    assert stored(database) == market
    database.close()


def test_rows_that_were_there_before_are_found_in_a_table_that_is_not_ours(
    store: SqliteQueueStore, clock: ManualClock, tmp_path: Path
) -> None:
    database = original(tmp_path / "d1.sqlite")
    market = hours(300)
    enqueue(store, market[::2])
    Worker(store.open(QUEUE), database, clock).drain()
    before = database.execute("SELECT * FROM price_data ORDER BY id")[0].rows
    enqueue(store, [candle(c.timestamp, close=106.0) for c in market])
    report = Worker(store.open(QUEUE), database, clock).drain()
    assert (report.rows.inserted, report.rows.duplicate, report.conflicts) == (150, 150, 150)
    assert database.execute("SELECT * FROM price_data WHERE close = 105.0 ORDER BY id")[0].rows == before
    database.close()


def test_poison_waits_in_the_dead_letter_queue_with_its_reason(
    store: SqliteQueueStore, clock: ManualClock, tmp_path: Path
) -> None:
    database = own(tmp_path / "d1.sqlite")
    enqueue(store, hours(20))
    store.open(QUEUE).send_batch([OutgoingMessage(b"not json")])
    report = Worker(store.open(QUEUE), database, clock).drain()
    assert (report.acked, report.dead_lettered, report.rows.inserted) == (2, 1, 20)
    assert [m.body for m in store.open(DEAD).peek()] == [b"not json"]
    database.close()


def test_a_database_that_somebody_else_has_locked_delays_the_rows_and_loses_none(
    store: SqliteQueueStore, clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "d1.sqlite"
    own(path).close()
    enqueue(store, hours(500))
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    database = open_database(path, busy_timeout=0.01)
    looks = 0

    def unlock_after_a_while() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            other.execute("ROLLBACK")
        return False

    report = Worker(store.open(QUEUE), database, clock).drain(stop=unlock_after_a_while)
    assert report.retried > 0
    assert report.rows.inserted == 500
    assert stored(database) == hours(500)
    other.close()
    database.close()


def test_a_queue_that_somebody_else_has_locked_is_named(
    store: SqliteQueueStore, clock: ManualClock, tmp_path: Path
) -> None:
    enqueue(store, hours(10))
    database = own(tmp_path / "d1.sqlite")
    other = connect(store.path)
    other.execute("BEGIN IMMEDIATE")
    with (
        SqliteQueueStore(store.path, clock, busy_timeout=0.01) as impatient,
        pytest.raises(StorageLocked, match=r"queue\.sqlite is locked by another process"),
    ):
        Worker(impatient.open(QUEUE), database, clock).drain()
    other.execute("ROLLBACK")
    other.close()
    assert Worker(store.open(QUEUE), database, clock).drain().rows.inserted == 10
    database.close()


def minutes(count: int) -> list[Candle]:
    return [candle(1_699_999_980 - i * 60, timeframe="1m") for i in reversed(range(count))]


def prepare(folder: Path, candles: list[Candle]) -> None:
    own(folder / "d1.sqlite").close()
    with SqliteQueueStore(folder / "queue.sqlite") as store:
        store.create(QUEUE)
        store.add_consumer(QUEUE, ConsumerSettings(dead_letter_queue=DEAD, max_retries=100))
        enqueue(store, candles)


def consumer(folder: Path) -> subprocess.Popen[str]:
    started = subprocess.Popen([sys.executable, "-c", CONSUMER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def check(folder: Path, market: list[Candle]) -> None:
    database = open_database(folder / "d1.sqlite")
    assert stored(database) == market
    database.close()
    with SqliteQueueStore(folder / "queue.sqlite") as store:
        assert store.open(QUEUE).metrics().backlog == 0
        assert store.open(DEAD).metrics().backlog == 0


@pytest.mark.slow
def test_a_consumer_that_is_killed_again_and_again_loses_nothing_and_stores_nothing_twice(tmp_path: Path) -> None:
    market = hours(40_000)
    prepare(tmp_path, market)
    chance = random.Random(7)
    killed = 0
    for _ in range(12):
        process = consumer(tmp_path)
        try:
            process.wait(chance.uniform(0.01, 0.12))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
    last = consumer(tmp_path)
    assert last.communicate(timeout=60)[0].strip().isdigit()
    assert killed > 3
    check(tmp_path, market)


@pytest.mark.slow
def test_two_consumers_on_one_queue_share_the_work_and_both_come_to_an_end(tmp_path: Path) -> None:
    market = hours(40_000)
    prepare(tmp_path, market)
    both = [consumer(tmp_path), consumer(tmp_path)]
    inserted = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(inserted) == len(market)
    check(tmp_path, market)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_backlog(tmp_path: Path) -> None:
    # Not ru_maxrss: that of the process which forked counts into it.
    program = CONSUMER + "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    peaks = []
    for count in (50_000, 300_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        prepare(folder, minutes(count))
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True, timeout=120
        )
        _, inserted, _, peak, _ = done.stdout.split()
        assert int(inserted) == count
        peaks.append(int(peak))
    assert peaks[1] <= 1.2 * peaks[0]


def test_what_leaves_the_queue_by_age_or_unsettled_is_in_the_report(tmp_path: Path) -> None:
    clock = ManualClock()
    with (
        closing(SqliteQueueStore(tmp_path / "queue.sqlite", clock)) as store,
        closing(migrated(tmp_path / "d1.sqlite")) as database,
    ):
        store.create("candles", QueueSettings(message_retention_period=86_400))
        store.add_consumer("candles", ConsumerSettings(script_name="w", max_retries=0, dead_letter_queue="dlq"))
        queue = store.open("candles")
        queue.send_batch([OutgoingMessage(b"[]")])
        queue.lease(1, visibility_timeout_ms=1_000)  # by a consumer that then dies
        clock.advance(2)
        report = Worker(queue, database, clock).drain()
        assert (report.messages, report.dead_lettered, report.expired) == (0, 1, 0)
        assert sum(report.reasons.values()) == 1
        queue.send_batch([OutgoingMessage(b"[]")] * 3)
        clock.advance(100_000)
        events = Events()
        report = Worker(queue, database, clock, log=events).drain()
        assert (report.messages, report.dead_lettered, report.expired) == (0, 0, 3)
        assert events.told["messages.expired"] == {
            "queue": "candles",
            "messages": 3,
            "reason": "older than the queue's retention period",
        }
        assert events.told["run.finished"]["expired"] == 3


def test_what_leaves_by_age_is_told_while_the_consumer_watches(tmp_path: Path) -> None:
    clock = ManualClock()
    with (
        closing(SqliteQueueStore(tmp_path / "queue.sqlite", clock)) as store,
        closing(migrated(tmp_path / "d1.sqlite")) as database,
    ):
        store.create("candles")
        queue = store.open("candles")
        queue.send_batch([OutgoingMessage(b"[]")] * 3)
        clock.advance(345_600)
        events = Events()
        looks = iter([False] * 8)
        Worker(queue, database, clock, log=events).drain(
            watch=True, stop=lambda: "messages.expired" in events.told or next(looks, True)
        )
        assert next(looks, None) is False  # told before it was asked to stop
        assert events.told["messages.expired"]["messages"] == 3


def test_what_is_taken_over_from_a_dead_consumer_is_in_the_report(tmp_path: Path) -> None:
    clock = ManualClock((NOW + 3_600) * 1000)
    with (
        closing(SqliteQueueStore(tmp_path / "queue.sqlite", clock)) as store,
        closing(migrated(tmp_path / "d1.sqlite")) as database,
    ):
        store.create("candles")
        queue = store.open("candles")
        queue.send_batch([OutgoingMessage(body) for body, _ in pack(minutes(50))])
        assert len(queue.lease(3, visibility_timeout_ms=1_000)) == 3  # by a consumer that then dies
        clock.advance(2)
        events = Events()
        report = Worker(queue, database, clock, log=events).drain()
        assert (report.acked, report.timed_out, report.rows.inserted) == (5, 3, 50)
        assert events.told["messages.timed_out"] == {"queue": "candles", "messages": 3}
        assert Worker(queue, database, clock).drain().timed_out == 0
