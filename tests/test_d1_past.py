"""`d1 time-travel` and `d1 backup`: back to a state, forth again, and a copy while others write."""

from __future__ import annotations

import re
import threading
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coinswarm.d1.backup import backup
from coinswarm.errors import StorageCorrupt, StorageError, UsageError
from coinswarm.interrupt import Interrupted
from coinswarm.storage import connect, transaction
from tests.support.command_line import CommandLine
from tests.support.local_cloudflare import TOKEN, local_cloudflare

BOOKMARK = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}")


def sql(coinswarm: CommandLine, text: str) -> list[Any]:
    result = coinswarm("d1", "execute", "--command", text, "--json")
    assert result.exit_code == 0, result
    return [next(iter(row.values())) for row in result.json[-1]["results"]]


def travel(coinswarm: CommandLine, *arguments: str) -> dict[str, Any]:
    result = coinswarm("d1", "time-travel", *arguments, "--json")
    assert result.exit_code == 0, result
    document: dict[str, Any] = result.json
    return document


@pytest.fixture
def numbers(coinswarm: CommandLine) -> CommandLine:
    sql(coinswarm, "CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    return coinswarm


# --- time travel ---


def test_a_restore_and_the_restore_of_the_restore(numbers: CommandLine) -> None:
    one = travel(numbers, "info")["bookmark"]
    assert BOOKMARK.fullmatch(one)
    sql(numbers, "INSERT INTO t VALUES (2); CREATE TABLE other (x)")
    back = travel(numbers, "restore", "--bookmark", one)
    assert sql(numbers, "SELECT v FROM t ORDER BY v") == [1]
    forth = travel(numbers, "restore", "DB", "--bookmark", back["previous_bookmark"])
    assert sql(numbers, "SELECT v FROM t ORDER BY v") == [1, 2]
    assert sql(numbers, "SELECT name FROM sqlite_schema WHERE name = 'other'") == ["other"]
    travel(numbers, "restore", "--bookmark", forth["previous_bookmark"])
    assert sql(numbers, "SELECT v FROM t ORDER BY v") == [1]


def test_the_words_are_wranglers_and_the_next_step_undoes(numbers: CommandLine) -> None:
    info = numbers("d1", "time-travel", "info")
    found = BOOKMARK.search(info.out)
    assert found is not None
    assert info.out.startswith(f"The current bookmark is '{found[0]}'\n1 restore point, the oldest of ")
    assert info.out.endswith("on disk; kept for 30 days.\n")
    assert f"coinswarm d1 time-travel restore coinswarm-evolution --bookmark={found[0]}" in info.err
    sql(numbers, "INSERT INTO t VALUES (2)")
    restored = numbers("d1", "time-travel", "restore", "--bookmark", found[0])
    assert restored.out == f"Database coinswarm-evolution restored back to bookmark {found[0]}\n"
    (undo,) = re.findall(r"→ coinswarm (.*)", restored.err)
    assert numbers(*undo.split()).exit_code == 0
    assert sql(numbers, "SELECT v FROM t ORDER BY v") == [1, 2]


def test_a_timestamp_leads_to_the_last_point_by_then(numbers: CommandLine, hasty_clock: Any) -> None:
    one = travel(numbers, "info")["bookmark"]
    hasty_clock.sleep(3600)
    between = hasty_clock.now_ms() // 1000
    hasty_clock.sleep(3600)
    sql(numbers, "INSERT INTO t VALUES (2)")
    two = travel(numbers, "info")["bookmark"]
    assert travel(numbers, "info", "--timestamp", str(between))["bookmark"] == one
    assert travel(numbers, "info")["bookmark"] == two
    assert travel(numbers, "info", "--timestamp", str(hasty_clock.now_ms() // 1000))["bookmark"] == two
    travel(numbers, "restore", "--timestamp", str(between))
    assert sql(numbers, "SELECT v FROM t") == [1]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["info", "--timestamp", "yesterday"], 2, "Invalid timestamp 'yesterday'."),
        (
            ["info", "--timestamp", "2999-01-01"],
            2,
            "Invalid timestamp '2999-01-01'. Please provide a timestamp in the past",
        ),
        (
            ["info", "--timestamp", "2020-01-01"],
            2,
            "Invalid timestamp '2020-01-01'. Please provide a timestamp within the",
        ),
        (["restore"], 2, "say which state to restore"),
        (["restore", "--bookmark", "x", "--timestamp", "y"], 2, "say which state to restore"),
        (["restore", "--bookmark", "x"], 1, "Invalid property: bookmark => 'x' is not a bookmark"),
        (["restore", "--bookmark", "00000009-00000009-00000009-" + "0" * 32], 1, "There is no restore point"),
        (["info", "nope"], 1, "Couldn't find a D1 DB with the name or binding 'nope'"),
        (["info", "--local", "--remote"], 2, "--local and --remote exclude each other"),
    ],
)
def test_what_leads_nowhere_is_told_and_changes_nothing(
    numbers: CommandLine, flags: list[str], code: int, message: str
) -> None:
    result = numbers("d1", "time-travel", *flags, "--json")
    assert result.exit_code == code
    assert result.error[1].startswith(message)
    assert sql(numbers, "SELECT v FROM t") == [1]


