"""A file of SQL into a database: any length, little memory, all of it or nothing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.clock import ManualClock
from coinswarm.d1 import ingest as module
from coinswarm.d1.ingest import Ingested, ingest, statements
from coinswarm.d1.splitter import split
from coinswarm.errors import DatabaseUnavailable, SqlError, StorageLocked
from coinswarm.storage import connect

fragments = st.sampled_from(
    [
        "SELECT 1",
        ";",
        "\n",
        "'a;b'",
        "''",
        "-- c;\n",
        "/* d; */",
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN",
        "END",
        " ",
        "'",
    ]
)


def run(path: Path, text: str, *, stop_after: int | None = None) -> Ingested:
    asked = iter(range(1_000_000))
    return ingest(
        path,
        statements(io.BytesIO(text.encode())),
        clock=ManualClock(),
        stop=lambda: stop_after is not None and next(asked) >= stop_after,
    )


def all_rows(path: Path) -> list[tuple[object, ...]]:
    with closing(connect(path)) as connection:
        return connection.execute("SELECT v FROM t ORDER BY rowid").fetchall()


class Dripping(io.BytesIO):
    """A file that gives a byte at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1)


@given(st.lists(fragments, max_size=20).map("".join))
def test_a_file_read_in_pieces_has_the_statements_of_its_text(text: str) -> None:
    assert list(statements(Dripping(text.encode()))) == split(text)


def test_characters_may_lie_across_two_pieces() -> None:
    assert list(statements(Dripping("\ufeffSELECT 'zwölf €';".encode()))) == ["SELECT 'zwölf €';"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SQLite format 3\0 and so on", "SQLite database, not SQL text"),
        (b"SELECT '\xff';", "not UTF-8"),
        (b"SELECT '" + b"x" * 2_100_000 + b"';", "statement too long"),
    ],
)
def test_a_file_that_is_no_sql_text_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(SqlError, match=message):
        list(statements(io.BytesIO(data)))


def test_it_reports_what_it_did(tmp_path: Path) -> None:
    done = run(
        tmp_path / "a.sqlite", "CREATE TABLE t (v UNIQUE); INSERT INTO t VALUES (1), (2); INSERT INTO t VALUES (3);"
    )
    assert done.queries == 3
    meta = done.result.meta
    assert (meta.changes, meta.last_row_id, meta.changed_db) == (3, 3, True)
    assert meta.rows_written >= 6
    assert meta.size_after > 0


def test_a_statement_that_comes_again_is_counted_again(tmp_path: Path) -> None:
    done = run(tmp_path / "a.sqlite", "CREATE TABLE t (v);" + "INSERT INTO t VALUES (1);" * 5)
    assert done.result.meta.changes == 5
    assert (
        done.result.meta.rows_written - run(tmp_path / "b.sqlite", "CREATE TABLE t (v);").result.meta.rows_written == 5
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("INSERT INTO nope VALUES (1);", "no such table: nope: SQLITE_ERROR"),
        ("INSERT INTO t VALUES (1", "incomplete input: SQLITE_ERROR"),
        ("BEGIN TRANSACTION;", "To execute a transaction"),
        ("INSERT INTO t VALUES ('" + "x" * 100_000 + "');", "statement too long"),
        ("ATTACH 'x' AS y;", "not authorized: SQLITE_AUTH"),
        (
            "CREATE TABLE c (p REFERENCES t (v)); PRAGMA defer_foreign_keys=TRUE; INSERT INTO c VALUES (9);",
            "foreign key|FOREIGN KEY",
        ),
    ],
)
def test_a_file_that_fails_leaves_the_database_as_it_was(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.sqlite"
    run(path, "CREATE TABLE t (v PRIMARY KEY); INSERT INTO t VALUES (1);")
    with pytest.raises(SqlError, match=message):
        run(path, "INSERT INTO t VALUES (2); DELETE FROM t WHERE v = 1;" + text)
    assert all_rows(path) == [(1,)]
    run(path, "INSERT INTO t VALUES (3);")
    assert all_rows(path) == [(1,), (3,)]


def test_it_can_be_stopped_and_then_nothing_has_happened(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    run(path, "CREATE TABLE t (v);")
    with pytest.raises(DatabaseUnavailable, match="as it was"):
        run(path, "INSERT INTO t VALUES (1);" * 10, stop_after=5)
    assert all_rows(path) == []


def test_a_database_that_another_process_holds_is_said_to_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.01)
    path = tmp_path / "a.sqlite"
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageLocked):
            run(path, "CREATE TABLE t (v);")


def test_killed_in_the_middle_it_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    run(path, "CREATE TABLE t (v); INSERT INTO t VALUES (0);")
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from coinswarm.clock import SystemClock
        from coinswarm.d1.ingest import ingest

        def endless():
            for number in range(10_000_000):
                if number == 20_000:
                    print("in the middle", flush=True)
                yield f"INSERT INTO t VALUES ({number} || '{'x' * 500}')"

        ingest(Path(sys.argv[1]), endless(), clock=SystemClock(), stop=lambda: False)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        os.kill(process.pid, signal.SIGKILL)
    assert path.with_name("a.sqlite-wal").stat().st_size > 1_000_000  # it had begun to write
    assert all_rows(path) == [(0,)]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """60 MB, in a process of its own whose largest memory the system tells."""
    program = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        from coinswarm.clock import SystemClock
        from coinswarm.d1.ingest import ingest, statements

        folder = Path(sys.argv[1])
        with (folder / "in.sql").open("rb") as file:
            done = ingest(folder / "a.sqlite", statements(file), clock=SystemClock(), stop=lambda: False)
        print(done.queries, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        """
    )

    def rows(count: int) -> Iterator[str]:
        yield "CREATE TABLE t (v);\n"
        for number in range(count):
            yield f"INSERT INTO t VALUES ('{number:08}{'x' * 1900}');\n"

    peaks = []
    for count in (1_000, 30_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        with (folder / "in.sql").open("w") as file:
            file.writelines(rows(count))
        ran = subprocess.run(
            [sys.executable, "-c", program, str(folder)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent.parent,
        )
        queries, peak = map(int, ran.stdout.split())
        assert queries == count + 1
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 20_000, peaks  # KiB
