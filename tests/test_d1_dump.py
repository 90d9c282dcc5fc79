"""A database as SQL text: the form of `wrangler d1 export`, and nothing lost on the way there and back."""

from __future__ import annotations

import csv
import io
import math
import re
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinswarm.clock import ManualClock
from coinswarm.d1.dump import dump, literal
from coinswarm.d1.ingest import ingest, statements
from coinswarm.d1.path import database_path
from coinswarm.errors import SqlError
from coinswarm.storage import connect
from tests.support.wrangler import wrangler

any_value = (
    st.none()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\n\r\\n'\"(;)"))
    | st.binary()
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "source.sqlite")) as opened:
        yield opened


def text_of(connection: sqlite3.Connection, **options: Any) -> str:
    return "\n".join(dump(connection, **options)) + "\n"


def reloaded(text: str) -> sqlite3.Connection:
    """The text read by SQLite's own means."""
    copy = sqlite3.connect(":memory:")
    copy.executescript(text)
    return copy


def contents(connection: sqlite3.Connection, table: str = "t") -> list[tuple[Any, ...]]:
    """Values with their storage classes, for which 1 and 1.0 are not the same."""
    connection.text_factory = bytes
    return [
        tuple((type(value), value) for value in row)
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(any_value, min_size=1, max_size=8))
def test_every_value_comes_back_as_it_was(values: list[Any]) -> None:
    with closing(sqlite3.connect(":memory:")) as source:
        source.execute("CREATE TABLE t (v)")
        source.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
        with closing(reloaded(text_of(source))) as copy:
            assert contents(copy) == contents(source)


KRAKEN = Path(__file__).parent.parent.parent / "shared" / "data" / "market" / "kraken" / "XBTUSD_60.csv"
prices = st.tuples(st.integers(1, 10**12), st.integers(0, 10)).map(lambda v: v[0] / 10 ** v[1])
"""As exchanges quote them: up to ten decimals."""


def misread(values: list[float]) -> list[tuple[float, float]]:
    """What SQLite makes of the literals, where that is another double."""
    with closing(sqlite3.connect(":memory:")) as database:
        read = [database.execute(f"SELECT {literal(value)}").fetchone()[0] for value in values]
    return [pair for pair in zip(values, read, strict=True) if struct.pack("d", pair[0]) != struct.pack("d", pair[1])]


@settings(max_examples=300, deadline=None)
@given(st.lists(prices | st.builds(lambda a, b: a * b, prices, prices) | st.floats(allow_nan=False), min_size=20))
def test_every_double_is_written_so_that_sqlite_reads_it_exactly(values: list[float]) -> None:
    assert misread(values) == []


def test_doubles_whose_shortest_digits_sqlite_misreads_come_back_too() -> None:
    found = [34.430760480000004, 3.57517741, 0.39271702, 7.68214321, 0.53475859988294, 72840.144859]
    edges = [
        5e-324,
        1.6017483371304046e-295,
        2.2250738585072014e-308,
        2.225073858507201e-308,
        1.7976931348623157e308,
    ]
    values = [sign * value for sign in (1, -1) for value in (0.0, *found, *edges, float(2**60), 1e22, 0.1)]
    assert misread(values) == []
    assert [literal(value) for value in (0.0, -0.0, 0.1, 122.0, 1e22)] == ["0.0", "-0.0", "0.1", "122.0", "1e+22"]


@given(prices | st.floats(min_value=1e-280, allow_infinity=False))
def test_a_double_is_written_with_room_for_what_other_sqlites_round_otherwise(value: float) -> None:
    off = abs(Fraction(literal(value)) - Fraction(value))
    assert off <= Fraction(15, 32) * Fraction(math.ulp(value))


