"""Small things that people meet in `coinswarm d1 …`: sizes, large files, questions, hints, and being stopped."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coinswarm.commands.run import STOPPED
from coinswarm.d1.reading import judge
from coinswarm.d1.schema import check_price_data
from coinswarm.d1.splitter import split
from coinswarm.errors import SchemaMismatch
from tests.support.command_line import CommandLine, running, wait_until
from tests.support.databases import ORIGINAL_TABLE, migrated, open_database
from tests.support.local_cloudflare import TOKEN, LocalCloudflare, local_cloudflare
from tests.support.seed_system import LOCAL_TABLE, insert_rows, run_sql, seed_database

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@contextmanager
def cloudflare(coinswarm: CommandLine) -> Iterator[LocalCloudflare]:
    with local_cloudflare(coinswarm.directory / "there") as there:
        coinswarm.environment = {
            "CLOUDFLARE_API_BASE_URL": there.url,
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": there.account.id,
        }
        yield there


# --- sizes ---


def test_sizes_are_for_people_in_text_and_exact_in_json(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    assert re.search(r"file_size +\d+\.\d KB\n", coinswarm("d1", "info").out)
    assert re.search(r" \d+\.\d KB ", coinswarm("d1", "list").out)
    assert isinstance(coinswarm("d1", "list", "--json").json[0]["file_size"], int)


def test_a_size_that_the_list_does_not_tell_is_not_shown_as_nought(coinswarm: CommandLine) -> None:
    with cloudflare(coinswarm) as there:
        (row,) = coinswarm("d1", "list", "--remote", "--json").json
        human = coinswarm("d1", "list", "--remote")
    assert row["file_size"] is None or row["file_size"] > 0
    assert " 0 B" not in human.out
    assert there.account.id not in human.out


# --- large files here ---


def _large(path: Path, *, end: str = "") -> int:
    lines = [f"INSERT INTO t VALUES ({n}, '{'x' * 90}');" for n in range(12_000)]
    path.write_text("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT);\n" + "\n".join(lines) + "\n" + end)
    return len(lines)


def test_a_large_file_is_run_statement_by_statement_and_told_in_sum(coinswarm: CommandLine, tmp_path: Path) -> None:
    count = _large(tmp_path / "large.sql")
    result = coinswarm("d1", "execute", "--file", "large.sql", "--json")
    assert (result.exit_code, result.json[0]["results"][0]["Total queries executed"]) == (0, count + 1)
    assert result.json[0]["meta"]["changes"] == count
    read = coinswarm("d1", "execute", "--command", "SELECT count(*) AS n FROM t", "--json")
    assert read.json[0]["results"] == [{"n": count}]


@pytest.mark.parametrize("size", ["small", "large"])
def test_of_a_file_that_fails_the_statement_is_named_and_nothing_of_it_stays(
    coinswarm: CommandLine, tmp_path: Path, size: str
) -> None:
    wrong = "INSERT INTO t\n  VALUES (1, 'again');\nSELECT 1;\n"
    if size == "large":
        number = _large(tmp_path / "a.sql", end=wrong) + 2
    else:
        (tmp_path / "a.sql").write_text(
            "CREATE TABLE t (n INTEGER PRIMARY KEY, x);\nINSERT INTO t VALUES (1, 2);\n" + wrong
        )
        number = 3
    result = coinswarm("d1", "execute", "--file", "a.sql", "--json")
    assert result.exit_code == 1
    kind, message, hint = result.error
    assert (kind, message) == (
        "SqlError",
        "UNIQUE constraint failed: t.n: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)",
    )
    of = " of 4" if size == "small" else ""
    assert hint == f"It is statement {number:,}{of}: INSERT INTO t VALUES (1, 'again');"
    assert coinswarm("d1", "execute", "--command", "SELECT * FROM t").exit_code == 1


# --- whether a remote statement is asked about ---

SCHEMA = ["CREATE TABLE t (a, b)", "CREATE VIEW v AS SELECT a FROM t", "CREATE INDEX i ON t (a)"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t",
        "select count(*) from v; VALUES (1); SELECT 2",
        "WITH x AS (SELECT a FROM t) SELECT * FROM x",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
        "EXPLAIN QUERY PLAN SELECT * FROM t",
        "PRAGMA table_info(t)",
        "SELECT 'DELETE FROM t; DROP TABLE t' -- INSERT INTO t\n",
        "SELECT json_extract('{}', '$')",
    ],
)
def test_sql_that_only_reads_is_known_for_it(sql: str) -> None:
    assert judge(split(sql), SCHEMA)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t",
        "SELECT 1; INSERT INTO t VALUES (1, 2)",
        "WITH x AS (SELECT 1) DELETE FROM t WHERE a IN (SELECT * FROM x)",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT 1, 2",
        "INSERT INTO t VALUES (1, 2) RETURNING *",
        "/* SELECT */ UPDATE t SET a = 1",
        "CREATE TABLE u (x)",
        "DROP TABLE t",
        "ALTER TABLE t RENAME TO u",
        "PRAGMA user_version = 3",
        "PRAGMA defer_foreign_keys = on",
        "REINDEX",
        "ANALYZE",
        "VACUUM",
        "ATTACH 'x' AS y",
        "BEGIN",
        "SELECT * FROM unknown_table",
        "SELEC 1",
    ],
)
def test_sql_that_writes_or_cannot_be_told_is_asked_about(sql: str) -> None:
    assert not judge(split(sql), SCHEMA)


def test_only_writing_is_asked_about_on_a_terminal(coinswarm: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloudflare(coinswarm):
        execute = ["d1", "execute", "--remote", "--json", "--command"]
        assert coinswarm(*execute, "CREATE TABLE t (v)").exit_code == 0
        monkeypatch.setattr("coinswarm.commands.run.Run.asks", True)
        monkeypatch.setattr("coinswarm.commands.run.sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("typer.confirm", lambda *_args, **_more: False)
        read = coinswarm(*execute, "SELECT * FROM t; SELECT count(*) FROM t")
        assert (read.exit_code, read.err) == (0, "")
        write = coinswarm(*execute, "SELECT 1; INSERT INTO t VALUES (1)")
        assert (write.exit_code, write.error[:2]) == (2, ("UsageError", "nothing was changed"))
        assert coinswarm(*execute, "SELECT * FROM t").json[0]["results"] == []


# --- hints that lead somewhere ---


def test_the_hint_for_a_foreign_table_works_as_it_is_written_though_its_migration_counts_as_applied(
    coinswarm: CommandLine, tmp_path: Path
) -> None:
    coinswarm("d1", "migrations", "apply")
    run_sql_ = ["d1", "execute", "--json", "--command"]
    coinswarm(*run_sql_, "DROP TABLE price_data; CREATE TABLE price_data (symbol TEXT)")
    kind, _, hint = coinswarm("d1", "stats", "--json").error
    assert kind == "SchemaMismatch"
    assert str(hint).startswith("Rename the table; the migration that makes it counts as applied")
    coinswarm(*run_sql_, "ALTER TABLE price_data RENAME TO old")
    again = str(coinswarm("d1", "stats", "--json").error[2])
    (forget,) = re.findall(r'--command "(.*?)"', again)
    assert coinswarm(*run_sql_, forget).exit_code == 0
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    assert coinswarm("d1", "stats", "--json").json["rows"] == 0


def test_a_new_migration_says_what_to_do_with_it(coinswarm: CommandLine) -> None:
    created = coinswarm("d1", "migrations", "create", "an index")
    assert "0002_an_index.sql: write its SQL into it, then apply it.\n" in created.out
    assert "→ coinswarm d1 migrations apply" in created.err


@pytest.mark.parametrize("collation", ["NOCASE", '"nocase"', "RTRIM"])
def test_a_key_column_that_takes_one_symbol_for_another_is_refused_even_under_a_binary_index(
    tmp_path: Path, collation: str
) -> None:
    table = LOCAL_TABLE.replace("symbol TEXT,", f"symbol TEXT COLLATE {collation},").replace(
        ",\n    PRIMARY KEY (symbol, timestamp, timeframe, source)", ""
    )
    key = "CREATE UNIQUE INDEX k ON price_data (symbol COLLATE BINARY, timestamp, timeframe, source)"
    database = open_database(tmp_path / "a.sqlite")
    database.execute(f"{table}; {key}")
    with pytest.raises(SchemaMismatch, match="the column symbol of price_data compares by the collation"):
        check_price_data(database)
    database.close()


def test_the_collation_of_a_column_that_is_no_part_of_the_key_does_not_matter(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.sqlite")
    database.execute(LOCAL_TABLE.replace("source TEXT,", "source TEXT COLLATE BINARY, note TEXT COLLATE NOCASE,"))
    check_price_data(database)
    database.close()


def test_triggers_that_blur_counts_are_named(coinswarm: CommandLine, tmp_path: Path) -> None:
    path = seed_database(tmp_path / "seed.sqlite", [])
    run_sql(
        path,
        "CREATE TABLE log (x); CREATE TRIGGER noted AFTER INSERT ON price_data BEGIN INSERT INTO log VALUES (1); END;"
        "CREATE TRIGGER other AFTER DELETE ON price_data BEGIN INSERT INTO log VALUES (2); END",
    )
    result = coinswarm("fsck", "--database", path, "--json")
    found = result.json["files"][0]["findings"]
    assert (result.exit_code, {each["severity"] for each in found}) == (0, {"warning"})
    assert {each["kind"]: each["examples"] for each in found} == {
        "triggers": [{"trigger": "noted"}],
        "on-delete": [{"trigger": "other"}],
    }
    database = migrated(tmp_path / "own.sqlite")
    assert check_price_data(database) == []
    database.close()


# --- stopped half way ---


def _heavy(path: Path) -> None:
    insert_rows(path, [], table=ORIGINAL_TABLE)
    run_sql(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 299999) "
        "INSERT INTO price_data (symbol, timestamp, timeframe, open, high, low, close, source) "
        "SELECT 'BTC-USDC', i * 60 + 1600000020, '1m', 1, 2, 1, 1, 'binance' FROM n",
    )


def _state(coinswarm: CommandLine) -> Path:
    coinswarm("d1", "migrations", "list")
    (path,) = (coinswarm.directory / ".wrangler/state/v3/d1").rglob("*.sqlite")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("command", ["fsck", "backup", "export"])
def test_a_command_that_reads_for_long_ends_at_once_and_leaves_nothing(
    coinswarm: CommandLine, command: str, number: int, code: int
) -> None:
    path = _state(coinswarm)
    _heavy(path)
    words = {
        "fsck": ["fsck", "--json"],
        "backup": ["d1", "backup", "--output", "out"],
        "export": ["d1", "export", "--output", "out"],
    }[command]
    folder = coinswarm.directory
    with running(*words, directory=folder, environment={}) as process:
        if command == "fsck":
            wait_until(lambda: path.with_name(f"{path.name}-shm").exists(), "the check began")
        else:
            wait_until(lambda: any(each.suffix == ".part" for each in folder.iterdir()), "the copy began")
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "stopped" in err
    assert "Traceback" not in err
    assert [each.name for each in folder.iterdir()] == [".wrangler"]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_file_that_is_stopped_half_way_is_rolled_back(coinswarm: CommandLine, number: int, code: int) -> None:
    path = _state(coinswarm)
    with (coinswarm.directory / "large.sql").open("w") as file:
        file.write("CREATE TABLE t (x);\n")
        file.writelines(f"INSERT INTO t VALUES ('{n:0100d}');\n" for n in range(300_000))
    with running("d1", "execute", "--file", "large.sql", directory=coinswarm.directory, environment={}) as process:
        wait_until(lambda: path.with_name(path.name + "-wal").exists(), "the file is being run")
        time.sleep(0.2)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err == f"⚠ {STOPPED}\n"
    result = coinswarm("d1", "execute", "--command", "SELECT name FROM sqlite_schema WHERE name = 't'", "--json")
    assert result.json[0]["results"] == []


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_query_that_runs_for_long_ends_when_told(coinswarm: CommandLine, number: int, code: int) -> None:
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with running("d1", "execute", "--command", sql, directory=coinswarm.directory, environment={}) as process:
        wait_until(lambda: (coinswarm.directory / ".wrangler").exists(), "the database is open")
        time.sleep(0.3)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err == f"⚠ {STOPPED}\n"


def test_errors_of_a_command_are_still_told_as_json(coinswarm: CommandLine) -> None:
    result = coinswarm("d1", "execute", "--command", "SELEC", "--json")
    assert json.loads(result.out)["error"]["type"] == "SqlError"