def test_a_moment_before_the_first_point_is_told_with_what_there_is(numbers: CommandLine, hasty_clock: Any) -> None:
    before = str(hasty_clock.now_ms() // 1000)
    hasty_clock.sleep(60)
    none = numbers("d1", "time-travel", "info", "--timestamp", before, "--json")
    assert none.error[2] == "There is none yet. Take one now: coinswarm d1 time-travel info coinswarm-evolution"
    travel(numbers, "info")
    one = numbers("d1", "time-travel", "info", "--timestamp", before, "--json")
    assert str(one.error[2]).startswith("The oldest is of 20")


def test_without_a_database_nothing_is_made(coinswarm: CommandLine, tmp_path: Path) -> None:
    for command in (["time-travel", "info"], ["backup", "--output", "x.sqlite"]):
        result = coinswarm("d1", *command, "--json")
        assert (result.exit_code, result.error[0]) == (1, "StorageError")
        assert "has no local state yet" in result.error[1]
    assert list(tmp_path.iterdir()) == []


def test_how_long_points_are_kept_is_configured(numbers: CommandLine, tmp_path: Path, hasty_clock: Any) -> None:
    (tmp_path / "coinswarm.toml").write_text("[time_travel]\ndays = 3\n")
    first = travel(numbers, "info")
    assert first["window_days"] == 3
    hasty_clock.sleep(4 * 86_400)
    sql(numbers, "INSERT INTO t VALUES (2)")
    assert travel(numbers, "info")["points"] == 1
    gone = numbers("d1", "time-travel", "restore", "--bookmark", first["bookmark"], "--json")
    assert gone.error[1].endswith("they are kept for 3 days")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_travel = 3", 'The field "time_travel" should be an object but got 3.'),
        ("[time_travel]\ndays = 0", "time_travel.days must be a whole number above 0, got 0"),
        ("[time_travel]\ndays = 'x'", "time_travel.days must be a whole number above 0"),
    ],
)
def test_a_window_that_is_none_is_a_fault(numbers: CommandLine, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "coinswarm.toml").write_text(text)
    result = numbers("d1", "time-travel", "info")
    assert result.exit_code == 1
    assert message in result.err


def test_a_restore_point_that_is_damaged_restores_nothing(numbers: CommandLine, tmp_path: Path) -> None:
    one = travel(numbers, "info")["bookmark"]
    sql(numbers, "INSERT INTO t VALUES (2)")
    (points,) = (tmp_path / ".wrangler/state/v3/coinswarm/time-travel").glob("*.sqlite")
    with closing(connect(points)) as kept:
        kept.execute("UPDATE pieces SET data = ?", (zlib.compress(b"something else"),))
    result = numbers("d1", "time-travel", "restore", "--bookmark", one, "--json")
    assert (result.exit_code, result.error[0]) == (1, "StorageCorrupt")
    assert sql(numbers, "SELECT v FROM t ORDER BY v") == [1, 2]


def test_the_same_commands_on_cloudflare(coinswarm: CommandLine, tmp_path: Path) -> None:
    with local_cloudflare(tmp_path / "there") as there:
        coinswarm.environment = {
            "CLOUDFLARE_API_BASE_URL": there.url,
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": there.account.id,
        }
        flags = ["--remote", "--yes"]
        there_sql = ["d1", "execute", "--remote", "--yes", "--json", "--command"]
        assert coinswarm(*there_sql, "CREATE TABLE t (v); INSERT INTO t VALUES (1)").exit_code == 0
        one = travel(coinswarm, "info", "--remote")
        assert "points" not in one
        assert coinswarm(*there_sql, "INSERT INTO t VALUES (2)").exit_code == 0
        back = travel(coinswarm, "restore", "--bookmark", one["bookmark"], *flags)
        assert coinswarm(*there_sql, "SELECT v FROM t").json[0]["results"] == [{"v": 1}]
        travel(coinswarm, "restore", "--bookmark", back["previous_bookmark"], *flags)
        assert coinswarm(*there_sql, "SELECT v FROM t").json[0]["results"] == [{"v": 1}, {"v": 2}]
        wrong = coinswarm("d1", "time-travel", "restore", "--bookmark", "x", *flags, "--json")
        assert (wrong.exit_code, wrong.error[0]) == (1, "InvalidRequest")
        assert TOKEN not in wrong.out


