"""The accounting of `coinswarm chaos` finds what it is there to find: every break made by hand is told by its name."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coinswarm.chaos.account import Expected, settle_accounts
from coinswarm.chaos.episode import Episode
from coinswarm.chaos.evidence import Evidence, Gone, Letter
from coinswarm.chaos.plan import EXPIRY_SECONDS, MODES, Kill, Step
from coinswarm.chaos.witness import ACKED, DROPPED, EXPIRED, PURGED
from coinswarm.consumer import rows as consumer_rows
from coinswarm.consumer import verdict, worker
from coinswarm.consumer.rows import WIDTH
from coinswarm.consumer.store import Stored
from coinswarm.errors import CloudflareError
from coinswarm.queue import failures, messages, removal
from coinswarm.queue.cloudflare_queue import CloudflareQueue
from coinswarm.queue.types import Settlement
from tests.support.candle_messages import body, row
from tests.support.episodes import CANDLES, END, FETCH, MAKE, episode, run

# --- by values ---


def values(hour: int, **changes: Any) -> tuple[Any, ...]:
    return tuple(row(hour, **changes).values())


MARKET = [values(hour) for hour in range(20)]
OLD = [values(hour, source="legacy") for hour in range(3)]
POISON = b'{"poison":1}'


def sound() -> tuple[Expected, Evidence]:
    """Ten candles stored, five queued, five dead-lettered."""
    expected = Expected(market=MARKET, existing=OLD, poison={POISON: 1}, sound=[])
    letters = [Letter(POISON, "no candle"), Letter(message(range(15, 20)), "retries used up")]
    acked = Gone(message(range(10)), ACKED)
    return expected, Evidence(rows=[*OLD, *MARKET[:15]], letters=letters, gone=[acked])


def message(hours: range) -> bytes:
    return body(*(row(hour) for hour in hours))


def test_where_each_candle_is_gets_counted() -> None:
    account = settle_accounts(*sound())
    assert account.violations == []
    assert (account.fetched, account.stored, account.dead_lettered, account.poison) == (20, 15, 5, 1)


BREAKS: list[tuple[str, Callable[[Expected, Evidence], object]]] = [
    ("1 lost", lambda _, found: found.rows.remove(MARKET[4])),
    ("5 lost", lambda _, found: found.letters.pop()),
    ("1 stored twice", lambda _, found: found.rows.append(MARKET[4])),
    ("1 altered", lambda _, found: found.rows.__setitem__(5, (*MARKET[2][:6], 104.999, *MARKET[2][7:]))),
    ("1 altered", lambda _, found: found.rows.__setitem__(5, (MARKET[2][0], float(MARKET[2][1]), *MARKET[2][2:]))),
    ("1 altered", lambda _, found: found.rows.append(values(99))),
    ("1 altered", lambda _, found: found.rows.__setitem__(0, (*OLD[0][:3], 1.0, *OLD[0][4:]))),
    ("1 rows that were there before", lambda _, found: found.rows.remove(OLD[1])),
    ("1 messages left", lambda _, found: found.queued.append(message(range(2)))),
    ("1 messages gone although not stored", lambda _, found: found.gone.append(Gone(message(range(14, 17)), ACKED))),
    ("1 messages gone although not stored", lambda _, found: found.gone.append(Gone(message(range(15, 20)), ACKED))),
    ("1 messages gone although not stored", lambda _, found: found.gone.append(Gone(message(range(15, 20)), None))),
    ("1 messages gone although not stored", lambda _, found: found.gone.append(Gone(POISON, DROPPED))),
    ("1 poison nowhere", lambda _, found: found.letters.pop(0)),
    ("1 poison dead-lettered twice", lambda _, found: found.letters.append(Letter(POISON, "again"))),
    ("1 dead letters without a reason", lambda _, found: found.letters.append(Letter(message(range(2)), None))),
    ("purges say they deleted 0", lambda _, found: found.gone.append(Gone(message(range(3)), PURGED))),
    ("0 messages are counted as expired; 1 did", lambda _, found: found.gone.append(Gone(message(range(3)), EXPIRED))),
    ("1 messages are counted as expired; 0 did", lambda _, found: setattr(found, "expired", 1)),
    ("purges say they deleted 2", lambda expected, _: setattr(expected, "purged", 2)),
    ("a migration was carried out in part", lambda expected, _: setattr(expected, "notes", 7)),
    ("migrations recorded", lambda _, found: found.migrations.append("0001_price_data.sql")),
    ("1 faults of the files", lambda _, found: found.faults.append("the D1 file is damaged")),
]


@pytest.mark.parametrize(("told", "broken"), BREAKS)
def test_each_break_is_told(told: str, broken: Callable[[Expected, Evidence], object]) -> None:
    expected, found = sound()
    broken(expected, found)
    violations = settle_accounts(expected, found).violations
    assert any(violation.startswith(told) for violation in violations), violations


def test_what_was_purged_or_too_old_is_no_loss_as_long_as_somebody_counted_it() -> None:
    expected, found = sound()
    found.letters.pop()
    found.gone.append(Gone(message(range(15, 20)), PURGED))
    purged = settle_accounts(replace(expected, purged=1), found)
    assert (purged.violations, purged.purged) == ([], 5)
    found.gone[-1] = Gone(message(range(15, 20)), EXPIRED)
    found.expired = 1
    expired = settle_accounts(expected, found)
    assert (expired.violations, expired.expired) == ([], 5)


@pytest.mark.parametrize("why", [EXPIRED, PURGED])
def test_a_message_that_was_too_old_or_purged_excuses_no_other(why: str) -> None:
    expected, found = sound()
    found.letters.clear()
    found.gone += [Gone(message(range(15, 20)), ACKED), Gone(POISON, ACKED)]
    found.gone.append(Gone(message(range(10)), why))  # it was stored, and never acked
    found.expired = int(why == EXPIRED)
    account = settle_accounts(replace(expected, purged=int(why == PURGED)), found)
    assert (account.lost, account.expired, account.purged) == (5, 0, 0)
    told = ("5 lost", "2 messages gone although not stored", "1 poison nowhere")
    assert [violation.startswith(told) for violation in account.violations] == [True] * 3


def test_a_second_message_of_the_same_candles_is_not_excused_by_the_first() -> None:
    expected, found = sound()
    found.letters.pop()
    found.gone += [Gone(message(range(15, 20)), EXPIRED), Gone(message(range(15, 20)), ACKED)]
    found.expired = 1
    account = settle_accounts(expected, found)
    assert (account.lost, account.expired) == (0, 5)
    assert [text[:35] for text in account.violations] == ["1 messages gone although not stored"]


def test_over_http_each_message_acked_and_not_stored_needs_a_copy_of_its_own() -> None:
    expected, found = sound()
    expected.copies = True
    found.letters[0] = Letter(POISON, "no candle", copy=True)
    found.gone.append(Gone(POISON, ACKED))
    assert settle_accounts(expected, found).violations == []
    found.gone.append(Gone(POISON, ACKED))
    assert settle_accounts(expected, found).violations[0].startswith("1 messages gone although not stored")
    found.gone.append(Gone(POISON, EXPIRED, copy=True))
    found.expired = 1
    assert settle_accounts(expected, found).violations == []


# --- by files ---


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Episode]:
    """An episode in which all was well, and its files."""
    made = episode(tmp_path_factory.mktemp("finished"), *MAKE, *FETCH, Step("consume"), *END)
    assert made.run().violations == []
    shutil.copytree(made.world.directory / "state", made.world.directory / "sound")
    yield made


DATABASE, QUEUES = "database", "queues"
TAMPERINGS = [
    (DATABASE, "DELETE FROM price_data WHERE rowid_of = 1", "1 lost"),
    (DATABASE, "UPDATE price_data SET close = close + 0.01 WHERE rowid_of = 1", "1 altered"),
    (DATABASE, "UPDATE price_data SET timestamp = timestamp + 7200000 WHERE rowid_of = 1", "1 altered"),
    (DATABASE, "UPDATE price_data SET open = open + 1 WHERE source = 'legacy' AND timestamp % 36000 = 0", "8 altered"),
    (DATABASE, "DELETE FROM price_data WHERE source = 'legacy'", "80 rows that were there before"),
    (DATABASE, "DROP TRIGGER notes_stay; DELETE FROM notes WHERE id = 1", "a migration was carried out in part"),
    (QUEUES, "DELETE FROM messages; DELETE FROM bodies", "4 poison nowhere"),
    (QUEUES, "DELETE FROM dead_letters", "4 dead letters without a reason"),
    (QUEUES, "UPDATE queues SET backlog = backlog + 1 WHERE number = 1", "1 faults of the files"),
    (QUEUES, "UPDATE messages SET queue = 2 WHERE queue = 1", "4 messages left in the queue"),
    (QUEUES, f"INSERT INTO chaos_gone VALUES (99, '{body(row())}', 'x', 1, 1, 'acked')", "1 messages gone although"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "sql", "told"), TAMPERINGS)
def test_each_tampering_with_the_files_is_told(finished: Episode, file: str, sql: str, told: str) -> None:
    world = finished.world
    shutil.rmtree(world.directory / "state")
    shutil.copytree(world.directory / "sound", world.directory / "state")
    assert finished.account().violations == []
    one = (
        "(symbol, timeframe, source, timestamp) = "
        "(SELECT symbol, timeframe, source, max(timestamp) FROM price_data WHERE source = 'binance')"
    )
    with closing(sqlite3.connect(world.database_file if file == DATABASE else world.queue_file)) as opened:
        opened.executescript(sql.replace("rowid_of = 1", one))
    violations = finished.account().violations
    assert any(violation.startswith(told) for violation in violations), violations


# --- by the product: each of these mistakes has been made somewhere ---


def test_a_consumer_that_acks_what_failed_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def acked(messages: Any, contents: Any, *_: object) -> verdict.Verdict:
        return verdict.Verdict(Settlement(acks=[message.lease_id for message in messages]), contents)

    monkeypatch.setattr(verdict, "failed", acked)
    report = run(tmp_path, *MAKE, *FETCH, Step("consume", answers=((2, "overloaded"),), batch=10), *END)
    assert report.account.lost == 80  # of the hundred of a batch 20 lie in the places of existing rows


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("expires", [False, True])
def test_a_consumer_that_acks_and_does_not_store_is_found_out_even_where_other_messages_become_too_old(
    expires: bool, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, honest = worker.store, tmp_path / "honest"

    def hasty(database: Any, values: Any) -> Stored:
        if honest.exists():
            return Stored(inserted=len(values) // WIDTH)
        honest.touch()
        return store(database, values)

    monkeypatch.setattr(worker, "store", hasty)
    dying = (Step("consume", Kill("consumer.written"), batch=6), Step("consume", Kill("consumer.settled"), batch=5))
    late = (Step("consume", jump=EXPIRY_SECONDS),) if expires else ()
    report = run(tmp_path, *MAKE, FETCH[0], FETCH[2], *dying, *late, *END, mode=mode)
    assert report.account.lost > 0
    assert any("messages gone although not stored" in violation for violation in report.violations)


def test_a_consumer_that_acks_before_it_stores_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = worker.read

    def early(messages: Any) -> Any:
        hasty = drain[0]
        hasty.queue.settle(Settlement(acks=[message.lease_id for message in messages]))
        return read(messages)

    drain: list[Any] = []
    run_loop = worker._Drain.run
    monkeypatch.setattr(worker._Drain, "run", lambda self: (drain.insert(0, self), run_loop(self))[1])
    monkeypatch.setattr(worker, "read", early)
    report = run(tmp_path, *MAKE, *FETCH, Step("consume", Kill("d1.committing", hit=3), batch=10), *END)
    assert report.account.lost > 0


def test_a_producer_that_takes_a_refusal_for_a_success_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = CloudflareQueue.send_batch

    def careless(self: CloudflareQueue, messages: Any, **delays: Any) -> list[str]:
        with suppress(CloudflareError):
            return send(self, messages, **delays)
        return [""] * len(messages)

    monkeypatch.setattr(CloudflareQueue, "send_batch", careless)
    outage = Step("fetch", answers=tuple((call, "503") for call in range(2, 7)))
    whole = (replace(FETCH[0], if_needed=True), *FETCH[1:])
    report = run(tmp_path, *MAKE, outage, *whole, *END, mode="rest")
    assert report.account.lost > 300


def test_an_insert_that_replaces_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    insert = consumer_rows._insert
    monkeypatch.setattr(
        consumer_rows, "_insert", lambda n: insert(n).split(" ON CONFLICT")[0].replace("INSERT", "INSERT OR REPLACE")
    )
    report = run(tmp_path, *MAKE, *FETCH, *END)
    assert report.account.altered == 40


def test_dead_letters_that_are_dropped_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dropped(file: Any, queue: Any, failed: Any, now_ms: int) -> failures.Left:
        failures._drop(file, queue, failed, now_ms)
        return failures.Left(dropped=len(failed))

    monkeypatch.setattr(failures, "dead_letter", dropped)
    report = run(tmp_path, *MAKE, *FETCH, *END)
    assert any(violation.startswith("4 poison nowhere") for violation in report.violations)


def test_a_purge_that_takes_more_than_it_counts_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    purge = removal.purge
    monkeypatch.setattr(removal, "purge", lambda *args: purge(*args) - 1)
    report = run(tmp_path, *MAKE, *FETCH, Step("purge"), *END)
    assert any(violation.startswith("purges say they deleted") for violation in report.violations)


def test_an_expiry_that_takes_what_is_not_too_old_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early = messages.SQL["delete_expired"].replace("m.stored_ms <= (", "m.stored_ms <= 4 * 86400000 + (")
    monkeypatch.setitem(messages.SQL, "delete_expired", early)
    monkeypatch.setitem(messages.SQL, "has_expired", "SELECT 1 WHERE :queue + :now")
    report = run(tmp_path, *MAKE, *FETCH, *END)
    assert report.account.expired == 0
    assert any("are counted as expired; 0 did" in violation for violation in report.violations)


def test_a_purge_that_takes_what_is_in_flight_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = messages.SQL["delete_idle"].replace("(lease = 0 OR visible_at <= :now)", ":now > 0")
    monkeypatch.setitem(messages.SQL, "delete_idle", greedy)
    dying = Step("consume", Kill("consumer.leased"), batch=10)
    report = run(tmp_path, *MAKE, *FETCH, dying, Step("purge"), *END)
    assert any("messages gone although not stored" in violation for violation in report.violations)
    assert any(violation.startswith("purges say they deleted") for violation in report.violations)


def test_a_job_that_fails_without_a_fault_and_one_that_fails_unforeseen_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom(_messages: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(worker, "read", boom)
    report = run(tmp_path, *MAKE, *FETCH, *END)
    assert any("failed in an unforeseen way" in text and "ZeroDivisionError" in text for text in report.violations)
    assert report.account.stored < CANDLES
