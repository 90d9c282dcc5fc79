"""Draining a queue into price_data: what is stored, what becomes of each message, and how a run ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinswarm.candles import COLUMNS, Candle, as_values
from coinswarm.clock import ManualClock
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.store import NOT_KEPT, store
from coinswarm.consumer.worker import Worker
from coinswarm.d1.types import Statement
from coinswarm.errors import DatabaseUnavailable, SchemaMismatch, SqlError, StorageFull, StorageLocked
from coinswarm.payload import pack
from coinswarm.queue.types import OutgoingMessage
from tests.support.databases import ORIGINAL_TABLE, migrated, open_database, value
from tests.support.memory_queue import MemoryQueue
from tests.support.scripted_database import ScriptedDatabase, raising
from tests.support.scripted_fetcher import NEWEST_CLOSED, NOW, STEP, candle, hours

Body = bytes | Sequence[Candle]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW * 1000)


@pytest.fixture
def queue(clock: ManualClock) -> MemoryQueue:
    return MemoryQueue(clock)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[ScriptedDatabase]:
    scripted = ScriptedDatabase(migrated(tmp_path / "d1.sqlite"))
    yield scripted
    scripted.close()


def send(queue: MemoryQueue, *bodies: Body) -> None:
    messages = [body if isinstance(body, bytes) else next(pack(body, len(body)))[0] for body in bodies]
    for start in range(0, len(messages), 100):
        queue.send_batch([OutgoingMessage(body) for body in messages[start : start + 100]])


def send_packed(queue: MemoryQueue, candles: Sequence[Candle], rows: int = 10) -> None:
    send(queue, *(body for body, _ in pack(candles, rows)))


def worker(queue: MemoryQueue, database: ScriptedDatabase, **options: object) -> Worker:
    return Worker(queue, database, queue.clock, jitter=lambda: 1.0, **options)  # type: ignore[arg-type]


def drain(queue: MemoryQueue, database: ScriptedDatabase, **options: object) -> ConsumeReport:
    return worker(queue, database).drain(**options)  # type: ignore[arg-type]


def table(database: ScriptedDatabase) -> list[Candle]:
    [result] = database.execute(f"SELECT {', '.join(COLUMNS)} FROM price_data ORDER BY symbol, source, timestamp")
    return [Candle(*row) for row in result.rows]  # type: ignore[arg-type]


def counts(report: ConsumeReport) -> tuple[int, int, int, int]:
    rows = report.rows
    assert rows.received == rows.inserted + rows.duplicate + rows.rejected
    return rows.received, rows.inserted, rows.duplicate, rows.rejected


def test_a_full_queue_ends_up_in_the_table_and_is_empty(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    market = hours(2345)
    send_packed(queue, market)
    report = drain(queue, database)
    assert table(database) == market
    assert queue.messages == {}
    assert (report.messages, report.acked, report.batches) == (235, 235, 3)
    assert counts(report) == (2345, 2345, 0, 0)
    assert report.rows_written == 2345
    assert report.as_json()["rows"] == {"received": 2345, "inserted": 2345, "duplicate": 0, "rejected": 0}


def test_a_batch_is_one_request_of_ten_row_statements(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(995))
    drain(queue, database)
    assert database.sizes == [100]


def test_an_empty_queue_is_done_at_once(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    report = drain(queue, database)
    assert (report.messages, report.batches, report.rows_per_second) == (0, 0, 0)
    assert queue.clock.slept == []


def test_rows_are_stored_in_the_order_of_the_key_whatever_order_they_come_in(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    seen: list[Statement] = []
    original = database.real.batch

    def watch(statements: Sequence[Statement]) -> object:
        seen.extend(statements)
        return original(statements)

    database.real.batch = watch  # type: ignore[assignment,method-assign]
    market = [candle(c.timestamp, symbol=symbol) for c in reversed(hours(30)) for symbol in ("BTC-USDC", "ADA-USDC")]
    send_packed(queue, market)
    drain(queue, database)
    inserts = [s.params for s in seen if s.sql.startswith("INSERT")]
    keys = [(p[i], p[i + 2], p[i + 9], p[i + 1]) for p in inserts for i in range(0, len(p), 10)]
    assert keys == sorted(keys)
    assert len(keys) == 60


def test_rows_are_acknowledged_only_after_they_are_stored(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    def nothing_settled(number: int) -> None:
        assert queue.settlements == []
        assert value(database.real, "SELECT count(*) FROM price_data") == 100

    send_packed(queue, hours(100))
    database.after = nothing_settled
    drain(queue, database)
    assert len(queue.acked) == 10


def test_identical_duplicates_are_counted_and_change_nothing(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(50))
    drain(queue, database)
    send_packed(queue, hours(70))
    send_packed(queue, hours(50))  # and once more within the batch
    report = drain(queue, database)
    assert counts(report) == (120, 20, 100, 0)
    assert report.conflicts == 0
    assert table(database) == hours(70)
    assert report.rows_written == 20


def test_a_duplicate_with_other_values_is_named_and_never_overwrites(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    market = hours(40)
    send_packed(queue, market)
    drain(queue, database)
    revised = [candle(c.timestamp, close=106.0, volume_to=None) for c in market[:15]] + market[15:]
    send_packed(queue, revised)
    report = drain(queue, database)
    assert table(database) == market
    assert counts(report) == (40, 0, 40, 0)
    assert report.conflicts == 15
    examples = report.as_json()["conflict_examples"]
    assert len(examples) == 10
    assert examples[0] == {
        "symbol": "BTC-USDC",
        "timeframe": "1h",
        "source": "scripted",
        "timestamp": market[0].timestamp,
        "stored": {
            "open": 100.0,
            "high": 110.0,
            "low": 90.0,
            "close": 105.0,
            "volume_from": 1.5,
            "volume_to": 150.0,
        },
        "offered": {
            "open": 100.0,
            "high": 110.0,
            "low": 90.0,
            "close": 106.0,
            "volume_from": 1.5,
            "volume_to": None,
        },
    }


def test_of_two_versions_in_one_batch_the_first_wins_and_the_other_is_named(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    first, second = candle(NEWEST_CLOSED, close=101.0), candle(NEWEST_CLOSED, close=102.0)
    send(queue, [first], [second], [first])
    report = drain(queue, database)
    assert table(database) == [first]
    assert counts(report) == (3, 1, 2, 0)
    assert report.conflicts == 1
    assert report.conflict_examples[0].offered[6] == 102.0
    assert report.acked == 3


def test_triggers_that_blur_the_counts_are_noted_once(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    database.execute("CREATE TABLE seen (n INTEGER)")
    database.execute("CREATE TRIGGER tally AFTER INSERT ON price_data BEGIN INSERT INTO seen VALUES (1); END")
    database.execute("CREATE TRIGGER other AFTER DELETE ON price_data BEGIN INSERT INTO seen VALUES (1); END")
    consumer = worker(queue, database)
    consumer.drain()
    (note,) = consumer.drain().notes
    assert "tally" in note
    assert "other" not in note
    assert "blurred" in note


def test_poison_goes_to_the_dead_letter_queue_and_takes_no_good_row_along(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    good = hours(30)
    broken = candle(NEWEST_CLOSED - 100 * STEP, close=999.0)
    running = candle(NOW // STEP * STEP)
    send(queue, good[:10], b"not json", [*good[10:20], broken, running], b"", b"[]", good[20:])
    report = drain(queue, database)
    assert table(database) == good
    assert counts(report) == (32, 30, 0, 2)
    assert (report.acked, report.dead_lettered, report.retried) == (2, 4, 0)
    assert [m.body[:8] for m in queue.dead] == [b"not json", b'[{"symbo', b"", b"[]"]
    assert queue.dead[1].reason == (
        "row 10: open and close must lie between low and high (open 100.0, high 110.0, low 90.0, close 999.0); "
        "row 11: the candle was still running when it was taken"
    )
    assert report.reasons["the body is empty"] == 1
    assert report.as_json()["reasons"]["the body is an empty array"] == 1


def test_a_body_that_is_an_object_or_a_string_is_taken_as_well(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    one = json.loads(next(pack([candle(NEWEST_CLOSED)]))[0])[0]
    other = dict(one, timestamp=NEWEST_CLOSED - STEP)
    send(queue, json.dumps(one).encode(), json.dumps(json.dumps([other])).encode())
    report = drain(queue, database)
    assert counts(report) == (2, 2, 0, 0)
    assert report.acked == 2


@pytest.mark.parametrize("error", [DatabaseUnavailable("D1 DB is overloaded."), StorageLocked("locked")])
def test_what_may_pass_is_tried_again_after_a_while(
    error: Exception, queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    send_packed(queue, hours(100))
    database.before = raising(error, 1, 2)
    report = drain(queue, database)
    assert table(database) == hours(100)
    assert (report.messages, report.retried, report.acked, report.dead_lettered) == (30, 20, 10, 0)
    assert counts(report) == (100, 100, 0, 0)
    assert 3.0 <= sum(queue.clock.slept) < 4.0  # one second, then two
    assert max(queue.clock.slept) <= 0.5  # so that a request to stop is heard


def test_what_never_passes_ends_in_the_dead_letter_queue_with_its_reason(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    send_packed(queue, hours(20))
    database.before = raising(DatabaseUnavailable("D1 DB is overloaded."))
    report = drain(queue, database)
    assert (report.acked, report.retried, report.dead_lettered) == (0, 6, 2)
    assert report.reasons == {"D1 DB is overloaded.": 2}
    assert [m.reason for m in queue.dead] == ["D1 DB is overloaded."] * 2
    assert database.writes == 4


def test_while_rows_cannot_be_stored_poison_still_leaves(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send(queue, b"garbage", hours(1), [candle(NEWEST_CLOSED, close=-1.0)])
    database.before = raising(DatabaseUnavailable("overloaded"), 1)
    report = drain(queue, database)
    assert (report.dead_lettered, report.retried, report.acked) == (2, 1, 1)
    assert counts(report) == (2, 1, 0, 1)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_fatal_error_gives_everything_back_and_says_what_was_done(
    parallel: bool, queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    send_packed(queue, hours(3000))
    database.parallel = parallel
    database.before = raising(StorageFull("the disk is full"), 2)
    with pytest.raises(StorageFull, match="the disk is full") as caught:
        drain(queue, database)
    report = caught.value.report
    stored = value(database.real, "SELECT count(*) FROM price_data")
    assert report.rows.inserted == stored == 10 * report.acked
    assert report.retried == report.dead_lettered == 0
    assert report.messages == report.acked + report.released
    assert len(queue.messages) == 300 - report.acked
    assert all(m.attempts == 0 and m.visible_at_ms <= queue.clock.now_ms() for m in queue.messages.values())
    database.before = lambda n: None
    drain(queue, database)
    assert table(database) == hours(3000)


def test_without_a_table_nothing_is_even_leased(queue: MemoryQueue, tmp_path: Path) -> None:
    empty = ScriptedDatabase(open_database(tmp_path / "empty.sqlite"))
    send_packed(queue, hours(10))
    with pytest.raises(SchemaMismatch, match="no table price_data") as caught:
        drain(queue, empty)
    assert caught.value.hint is not None
    assert "migrations apply" in caught.value.hint
    assert [m.attempts for m in queue.messages.values()] == [0]
    empty.close()


def test_a_table_that_vanishes_stops_the_run_and_loses_nothing(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(2000))
    database.after = lambda number: database.execute("DROP TABLE price_data") and None
    with pytest.raises(SchemaMismatch, match="no table price_data"):
        drain(queue, database)
    assert len(queue.messages) == 100
    assert queue.dead == []


def test_an_unforeseen_error_is_raised_and_never_acknowledged(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(20))
    database.before = raising(ZeroDivisionError("a bug"))
    ours = worker(queue, database)
    with pytest.raises(ZeroDivisionError):
        ours.drain()
    assert ours.report.retried == 2
    assert [m.reason for m in queue.messages.values()] == ["ZeroDivisionError: a bug"] * 2
    assert queue.acked == []


def test_a_user_who_stops_at_once_costs_no_message_a_delivery(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(20))
    database.before = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        drain(queue, database)
    assert [(m.attempts, m.lease_id) for m in queue.messages.values()] == [(0, None)] * 2


def test_a_rule_of_the_users_table_keeps_out_the_row_that_breaks_it_and_no_other(
    queue: MemoryQueue, tmp_path: Path
) -> None:
    real = open_database(tmp_path / "own.sqlite")
    real.execute(ORIGINAL_TABLE.replace("close REAL NOT NULL", "close REAL NOT NULL CHECK (close < 120)"))
    database = ScriptedDatabase(real)
    good = hours(500)
    bad = [candle(NEWEST_CLOSED - (1000 + i) * STEP, high=200.0, close=150.0) for i in range(3)]
    send_packed(queue, [*good[:250], *bad, *good[250:]])
    report = drain(queue, database)
    assert table(database) == good
    assert counts(report) == (503, 500, 0, 3)
    assert (report.acked, report.dead_lettered) == (50, 1)  # the three stand in one message
    assert queue.dead[0].reason is not None
    assert queue.dead[0].reason.startswith("D1 refused a row: CHECK constraint failed")
    real.close()


def test_a_refusal_that_no_row_is_to_blame_for_is_fatal(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(100))
    quota = SqlError("Your account has exceeded D1's free tier daily row write limit.")
    database.before = raising(quota)
    with pytest.raises(SqlError, match="daily row write limit"):
        drain(queue, database)
    assert len(queue.messages) == 10
    assert queue.dead == []
    assert database.writes == 1


def test_a_queue_that_cannot_be_settled_stops_the_run_and_delivers_again(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    send_packed(queue, hours(100))
    queue.fail_settle = StorageFull("the disk is full")
    with pytest.raises(StorageFull):
        drain(queue, database)
    queue.fail_settle = None
    queue.clock.advance(31)
    report = drain(queue, database)
    assert counts(report) == (100, 0, 100, 0)
    assert table(database) == hours(100)


def test_a_settlement_that_comes_too_late_is_counted(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    def too_slow(number: int) -> None:
        if number == 1:
            queue.clock.advance(31)
            assert len(queue.lease(100)) == 10  # somebody else has them now

    send_packed(queue, hours(100))
    database.after = too_slow
    report = drain(queue, database)
    assert report.stale == 10
    assert counts(report) == (200, 100, 100, 0)  # they came again when the other one's lease was over too
    assert queue.messages == {}


def test_a_drain_waits_for_what_is_delayed_or_in_flight_elsewhere(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    queue.send_batch([OutgoingMessage(next(pack(hours(1)))[0])], delay_seconds=60)
    send_packed(queue, hours(10))
    elsewhere = queue.lease(1)
    assert len(elsewhere) == 1
    report = drain(queue, database)
    assert counts(report) == (11, 10, 1, 0)
    assert sum(queue.clock.slept) >= 60


def test_watching_goes_on_until_it_is_asked_to_stop(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        if looks == 10:
            send_packed(queue, hours(10))
        return looks > 20

    report = drain(queue, database, watch=True, stop=stop)
    assert report.rows.inserted == 10
    assert report.interrupted


@pytest.mark.parametrize("parallel", [False, True])
def test_a_request_to_stop_finishes_what_is_in_flight(
    parallel: bool, queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    database.parallel = parallel
    send_packed(queue, hours(20_000))
    report = drain(queue, database, stop=lambda: database.writes >= 2)
    assert report.interrupted
    assert 0 < report.acked < 2000
    assert report.messages == report.acked + report.released
    assert all(m.lease_id is None for m in queue.messages.values())
    assert value(database.real, "SELECT count(*) FROM price_data") == report.rows.inserted == 10 * report.acked
    again = drain(queue, database)
    assert not again.interrupted
    assert table(database) == hours(20_000)


def test_max_batches_ends_the_run(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(5000))
    report = drain(queue, database, max_batches=3)
    assert (report.batches, report.acked, len(queue.messages)) == (3, 300, 200)
    assert not report.interrupted


def test_batches_are_of_the_size_asked_for(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(100))
    report = worker(queue, database, batch_size=3).drain()
    assert report.batches == 4
    assert database.sizes == [3, 3, 3, 1]


def test_a_paused_queue_ends_a_drain_with_a_note_and_makes_a_watch_wait(
    queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    send_packed(queue, hours(10))
    queue.paused = True
    report = drain(queue, database)
    assert report.notes == ["delivery from memory is paused; what it holds is still there"]
    assert len(queue.messages) == 1

    def resume() -> bool:
        queue.paused = len(queue.clock.slept) < 5
        return not queue.messages

    assert drain(queue, database, watch=True, stop=resume).rows.inserted == 10


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_remote_database_gets_as_many_calls_at_once_as_asked_for_and_no_more(
    concurrency: int, queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    database.parallel = True
    running = most = 0
    lock = threading.Lock()
    together = threading.Barrier(concurrency)

    def enter(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=10)  # nobody goes on before all are in

    def leave(number: int) -> None:
        nonlocal running
        with lock:
            running -= 1

    database.before, database.after = enter, leave
    send_packed(queue, hours(6000))
    report = worker(queue, database, concurrency=concurrency).drain()
    assert most == concurrency
    assert report.rows.inserted == 6000


def test_a_local_database_is_called_by_the_thread_that_settles(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    threads: set[int] = set()
    database.before = lambda number: threads.add(threading.get_ident())
    send_packed(queue, hours(5000))
    drain(queue, database)
    assert threads == {threading.get_ident()}


def test_every_settled_batch_is_announced(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    heard: list[int] = []
    send_packed(queue, hours(2500))
    drain(queue, database, on_batch=lambda report: heard.append(report.rows.received))
    assert heard == [1000, 2000, 2500]


def test_the_configured_retry_delay_is_the_least_a_retry_waits(queue: MemoryQueue, database: ScriptedDatabase) -> None:
    send_packed(queue, hours(10))
    database.before = raising(DatabaseUnavailable("overloaded"), 1)
    worker(queue, database, retry_delay_seconds=120).drain()
    assert sum(queue.clock.slept) >= 120


def test_reasons_are_kept_few() -> None:
    report = ConsumeReport()
    for number in range(100):
        report.add_reason(f"row {number}: something")
    assert len(report.reasons) == 21
    assert report.reasons["other reasons"] == 80


good_rows = st.builds(
    candle,
    st.integers(0, 12).map(lambda i: NEWEST_CLOSED - i * STEP),
    close=st.sampled_from([100.0, 105.0]),
    symbol=st.sampled_from(["BTC-USDC", "ETH-USDC"]),
)
bad_rows = st.builds(candle, st.integers(0, 5).map(lambda i: NEWEST_CLOSED - i * STEP), close=st.just(-1.0))
bodies = st.lists(good_rows | good_rows | bad_rows, min_size=1, max_size=6) | st.sampled_from([b"", b"[]", b"{}", b"x"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(bodies, max_size=25),
    batch_size=st.integers(1, 10),
    faults=st.lists(st.sampled_from([None, None, DatabaseUnavailable("busy"), StorageFull("full"), KeyError("bug")])),
)
def test_whatever_comes_every_message_and_every_row_is_accounted_for(
    sent: list[Body],
    batch_size: int,
    faults: list[Exception | None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    queue = MemoryQueue(ManualClock(NOW * 1000))
    database = ScriptedDatabase(migrated(tmp_path_factory.mktemp("property") / "d1.sqlite"))

    def fail(number: int) -> None:
        if number <= len(faults) and (error := faults[number - 1]) is not None:
            raise error

    database.before = fail
    send(queue, *sent)
    total = ConsumeReport()
    for _ in range(100):
        ours = worker(queue, database, batch_size=batch_size)
        with suppress(StorageFull, KeyError):
            ours.drain()
        report = ours.report
        counts(report)
        assert report.messages == (
            report.acked + report.retried + report.dead_lettered + report.released + report.stale
        )
        assert len(queue.messages) + len(queue.acked) + len(queue.dead) == len(sent)
        total.rows.inserted += report.rows.inserted
        if not queue.messages:
            break
    assert queue.messages == {}
    stored = table(database)
    assert len(stored) == total.rows.inserted == len({c.key for c in stored})
    offered = {c for body in sent if not isinstance(body, bytes) for c in body if c.close > 0}
    assert set(stored) <= offered
    lost_to_retries = {m.id for m in queue.dead if m.reason in ("busy", "KeyError: 'bug'")}
    if not lost_to_retries:
        assert {c.key for c in stored} == {c.key for c in offered}
    database.close()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'[{"symbol":"\xff"}]', id="no UTF-8"),
        pytest.param(b'[{"symbol":"BTC-USDC","x":' + b"[" * 1500 + b"]" * 1500 + b"}]", id="nested too deeply"),
    ],
)
def test_a_body_that_no_decoder_can_take_is_dead_lettered_alone(
    body: bytes, queue: MemoryQueue, database: ScriptedDatabase
) -> None:
    send_packed(queue, hours(25))
    queue.send_batch([OutgoingMessage(body)])
    report = drain(queue, database)
    assert (report.acked, report.dead_lettered, report.rows.inserted) == (3, 1, 25)
    assert "the body is not JSON" in next(iter(report.reasons))


def test_a_row_that_the_table_silently_did_not_keep_is_refused_and_not_taken_for_a_duplicate(
    database: ScriptedDatabase,
) -> None:
    database.execute(
        "CREATE TRIGGER nozero BEFORE INSERT ON price_data WHEN NEW.close = 95.0 BEGIN SELECT RAISE(IGNORE); END"
    )
    kept, vanished = candle(NEWEST_CLOSED - STEP), candle(NEWEST_CLOSED, close=95.0)
    outcome = store(database, as_values([kept, vanished]))
    assert (outcome.inserted, outcome.duplicate) == (1, 0)
    assert [(row[1], reason) for row, reason in outcome.refused] == [(NEWEST_CLOSED, NOT_KEPT)]