# --- backup ---


def test_a_backup_holds_one_state_while_another_writes(tmp_path: Path) -> None:
    source, target = tmp_path / "source.sqlite", tmp_path / "copy.sqlite"
    with closing(connect(source)) as database:
        database.execute("CREATE TABLE a (n INTEGER, filler TEXT)")
        database.execute("CREATE TABLE b (n INTEGER)")
        with transaction(database):
            database.executemany("INSERT INTO a VALUES (?, ?)", ((n, "x" * 3000) for n in range(12_000)))
            database.executemany("INSERT INTO b VALUES (?)", ((n,) for n in range(12_000)))
    written = threading.Event()

    def write(_done: int, _total: int) -> None:
        if not written.is_set():
            written.set()
            with closing(connect(source, busy_timeout=0.0)) as other, transaction(other):
                other.execute("DELETE FROM a WHERE n % 2")
                other.execute("DELETE FROM b WHERE n % 2")

    backup(source, target, told=write)
    assert written.is_set()
    with closing(connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM a").fetchone() == (12_000,)
        assert copy.execute("SELECT count(*) FROM b").fetchone() == (12_000,)
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_command_copies_and_refuses_to_replace(numbers: CommandLine, tmp_path: Path) -> None:
    first = numbers("d1", "backup", "--output", "copy.sqlite", "--json")
    assert first.json == {
        "database": "coinswarm-evolution",
        "path": "copy.sqlite",
        "bytes": (tmp_path / "copy.sqlite").stat().st_size,
    }
    assert (tmp_path / "copy.sqlite").stat().st_mode & 0o777 == 0o600
    sql(numbers, "INSERT INTO t VALUES (2)")
    before = (tmp_path / "copy.sqlite").read_bytes()
    again = numbers("d1", "backup", "DB", "--output", "copy.sqlite", "--json")
    assert (again.exit_code, again.error[:2]) == (2, ("UsageError", "copy.sqlite exists; it was not replaced"))
    assert (tmp_path / "copy.sqlite").read_bytes() == before
    assert numbers("d1", "backup", "--output", "copy.sqlite", "--force").exit_code == 0
    with closing(connect(tmp_path / "copy.sqlite")) as copy:
        assert copy.execute("SELECT v FROM t ORDER BY v").fetchall() == [(1,), (2,)]


def _source(folder: Path) -> Path:
    with closing(connect(folder / "source.sqlite")) as database:
        database.execute("CREATE TABLE t (v)")
    return folder / "source.sqlite"


@pytest.mark.parametrize("where", ["folder", "no/such/copy.sqlite", "source.sqlite"])
def test_a_target_that_cannot_be_is_refused(tmp_path: Path, where: str) -> None:
    source = _source(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError):
        backup(source, tmp_path / where, force=True)


def test_a_backup_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    source = _source(tmp_path)
    with pytest.raises(Interrupted):
        backup(source, tmp_path / "copy.sqlite", stop=lambda: True)
    assert not [path for path in tmp_path.iterdir() if "source" not in path.name]


def test_a_damaged_database_is_not_taken_for_a_backup(tmp_path: Path) -> None:
    source = tmp_path / "source.sqlite"
    with closing(connect(source)) as database:
        database.execute("CREATE TABLE t (v)")
        database.executemany("INSERT INTO t VALUES (?)", (("x" * 500,) for _ in range(2000)))
        database.execute("PRAGMA journal_mode=DELETE")
    with source.open("r+b") as file:
        file.seek(4096 * 9)
        file.write(b"\xa5" * 8192)
    with pytest.raises(StorageCorrupt, match="damaged"):
        backup(source, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()


def test_what_is_no_database_has_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        backup(tmp_path / "absent.sqlite", tmp_path / "copy.sqlite")
    assert list(tmp_path.iterdir()) == []
