"""Files that cannot be used: full disks, read-only folders, locks of others, damage, other schemas.

In every case a line that names the file and says what to do, exit code 1, no message lost, no row altered, and when the
trouble is over the same command does the whole job.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from coinswarm.errors import StorageFull
from coinswarm.simulator import Simulator, SyntheticMarket
from coinswarm.storage import storage_error
from tests.support.candle_messages import FIRST_OPEN, body, row
from tests.support.command_line import CommandLine, HastyClock
from tests.support.databases import ORIGINAL_TABLE
from tests.support.hardship import files_limited_to, full_disk, locked_by_another_process, read_only

QUEUE = "historical-data-queue"
D1_FILE = "9997cd2714855692c70bdef1acf310f63ff99deaea41720e53f41a497358c61d.sqlite"
SQLITE_ADVICE = "Keep a copy, then try: sqlite3 FILE .recover"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(SyntheticMarket(seed=9)) as running:
        yield running


@pytest.fixture
def pipeline(coinswarm: CommandLine, simulator: Simulator) -> CommandLine:
    """A migrated database beside an empty queue, and an exchange to ask."""
    coinswarm.environment = simulator.environment
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    assert coinswarm("queues", "list").exit_code == 0
    return coinswarm


def queue_file(coinswarm: CommandLine) -> Path:
    return coinswarm.directory / ".wrangler/state/v3/coinswarm/queues.sqlite"


def d1_file(coinswarm: CommandLine) -> Path:
    return coinswarm.directory / ".wrangler/state/v3/d1/miniflare-D1DatabaseObject" / D1_FILE


def fill(coinswarm: CommandLine, messages: int, rows: int = 10) -> int:
    """Queue so many messages of so many candles each; the number of candles."""
    for number in range(messages):
        hours = range(number * rows, (number + 1) * rows)
        assert coinswarm("queues", "send", QUEUE, body(*map(row, hours))).exit_code == 0
    return messages * rows


def backlog(coinswarm: CommandLine) -> tuple[int, int]:
    """Messages, and those of them that were delivered and not settled."""
    info = coinswarm("queues", "info", QUEUE, "--json").json
    return info["backlog"], info["in_flight"]


def attempts(coinswarm: CommandLine) -> set[int]:
    return {message["attempts"] for message in coinswarm("queues", "peek", QUEUE, "--limit", "100", "--json").json}


def opens(coinswarm: CommandLine) -> list[int]:
    sql = "SELECT timestamp FROM price_data ORDER BY timestamp"
    result = coinswarm("d1", "execute", "--command", sql, "--json")
    return [stored["timestamp"] for stored in result.json[0]["results"]]


def drained(coinswarm: CommandLine, rows: int) -> bool:
    """Whether everything now goes its way: `consume` succeeds, the queue is empty, the rows are there, each once."""
    result = coinswarm("consume", "--json")
    assert result.exit_code == 0, result
    assert coinswarm("queues", "dlq", "list", "--json").json == []
    return backlog(coinswarm) == (0, 0) and opens(coinswarm) == [FIRST_OPEN + h * 3600 for h in range(rows)]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- a folder that cannot be made or written ---


@pytest.mark.parametrize("command", [["fetch"], ["consume"], ["queues", "list"], ["d1", "stats"]])
@pytest.mark.parametrize(
    ("place", "says"),
    [("file/below", "Not a directory"), ("/dev/null/below", "Not a directory"), ("/proc/nowhere", "No such file")],
)
def test_a_place_for_state_that_cannot_be_made_is_named(
    coinswarm: CommandLine, command: list[str], place: str, says: str
) -> None:
    (coinswarm.directory / "file").write_text("mine")
    human, as_json = (coinswarm(*command, "--persist-to", place, *more) for more in ([], ["--json"]))
    assert human.exit_code == as_json.exit_code == 1
    kind, message, hint = as_json.error
    assert (kind, hint) == ("StorageError", "Choose another folder with --persist-to DIR.")
    assert f"{place}/v3/" in message
    assert f" cannot be made: {says}" in message
    assert human.err == f"✘ {message}\n  {hint}\n"
    assert (coinswarm.directory / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "command", [["fetch"], ["consume"], ["queues", "send", QUEUE, "x"], ["d1", "migrations", "apply"]]
)
def test_an_empty_folder_that_is_read_only_is_named_and_stays_empty(
    coinswarm: CommandLine, simulator: Simulator, command: list[str]
) -> None:
    coinswarm.environment = simulator.environment
    with read_only(coinswarm.directory):
        result = coinswarm(*command, "--json")
    assert result.exit_code == 1
    kind, message, hint = result.error
    assert kind == "StorageReadOnly"
    assert str(coinswarm.directory / ".wrangler/state/v3") in message
    assert "Permission denied" in message
    assert hint == "Check the owner and permissions, or choose another folder with --persist-to DIR."
    assert list(coinswarm.directory.iterdir()) == []


def test_files_that_became_read_only_are_named_and_nothing_is_lost(pipeline: CommandLine) -> None:
    rows = fill(pipeline, 2)
    with read_only(pipeline.directory):
        consumed = pipeline("consume", "--json")
        fetched = pipeline("fetch", "--json")
        applied = pipeline("d1", "execute", "--command", "CREATE TABLE t (x)", "--json")
    for result in (consumed, fetched, applied):
        assert result.exit_code == 1
        assert ".sqlite" in result.error[1]
        assert "read" in result.error[1] or "Permission denied" in result.error[1]
    assert backlog(pipeline) == (2, 0)
    assert drained(pipeline, rows)


@pytest.mark.parametrize(
    "command", [["d1", "stats"], ["d1", "info"], ["queues", "list"], ["queues", "info", QUEUE], ["status"]]
)
def test_who_only_looks_at_files_that_are_read_only_is_told_how_and_can(
    pipeline: CommandLine, tmp_path_factory: pytest.TempPathFactory, command: list[str]
) -> None:
    fill(pipeline, 2)
    copy = tmp_path_factory.mktemp("elsewhere") / "state"
    with read_only(pipeline.directory):
        refused = pipeline(*command, "--json")
        shutil.copytree(pipeline.directory / ".wrangler/state", copy, copy_function=shutil.copyfile)
    kind, message, hint = refused.error
    assert (refused.exit_code, kind) == (1, "StorageReadOnly")
    assert (
        ".sqlite cannot be opened: it or its folder cannot be written, which SQLite needs even to read it: " in message
    )
    assert "copy the whole state folder" in (hint or "")
    for folder in (copy, *copy.rglob("*/")):
        folder.chmod(0o755)  # a copy by this process takes the modes along
    assert pipeline(*command, "--json", "--persist-to", str(copy)).exit_code == 0


# --- a full disk ---


@pytest.mark.parametrize("how", ["quota", "full"])
def test_a_disk_that_is_full_for_the_queue_fails_the_fetch_and_the_printed_command_completes_it(
    pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    newest = FIRST_OPEN + 4999 * 3600
    series = ["--to-ts", str(newest), "--since", str(FIRST_OPEN), "--limit", "1000"]
    with files_limited_to(600_000) if how == "quota" else full_disk(monkeypatch, "coinswarm.queue.file", 150):
        failed = pipeline("fetch", *series)
    assert failed.exit_code == 1
    told = next(line for line in failed.err.splitlines() if line.startswith("✘ "))
    assert "queues.sqlite" in told
    assert "disk" in told
    queued = backlog(pipeline)[0]
    assert 0 < queued < 500
    assert "still queued" not in failed.err
    assert told.endswith(f" Queued {queued * 10} candles for BTC-USDC in {queued} messages before that.")

    assert pipeline(*failed.continues_with).exit_code == 0
    assert drained(pipeline, 5000)


@pytest.mark.parametrize("how", ["quota", "full"])
def test_a_disk_that_is_full_for_the_database_gives_the_messages_back(
    pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    newest = FIRST_OPEN + 4999 * 3600
    assert pipeline("fetch", "--to-ts", str(newest), "--since", str(FIRST_OPEN)).exit_code == 0
    with files_limited_to(300_000) if how == "quota" else full_disk(monkeypatch, "coinswarm.d1.engine", 40):
        failed = pipeline("consume", "--json")
    assert failed.exit_code == 1
    kind, message, hint = failed.error
    assert kind == "StorageFull"
    assert D1_FILE in message
    assert "disk" in message
    assert hint
    assert hint.endswith(" What was not stored is still queued.")
    report = failed.json["report"]
    assert report["dead_lettered"] == report["retried"] == 0
    assert report["rows"]["inserted"] == len(opens(pipeline)) < 5000
    assert report["released"] > 0
    assert backlog(pipeline) == (500 - report["acked"], 0)
    assert attempts(pipeline) == {0}
    assert drained(pipeline, 5000)


@pytest.mark.parametrize(
    ("free", "total", "message"),
    [
        (20_000, 400_000, "the disk is full: {} could not grow; nothing of this step was written"),
        (10**9, 10**10, "writing {} failed: disk I/O error"),
        (0, 0, "writing {} failed: disk I/O error"),
    ],
    ids=["full", "room", "tmpfs without a limit"],
)
def test_an_io_error_where_there_is_no_room_left_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, message: str
) -> None:
    path = tmp_path / "d1.sqlite"
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(total=total, used=total - free, free=free))
    told = storage_error(error, path)
    assert isinstance(told, StorageFull)
    assert told.message == message.format(path)


# --- locks ---


def test_a_database_that_another_process_locks_for_a_while_is_waited_for(
    pipeline: CommandLine, hasty_clock: HastyClock, impatient_locks: None
) -> None:
    rows = fill(pipeline, 5)
    with locked_by_another_process(d1_file(pipeline)) as holder:
        hasty_clock.on_sleep = lambda _seconds: sum(hasty_clock.slept) > 2 and holder.let_go()
        result = pipeline("consume", "--json")
    assert result.exit_code == 0
    report = result.json
    assert report["retried"] >= 5
    assert report["messages"] == report["acked"] + report["retried"]
    assert report["dead_lettered"] == 0
    assert report["rows"] == {"received": rows, "inserted": rows, "duplicate": 0, "rejected": 0}
    assert drained(pipeline, rows)


def test_a_database_that_stays_locked_sends_its_messages_to_the_dead_letters_whence_they_come_back(
    pipeline: CommandLine, hasty_clock: HastyClock, impatient_locks: None
) -> None:
    rows = fill(pipeline, 3)
    with locked_by_another_process(d1_file(pipeline)):
        result = pipeline("consume")
    assert result.exit_code == 0
    assert "⚠ 3 messages dead-lettered, 0 dropped:" in result.err
    assert f"3 × {d1_file(pipeline)} is locked by another process" in result.err
    letters = pipeline("queues", "dlq", "list", "--json").json
    assert [letter["attempts"] for letter in letters] == [4, 4, 4]
    assert opens(pipeline) == []

    assert pipeline("queues", "dlq", "redrive", "--json").json["redriven"] == 3
    assert drained(pipeline, rows)


@pytest.mark.parametrize("command", [["consume"], ["queues", "send", QUEUE, "x"], ["fetch", "--limit", "10"]])
def test_a_queue_that_another_process_locks_fails_the_command_and_loses_nothing(
    pipeline: CommandLine, impatient_locks: None, command: list[str]
) -> None:
    rows = fill(pipeline, 2)
    with locked_by_another_process(queue_file(pipeline)):
        human, as_json = pipeline(*command), pipeline(*command, "--json")
        assert pipeline("queues", "info", QUEUE, "--json").json["backlog"] == 2
    assert human.exit_code == as_json.exit_code == 1
    assert as_json.error[0] == ("FetchFailed" if command[0] == "fetch" else "StorageLocked")
    assert f"{queue_file(pipeline)} is locked by another process" in as_json.error[1]
    assert f"{queue_file(pipeline)} is locked by another process" in human.err
    assert "Wait for the other process" in (as_json.error[2] or "")
    assert (backlog(pipeline), attempts(pipeline)) == ((2, 0), {0})
    assert drained(pipeline, rows)


def test_sql_on_a_database_that_is_locked_changes_nothing(pipeline: CommandLine, impatient_locks: None) -> None:
    with locked_by_another_process(d1_file(pipeline)):
        failed = pipeline("d1", "execute", "--command", "DELETE FROM price_data", "--json")
        reading = pipeline("d1", "stats", "--json")
    assert (failed.exit_code, failed.error[0]) == (1, "StorageLocked")
    assert (reading.exit_code, reading.json["rows"]) == (0, 0)


# --- tables ---

KEY = "PRIMARY KEY (symbol, timestamp, timeframe, source)"
TEN = (
    "symbol TEXT, timestamp INTEGER, timeframe TEXT, open REAL, high REAL, low REAL, close REAL, volume_from REAL,"
    " volume_to REAL, source TEXT"
)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            f"{TEN.replace('volume_from REAL, volume_to', 'volume')}, {KEY}",
            "price_data lacks the columns volume_from, volume_to; found: symbol, timestamp, timeframe, open, high, low",
        ),
        (TEN, "price_data lacks a unique key over symbol, timestamp, timeframe, source; found: symbol, timestamp"),
        (
            f"{TEN}, PRIMARY KEY (symbol, timestamp)",
            "price_data lacks a unique key over symbol, timestamp, timeframe, source; found: symbol, timestamp",
        ),
        (f"{TEN}, venue TEXT NOT NULL, {KEY}", "price_data demands values for venue, which no candle has"),
    ],
)
@pytest.mark.parametrize("command", [["consume"], ["d1", "stats"]])
def test_a_table_that_cannot_hold_candles_is_described_and_left_alone(
    coinswarm: CommandLine, table: str, message: str, command: list[str]
) -> None:
    create = f"CREATE TABLE price_data ({table})"
    assert coinswarm("d1", "execute", "--command", create).exit_code == 0
    fill(coinswarm, 2)
    human, as_json = coinswarm(*command), coinswarm(*command, "--json")
    assert human.exit_code == as_json.exit_code == 1
    kind, said, hint = as_json.error
    assert kind == "SchemaMismatch"
    assert said.startswith(message)
    assert hint
    assert human.err.startswith(f"✘ {said}\n  {hint}\n")
    assert (backlog(coinswarm), attempts(coinswarm)) == ((2, 0), {0})
    schema = coinswarm("d1", "execute", "--command", "SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL", "--json")
    assert schema.json[0]["results"] == [{"name": "price_data", "sql": create}]


def test_the_advice_for_a_missing_key_mends_the_table(coinswarm: CommandLine) -> None:
    assert coinswarm("d1", "execute", "--command", f"CREATE TABLE price_data ({TEN})").exit_code == 0
    rows = fill(coinswarm, 1)
    hint = coinswarm("consume", "--json").error[2] or ""
    statement = hint[hint.index("CREATE UNIQUE INDEX") :]
    assert coinswarm("d1", "execute", "--command", statement).exit_code == 0
    assert drained(coinswarm, rows)


def test_the_originals_table_is_used_as_it_is(coinswarm: CommandLine) -> None:
    assert coinswarm("d1", "execute", "--command", ORIGINAL_TABLE).exit_code == 0
    before = coinswarm("d1", "execute", "--command", "SELECT sql FROM sqlite_schema", "--json").json[0]["results"]
    rows = fill(coinswarm, 3)
    assert drained(coinswarm, rows)
    assert (
        coinswarm("d1", "execute", "--command", "SELECT sql FROM sqlite_schema", "--json").json[0]["results"] == before
    )
    fill(coinswarm, 3)
    assert drained(coinswarm, rows)


# --- damage ---


def scribble(path: Path) -> None:
    """Overwrite the pages behind the first one."""
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def replace_by_text(path: Path) -> None:
    path.write_text("Dear diary, this is no database at all. " * 40)


DAMAGE = {"scribbled": scribble, "cut": cut, "text": replace_by_text}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("command", [["consume"], ["fetch"], ["queues", "info", QUEUE], ["queues", "send", QUEUE, "x"]])
def test_a_damaged_queue_file_is_named_and_not_touched(
    pipeline: CommandLine, damage: Callable[[Path], None], command: list[str]
) -> None:
    fill(pipeline, 3)
    path = queue_file(pipeline)
    damage(path)
    before = digest(path)
    human, as_json = pipeline(*command), pipeline(*command, "--json")
    assert human.exit_code == as_json.exit_code == 1
    message, hint = as_json.error[1:]
    assert f"{path} is damaged: " in message
    assert SQLITE_ADVICE in (hint or "")
    assert f"{path} is damaged: " in human.err
    assert digest(path) == before
    assert opens(pipeline) == []


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize(
    "command", [["consume"], ["d1", "stats"], ["d1", "execute", "--command", "SELECT * FROM price_data"]]
)
def test_a_damaged_database_is_named_and_not_touched_and_the_messages_stay(
    pipeline: CommandLine, damage: Callable[[Path], None], command: list[str]
) -> None:
    fill(pipeline, 3)
    path = d1_file(pipeline)
    healthy = path.read_bytes()
    damage(path)
    before = digest(path)
    human, as_json = pipeline(*command), pipeline(*command, "--json")
    assert human.exit_code == as_json.exit_code == 1
    kind, message, hint = as_json.error
    assert (kind, hint) == ("StorageCorrupt", SQLITE_ADVICE)
    assert message.startswith(f"{path} is damaged: ")
    assert human.err.startswith(f"✘ {message}\n  {hint}\n")
    assert digest(path) == before
    assert (backlog(pipeline), attempts(pipeline)) == ((3, 0), {0})

    path.write_bytes(healthy)
    assert drained(pipeline, 30)


@pytest.mark.parametrize("command", [["consume"], ["fetch"], ["queues", "list"], ["queues", "send", QUEUE, "x"]])
def test_a_queue_file_of_a_newer_coinswarm_is_refused_and_not_touched(
    pipeline: CommandLine, command: list[str]
) -> None:
    rows = fill(pipeline, 2)
    path = queue_file(pipeline)
    with closing(sqlite3.connect(path)) as newer:
        (version,) = newer.execute("PRAGMA user_version").fetchone()
        newer.execute("PRAGMA user_version = 99")
    before = digest(path)
    result = pipeline(*command, "--json")
    assert result.exit_code == 1
    assert result.error == (
        "StorageTooNew",
        f"{path} has queue format 99; this coinswarm knows formats up to {version}",
        "Upgrade coinswarm; a newer file is never downgraded.",
    )
    assert digest(path) == before
    with closing(sqlite3.connect(path)) as upgraded:
        upgraded.execute(f"PRAGMA user_version = {version}")
    assert drained(pipeline, rows)


def test_somebody_elses_database_in_place_of_the_queues_is_refused_and_not_touched(pipeline: CommandLine) -> None:
    path = queue_file(pipeline)
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE diary (entry TEXT)")
    before = digest(path)
    result = pipeline("queues", "list", "--json")
    assert result.exit_code == 1
    assert result.error == (
        "StorageError",
        f"{path} is a SQLite database, but not a coinswarm queue file",
        "Choose another folder with --persist-to DIR, or move the file away.",
    )
    assert digest(path) == before


def test_a_folder_in_place_of_a_file_is_named(pipeline: CommandLine) -> None:
    for path, command in ((queue_file(pipeline), ["queues", "list"]), (d1_file(pipeline), ["d1", "stats"])):
        path.unlink()
        path.mkdir()
        result = pipeline(*command, "--json")
        assert (result.exit_code, result.error[0]) == (1, "StorageReadOnly")
        assert str(path) in result.error[1]
        path.rmdir()
