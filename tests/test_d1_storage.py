"""A database file that is locked, full, read-only, damaged or gone: named, nothing altered, usable afterwards."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import Statement
from coinswarm.errors import StorageCorrupt, StorageError, StorageLocked, StorageReadOnly
from tests.support.databases import open_database, value

ROOT = Path(__file__).parent.parent


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    with closing(open_database(tmp_path / "d1.sqlite", busy_timeout=0.05)) as opened:
        opened.execute("CREATE TABLE t (a PRIMARY KEY); INSERT INTO t VALUES (1);")
        yield opened


def in_another_process(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_writer_waits_and_then_says_who_is_in_the_way(database: LocalDatabase) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageLocked, match=r"d1\.sqlite is locked by another process") as caught:
        database.batch([Statement("INSERT INTO t VALUES (2)")])
    assert caught.value.retryable
    assert value(database, "SELECT count(*) FROM t") == 1  # readers do not wait in WAL
    other.execute("ROLLBACK")
    other.close()
    database.batch([Statement("INSERT INTO t VALUES (2)")])


def test_a_file_that_cannot_even_be_opened_because_it_is_locked_opens_later(tmp_path: Path) -> None:
    path = tmp_path / "d1.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE t (a)")
    other.execute("BEGIN EXCLUSIVE")
    with closing(open_database(path, busy_timeout=0.05)) as database:
        with pytest.raises(StorageLocked):
            database.execute("SELECT * FROM t")
        other.execute("COMMIT")
        assert database.execute("SELECT * FROM t")[0].rows == []
    other.close()


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "d1.sqlite"
    path.write_bytes(content)
    with closing(open_database(path)) as database:
        for _ in range(2):
            with pytest.raises(StorageCorrupt, match=r"d1\.sqlite is damaged") as caught:
                database.execute("INSERT INTO t VALUES (1)")
        assert caught.value.hint is not None
        assert path.read_bytes() == content
        path.unlink()
        assert value(database, "SELECT 1") == 1


def test_a_damaged_page_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "d1.sqlite"
    with closing(open_database(path)) as database:
        database.execute("CREATE TABLE t (a PRIMARY KEY)")
        database.batch([Statement("INSERT INTO t VALUES (?)", ["x" * 900 + str(n)]) for n in range(100)])
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xab" * (len(content) - 8192)
    path.write_bytes(content)
    with closing(open_database(path)) as database:
        with pytest.raises(StorageCorrupt, match="damaged: database disk image is malformed"):
            database.execute("SELECT sum(length(a)) FROM t NOT INDEXED")
        assert value(database, "SELECT 1") == 1


def test_a_full_disk_writes_nothing_and_leaves_the_rest_readable(tmp_path: Path) -> None:
    path = tmp_path / "d1.sqlite"
    with closing(open_database(path)) as database:
        database.execute("CREATE TABLE t (a); INSERT INTO t VALUES ('before');")
    done = in_another_process(
        """
import resource, signal, sys
from pathlib import Path
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import Statement
from coinswarm.errors import StorageFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = LocalDatabase(Path(sys.argv[1]), name="prices", id="0a1b")
database.execute("SELECT 1")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    database.batch([Statement("INSERT INTO t VALUES (?)", ["x" * 100_000]) for _ in range(5)])
except StorageFull as error:
    print(type(error).__name__, error.hint is not None)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(database.execute("SELECT * FROM t")[0].rows)
database.batch([Statement("INSERT INTO t VALUES ('after')")])
database.close()
""",
        path,
    )
    assert done.stdout.splitlines() == ["StorageFull True", "[('before',)]"], done.stderr
    with closing(open_database(path)) as database:
        assert database.execute("SELECT a FROM t; PRAGMA quick_check;")[0].rows == [("before",), ("after",)]


READ_ONLY = """
import os, sys
from pathlib import Path
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import Statement
from coinswarm.errors import StorageError
import encodings.idna
folder, name = Path(sys.argv[1]), sys.argv[2]
if os.geteuid() == 0:  # permissions do not bind root: go where only this folder exists, as nobody
    try:
        os.chroot(folder)
    except PermissionError:
        sys.exit(77)
    folder = Path("/")
    os.setgid(65534)
    os.setuid(65534)
database = LocalDatabase(folder / name, name="prices", id="0a1b")
for _ in range(2):
    try:
        print(database.batch([Statement("INSERT INTO t VALUES (2)")]))
    except StorageError as error:
        print(type(error).__name__, error.message, error.hint)
"""


@pytest.mark.parametrize("name", ["d1.sqlite", "new/d1.sqlite"])
def test_a_read_only_folder_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "state"
    with closing(open_database(folder / "d1.sqlite")) as database:
        database.execute("CREATE TABLE t (a)")
    before = (folder / "d1.sqlite").read_bytes()
    (folder / "d1.sqlite").chmod(0o444)
    folder.chmod(0o555)
    done = in_another_process(READ_ONLY, folder, name)
    folder.chmod(0o755)
    if done.returncode == 77:
        pytest.skip("root without the right to chroot: no folder is read-only for this user")
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert line.startswith("StorageReadOnly ")
        assert "cannot be" in line
        assert "--persist-to" in line
    assert (folder / "d1.sqlite").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["d1.sqlite"]


def test_a_folder_in_the_files_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "d1.sqlite").mkdir()
    with (
        closing(open_database(tmp_path / "d1.sqlite")) as database,
        pytest.raises(StorageReadOnly, match=r"d1\.sqlite"),
    ):
        database.execute("SELECT 1")


def test_a_missing_file_is_not_made_where_none_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "d1.sqlite"
    with closing(open_database(path, create=False)) as database:
        with pytest.raises(StorageError, match=r"d1\.sqlite does not exist"):
            database.execute("SELECT 1")
        assert not path.exists()
        sqlite3.connect(path).close()
        path.touch()
        assert value(database, "SELECT 1") == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_deleted_under_our_feet_is_noticed_before_rows_go_nowhere(
    database: LocalDatabase, replaced: bool
) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database.path}{suffix}").unlink()
    if replaced:
        Path(database.path).write_bytes(b"")
    with pytest.raises(StorageError, match="was deleted or replaced while it was open") as caught:
        database.batch([Statement("INSERT INTO t VALUES (2)")])
    assert caught.value.hint is not None
    database.execute("CREATE TABLE t (a); INSERT INTO t VALUES (3);")
    assert database.execute("SELECT a FROM t")[0].rows == [(3,)]


def test_what_a_call_returned_survives_the_death_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "d1.sqlite"
    done = in_another_process(
        """
import os, signal, sys
from pathlib import Path
from coinswarm.d1.local import LocalDatabase
database = LocalDatabase(Path(sys.argv[1]), name="prices", id="0a1b")
database.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
os.kill(os.getpid(), signal.SIGKILL)
""",
        path,
    )
    assert done.returncode == -9
    with closing(open_database(path)) as database:
        assert database.execute("SELECT a FROM t")[0].rows == [(1,)]
