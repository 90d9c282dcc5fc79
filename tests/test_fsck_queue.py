"""`coinswarm fsck` on queue files: leases nobody holds, totals that do not add up, bodies nobody can read."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.clock import ManualClock
from coinswarm.errors import StorageError, StorageTooNew
from coinswarm.fsck.archive import restore
from coinswarm.fsck.check import check_queue_file
from coinswarm.fsck.findings import Checked
from coinswarm.fsck.repair import repair
from coinswarm.queue import schema
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.statements import load
from coinswarm.queue.types import ConsumerSettings, DeadLetter, OutgoingMessage, Settlement
from coinswarm.storage import connect
from tests.support.candle_messages import body, row
from tests.support.command_line import CommandLine
from tests.support.queues import bodies, send, take
from tests.support.seed_system import contents, run_sql

CLOCK_MS = 1_800_000_000_000
BODIES = [body(row(hour)) for hour in range(5)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(CLOCK_MS)


@pytest.fixture
def path(tmp_path: Path, clock: ManualClock) -> Path:
    """A sound file: a queue with five messages, and one dead letter whose body is no candle."""
    file = tmp_path / "queues.sqlite"
    with closing(SqliteQueueStore(file, clock)) as store:
        store.create("candles")
        store.add_consumer("candles", ConsumerSettings(dead_letter_queue="dead"))
        queue = store.open("candles")
        send(queue, "no candle")
        (poison,) = queue.lease(1)
        queue.settle(Settlement(dead_letters=[DeadLetter(poison.lease_id, "not JSON")]))
        send(queue, *BODIES)
    return file


def counts(checked: Checked) -> dict[str, int]:
    return {found.kind: found.count for found in checked.findings}


def test_a_sound_queue_file_has_no_findings_and_dead_letters_may_be_unreadable(path: Path, clock: ManualClock) -> None:
    checked = check_queue_file(path, clock)
    assert (checked.findings, checked.rows) == ([], 6)


DAY_MS = 86_400_000
BREAK = {
    "ahead": f"UPDATE messages SET lease = 77, attempts = 1, visible_at = {CLOCK_MS + DAY_MS} WHERE seq = 2",
    "leases": f"UPDATE messages SET lease = 77, attempts = 1, visible_at = {CLOCK_MS - 1} WHERE seq IN (2, 3)",
    "no-body": "DELETE FROM bodies WHERE seq = 2",
    "no-message": "DELETE FROM messages WHERE seq = 2; UPDATE queues SET backlog = 4, "
    "bytes = (SELECT sum(bytes) FROM messages WHERE queue = queues.number) WHERE name = 'candles'",
    "no-queue": "UPDATE messages SET queue = 99 WHERE seq = 2; UPDATE queues SET backlog = 4, "
    "bytes = (SELECT sum(bytes) FROM messages WHERE queue = queues.number) WHERE name = 'candles'",
    "sizes": "UPDATE bodies SET body = CAST(body || ' ' AS BLOB) WHERE seq = 2",
    "counters": "UPDATE queues SET backlog = backlog + 1000, bytes = 0 WHERE name = 'candles'",
    "orphan-failures": "INSERT INTO failures VALUES (500, 'gone', 1, 1, 1)",
    "orphan-dead-letters": "INSERT INTO dead_letters VALUES (500, 'candles', 'gone', 1, 1, 1, 1, 0)",
    "sequence": "UPDATE sequence SET next = 2",
}


@pytest.mark.parametrize("kind", BREAK)
def test_each_fault_is_found_repaired_from_an_archive_and_can_be_undone(
    path: Path, clock: ManualClock, tmp_path: Path, kind: str
) -> None:
    run_sql(path, BREAK[kind])
    broken = check_queue_file(path, clock)
    assert counts(broken) == {kind: 2 if kind == "leases" else 1}
    tables = ("queues", "messages", "bodies", "dead_letters", "sequence")
    before = {table: contents(path, table) for table in tables}

    (found,) = broken.findings
    assert found.rule is not None
    (kept,) = repair(path, [found.rule], tmp_path / "kept", clock)
    left = counts(check_queue_file(path, clock))
    assert left == ({"no-message": 1} if kind == "no-queue" else {})

    restore(kept.path, path)
    if kind != "leases":
        assert {table: contents(path, table) for table in tables} == before
    assert counts(check_queue_file(path, clock)) == counts(broken)


def test_every_fault_at_once_is_repaired_and_the_sound_messages_are_still_delivered(
    path: Path, clock: ManualClock, tmp_path: Path
) -> None:
    for kind in ("counters", "orphan-failures", "orphan-dead-letters", "no-body", "sequence"):
        run_sql(path, BREAK[kind])
    rules = [found.rule for found in check_queue_file(path, clock).findings if found.rule is not None]
    repair(path, rules, tmp_path / "kept", clock)
    assert counts(check_queue_file(path, clock)) == {}
    with closing(SqliteQueueStore(path, clock)) as store:
        queue = store.open("candles")
        send(queue, "one more")
        assert take(queue) == [*BODIES[1:], "one more"]
        assert queue.metrics().backlog == 0


def test_what_a_clock_set_back_hides_for_days_is_found_and_delivered_after_a_repair(
    path: Path, clock: ManualClock, tmp_path: Path
) -> None:
    ahead = ManualClock(CLOCK_MS + 3 * DAY_MS)
    with closing(SqliteQueueStore(path, ahead)) as store:
        queue = store.open("candles")
        assert len(queue.lease(2)) == 2
        send(queue, body(row(7)), delay=60)
    with closing(SqliteQueueStore(path, clock)) as store:
        assert len(store.open("candles").lease(10)) == 3
        send(store.open("candles"), body(row(8)), delay=86_400)
    (found,) = check_queue_file(path, clock).findings
    assert (found.kind, found.count) == ("ahead", 3)
    assert found.rule is not None
    repair(path, [found.rule], tmp_path / "kept", clock)
    with closing(SqliteQueueStore(path, clock)) as store:
        messages = store.open("candles").lease(10)
    assert bodies(messages) == [*BODIES[:2], body(row(7))]
    assert [message.attempts for message in messages] == [2, 2, 1]


def test_an_ended_lease_counts_as_a_delivery_and_its_time_out_is_noted(
    path: Path, clock: ManualClock, tmp_path: Path
) -> None:
    with closing(SqliteQueueStore(path, clock)) as store:
        assert len(store.open("candles").lease(5, visibility_timeout_ms=1000)) == 5
    assert counts(check_queue_file(path, clock)) == {}, "a lease that is still held is no fault"
    clock.advance(2)
    (found,) = check_queue_file(path, clock).findings
    assert (found.kind, found.count) == ("leases", 5)
    assert found.rule is not None
    repair(path, [found.rule], tmp_path / "kept", clock)
    with closing(SqliteQueueStore(path, clock)) as store:
        messages = store.open("candles").lease(5)
    assert [message.attempts for message in messages] == [2] * 5
    assert bodies(messages) == BODIES
    assert [timeouts for _, _, timeouts, _, _ in contents(path, "failures")] == [1] * 5


@pytest.mark.parametrize("text", ["no JSON", "[]", '[{"symbol": "BTC-USDC"}]', body(row(open=-1.0)), "\x00"])
def test_a_body_that_holds_no_sound_candles_is_named_with_the_reason(path: Path, clock: ManualClock, text: str) -> None:
    with closing(SqliteQueueStore(path, clock)) as store:
        store.open("candles").send_batch([OutgoingMessage(text.encode())])
    (found,) = check_queue_file(path, clock).findings
    assert (found.kind, found.count, found.repairable) == ("bodies", 1, False)
    assert found.examples[0]["queue"] == "candles"
    assert found.examples[0]["reason"]


def test_a_file_that_is_no_queue_file_is_told_and_not_altered(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "other.sqlite"
    with closing(connect(path)) as other:
        other.execute("CREATE TABLE t (x)")
    with pytest.raises(StorageError, match="not a coinswarm queue file"):
        check_queue_file(path, clock)


# --- leases of a process that died ---


def test_the_lease_of_a_killed_consumer_is_found_once_its_time_is_over(coinswarm: CommandLine, tmp_path: Path) -> None:
    coinswarm("queues", "send", "historical-data-queue", body(row()))
    file = tmp_path / ".wrangler/state/v3/coinswarm/queues.sqlite"
    script = (
        "import os, signal, sys; from pathlib import Path; from coinswarm.clock import SystemClock;"
        "from coinswarm.queue.sqlite import SqliteQueueStore;"
        "store = SqliteQueueStore(Path(sys.argv[1]), SystemClock());"
        "store.open('historical-data-queue').lease(1, visibility_timeout_ms=1000);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(file)], check=False, cwd=Path(__file__).parent.parent)
    assert died.returncode == -9
    assert coinswarm("fsck", "--json").json["clean"]
    run_sql(file, "UPDATE messages SET visible_at = visible_at - 1000000")
    result = coinswarm("fsck", "--json")
    assert result.exit_code == 1
    (found,) = result.json["files"][0]["findings"]
    assert (found["kind"], found["count"]) == ("leases", 1)
    assert "coinswarm consume" in found["advice"]
    info = coinswarm("queues", "info", "historical-data-queue", "--json").json
    assert (info["backlog"], info["in_flight"], info["timed_out"]) == (1, 0, 1)
    human = coinswarm("queues", "info", "historical-data-queue").out
    assert re.search(r"^timed out +1: their consumer died or hangs; coinswarm consume delivers", human, re.MULTILINE)


# --- files of older and newer versions ---


def _as_of(version: int) -> Callable[[Path], None]:
    """Writes a file as a coinswarm that knew so many schema steps did, with a message in each state."""

    def make(path: Path) -> None:
        with closing(connect(path)) as old:
            for step in schema.STEPS[:version]:
                for sql in load(step).values():
                    old.execute(sql)
            old.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            old.execute(f"PRAGMA user_version = {version}")
            old.execute(
                "INSERT INTO queues VALUES (1, 'a1', 'candles', NULL, 1, 1, 0, 0, 345600, 5, ?)",
                (sum(map(len, BODIES)),),
            )
            for seq, text in enumerate(BODIES, start=1):
                lease, visible = (9, CLOCK_MS - 5) if seq == 2 else (0, CLOCK_MS - 10 + seq)
                old.execute(
                    "INSERT INTO messages VALUES (?, 1, ?, ?, ?, ?, ?)",
                    (seq, visible, lease, int(seq == 2), CLOCK_MS - 10, len(text)),
                )
                old.execute(
                    "INSERT INTO bodies VALUES (?, ?, 'json', ?, ?)",
                    (seq, f"{seq:032x}", CLOCK_MS - 10, text.encode()),
                )
            if version >= 2:
                old.execute("INSERT INTO failures VALUES (3, 'once', 0, 1, 1)")
            if version >= 4:
                old.execute("UPDATE sequence SET next = 6")

    return make


@pytest.mark.parametrize("version", range(1, schema.VERSION + 1))
def test_a_file_of_every_older_version_is_upgraded_in_place_with_all_its_messages(
    tmp_path: Path, clock: ManualClock, version: int
) -> None:
    path = tmp_path / "queues.sqlite"
    _as_of(version)(path)
    before = contents(path, "bodies")
    older = counts(check_queue_file(path, clock))
    assert older == {"leases": 1} | ({} if version == schema.VERSION else {"version": 1})
    with closing(SqliteQueueStore(path, clock)) as store:
        assert contents(path, "bodies") == before
        queue = store.open("candles")
        assert queue.metrics().backlog == 5
        (new,) = send(queue, "after the upgrade")
        messages = queue.lease(10)
        assert sorted(bodies(messages)) == sorted([*BODIES, "after the upgrade"])
        assert {message.attempts for message in messages} == {1, 2}
        assert new not in {f"{seq:032x}" for seq in range(1, 6)}
    with closing(connect(path)) as upgraded:
        assert upgraded.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert "version" not in counts(check_queue_file(path, clock))


@pytest.mark.parametrize("command", [["queues", "list"], ["consume"], ["fsck"]])
def test_a_file_of_a_newer_version_is_refused_and_not_touched(
    coinswarm: CommandLine, tmp_path: Path, command: list[str]
) -> None:
    coinswarm("d1", "migrations", "apply")
    coinswarm("queues", "send", "historical-data-queue", body(row()))
    file = tmp_path / ".wrangler/state/v3/coinswarm/queues.sqlite"
    newer = schema.VERSION + 1
    run_sql(file, f"PRAGMA user_version = {newer}; PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.read_bytes()
    result = coinswarm(*command, "--json")
    assert result.exit_code == 1
    assert result.error == (
        "StorageTooNew",
        f"{file} has queue format {newer}; this coinswarm knows formats up to {schema.VERSION}",
        "Upgrade coinswarm; a newer file is never downgraded.",
    )
    assert file.read_bytes() == before


def test_a_process_that_has_the_file_open_while_a_newer_coinswarm_upgrades_it_writes_nothing_more(
    path: Path, clock: ManualClock
) -> None:
    with closing(SqliteQueueStore(path, clock)) as store:
        queue = store.open("candles")
        before = contents(path, "messages")
        run_sql(path, f"PRAGMA user_version = {schema.VERSION + 1}")
        for write in (lambda: send(queue, "after"), lambda: queue.lease(1), queue.purge):
            with pytest.raises(StorageTooNew, match="was upgraded to queue format"):
                write()
    assert contents(path, "messages") == before