@pytest.mark.slow
@pytest.mark.real_data
def test_prices_and_volumes_of_seven_years_come_back_to_the_bit() -> None:
    if not KRAKEN.exists():
        pytest.skip(f"{KRAKEN} is not here")
    candles = csv.reader(KRAKEN.read_text().splitlines())
    values = [float(field) for candle in candles for field in (*candle[1:6], float(candle[4]) * float(candle[5]))]
    with closing(sqlite3.connect(":memory:")) as source:
        source.execute("CREATE TABLE t (v REAL)")
        source.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
        with closing(reloaded(text_of(source))) as copy:
            found = [value for (value,) in copy.execute("SELECT v FROM t ORDER BY rowid")]
    assert [pair for pair in zip(values, found, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("end", ["", " -- newest", " -- a; /* b", " /* open", " /* closed */", " -- 'x", "\n--\n--"])
def test_what_ends_in_a_comment_can_be_loaded_again(connection: sqlite3.Connection, end: str) -> None:
    for sql in (
        "CREATE TABLE t (a)",
        'CREATE TABLE "quoted" (a)',
        "CREATE INDEX i ON t (a)",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE VIEW w AS SELECT a FROM v",
    ):
        connection.execute(sql + end)
    text = text_of(connection)
    names = "SELECT type, name FROM sqlite_schema ORDER BY name"
    with closing(reloaded(text)) as copy:
        assert copy.execute(names).fetchall() == connection.execute(names).fetchall()
        assert text_of(copy) == text
    assert [sql for sql in statements(io.BytesIO(text.encode())) if not sql.endswith(";")] == []
    assert len(list(statements(io.BytesIO(text.encode())))) == 7


def test_text_that_is_not_utf8_comes_back_byte_for_byte(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (v)")
    connection.execute("INSERT INTO t VALUES (CAST(X'61FF62' AS TEXT))")
    with closing(reloaded(text_of(connection))) as copy:
        assert copy.execute("SELECT typeof(v), hex(v) FROM t").fetchone() == ("text", "61FF62")


def test_the_text_has_cloudflares_form(connection: sqlite3.Connection) -> None:
    connection.executescript(
        """
        CREATE TABLE "quoted" ("a b" INTEGER PRIMARY KEY AUTOINCREMENT, t TEXT, b BLOB, double TEXT AS (t || t) STORED);
        CREATE TABLE plain (x);
        CREATE INDEX i ON "quoted" (t);
        CREATE VIEW w AS SELECT * FROM plain;
        CREATE TRIGGER r AFTER INSERT ON plain BEGIN SELECT 1; END;
        INSERT INTO "quoted" (t, b) VALUES ('it''s' || char(10) || 'two', X'00FF');
        INSERT INTO plain VALUES (NULL);
        """
    )
    assert text_of(connection).splitlines() == [
        "PRAGMA defer_foreign_keys=TRUE;",
        (
            'CREATE TABLE IF NOT EXISTS "quoted" '
            '("a b" INTEGER PRIMARY KEY AUTOINCREMENT, t TEXT, b BLOB, double TEXT AS (t || t) STORED);'
        ),
        """INSERT INTO "quoted" ("a b","t","b") VALUES(1,replace('it''s\\ntwo','\\n',char(10)),X'00ff');""",
        "CREATE TABLE plain (x);",
        'INSERT INTO "plain" ("x") VALUES(NULL);',
        "DELETE FROM sqlite_sequence;",
        'INSERT INTO "sqlite_sequence" ("name","seq") VALUES(\'quoted\',1);',
        'CREATE INDEX i ON "quoted" (t);',
        "CREATE TRIGGER r AFTER INSERT ON plain BEGIN SELECT 1; END;",
        "CREATE VIEW w AS SELECT * FROM plain;",
    ]


def test_a_trigger_on_a_view_comes_after_the_view_it_needs(connection: sqlite3.Connection) -> None:
    connection.executescript(
        """
        CREATE TABLE t (v);
        CREATE VIEW w AS SELECT v FROM t;
        CREATE TRIGGER r INSTEAD OF INSERT ON w BEGIN INSERT INTO t VALUES (NEW.v); END;
        """
    )
    with closing(reloaded(text_of(connection))) as copy:
        copy.execute("INSERT INTO w VALUES (7)")
        assert copy.execute("SELECT v FROM t").fetchall() == [(7,)]


def test_what_cloudflare_and_sqlite_keep_for_themselves_stays_out(connection: sqlite3.Connection) -> None:
    connection.executescript("CREATE TABLE _cf_KV (k); CREATE TABLE t (v); CREATE INDEX i ON t (v); ANALYZE;")
    text = text_of(connection)
    assert "_cf_KV" not in text
    assert "ANALYZE sqlite_schema;" in text
    reloaded(text).close()


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        ({"schema": False}, ["INSERT INTO"], ["CREATE"]),
        ({"data": False}, ["CREATE TABLE a", "CREATE INDEX ai"], ["INSERT"]),
        ({"tables": ["a"]}, ["CREATE TABLE a", 'INSERT INTO "a"', "CREATE INDEX ai"], ["bi", '"b"', "TABLE b"]),
    ],
)
def test_a_part_can_be_asked_for(
    connection: sqlite3.Connection, options: dict[str, Any], present: list[str], absent: list[str]
) -> None:
    connection.executescript(
        "CREATE TABLE a (v); CREATE TABLE b (v); INSERT INTO a VALUES (1); INSERT INTO b VALUES (2);"
        "CREATE INDEX ai ON a (v); CREATE INDEX bi ON b (v);"
    )
    text = text_of(connection, **options)
    assert [part for part in present if part not in text] == []
    assert [part for part in absent if part in text] == []


def test_virtual_tables_are_refused_in_cloudflares_words(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE VIRTUAL TABLE f USING fts5(x)")
    with pytest.raises(
        SqlError, match=re.escape("D1 Export error: cannot export databases with Virtual Tables (fts5)")
    ):
        text_of(connection)


def test_our_own_import_takes_what_the_export_wrote(connection: sqlite3.Connection, tmp_path: Path) -> None:
    connection.executescript(
        """
        CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
        CREATE TABLE child (p INTEGER REFERENCES parent (id), t TEXT);
        CREATE TRIGGER r AFTER INSERT ON child BEGIN SELECT CASE WHEN 1 THEN 2 END; END;
        INSERT INTO parent (v) VALUES (X'00'), (1.5), ('a;' || char(10) || 'b');
        INSERT INTO child VALUES (3, 'x');
        """
    )
    text = text_of(connection)
    # The child before its parent: only because the file defers the check does this load.
    lines = text.splitlines(keepends=True)
    lines.sort(key=lambda line: 'INSERT INTO "parent"' in line)
    target = tmp_path / "target.sqlite"
    done = ingest(target, statements(io.BytesIO("".join(lines).encode())), clock=ManualClock(), stop=lambda: False)
    assert done.queries == len(lines)
    with closing(connect(target)) as copy:
        assert contents(copy, "parent") == contents(connection, "parent")
        assert contents(copy, "child") == contents(connection, "child")


@pytest.mark.wrangler
@pytest.mark.slow
def test_wrangler_exports_and_loads_the_same(tmp_path: Path) -> None:
    """Its own local export of the same file differs in nothing but the column names, which newer versions name too."""
    (tmp_path / "wrangler.toml").write_text(
        'name = "w"\ncompatibility_date = "2024-09-01"\n'
        '[[d1_databases]]\nbinding = "DB"\ndatabase_name = "a"\ndatabase_id = "11111111-1111-1111-1111-111111111111"\n'
        '[[d1_databases]]\nbinding = "B"\ndatabase_name = "b"\ndatabase_id = "22222222-2222-2222-2222-222222222222"\n'
    )
    state = tmp_path / ".wrangler" / "state"
    with closing(connect(database_path("11111111-1111-1111-1111-111111111111", state))) as source:
        source.executescript(
            """
            CREATE TABLE "q" (id INTEGER PRIMARY KEY AUTOINCREMENT, t TEXT, b BLOB, r REAL);
            INSERT INTO "q" (t, b, r) VALUES ('it''s' || char(10) || 'zwölf', X'00ff', 1.5), (NULL, NULL, NULL);
            CREATE INDEX i ON "q" (t);
            CREATE VIEW w AS SELECT * FROM "q";
            """
        )
        ours = text_of(source)
    exported = wrangler("d1", "export", "a", "--local", "--output", "theirs.sql", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "theirs.sql").read_text() == re.sub(r'(INSERT INTO "\w+") \([^)]*\)', r"\1", ours).rstrip("\n")
    (tmp_path / "ours.sql").write_text(ours)
    loaded = wrangler("d1", "execute", "b", "--local", "--file", "ours.sql", cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    with closing(connect(database_path("22222222-2222-2222-2222-222222222222", state))) as copy:
        assert text_of(copy) == ours
