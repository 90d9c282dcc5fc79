"""`coinswarm d1 …`: SQL that fails, files that are none, migrations that cannot be applied. Nothing changes then."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine

CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"


def sql(coinswarm: CommandLine, text: str) -> list[dict[str, object]]:
    result = coinswarm("d1", "execute", "--command", text, "--json")
    assert result.exit_code == 0, result
    rows: list[dict[str, object]] = result.json[-1]["results"]
    return rows


def tables(coinswarm: CommandLine) -> list[object]:
    return [row["name"] for row in sql(coinswarm, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]


def migration(coinswarm: CommandLine, name: str, text: str) -> Path:
    folder = coinswarm.directory / "migrations"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def digest(coinswarm: CommandLine) -> str:
    """Of all that the database holds, as SQLite's own dump would show it."""
    rows = [sql(coinswarm, f"SELECT * FROM {table}") for table in tables(coinswarm)]
    schema = sql(coinswarm, "SELECT sql FROM sqlite_schema ORDER BY name")
    return hashlib.sha256(repr((schema, rows)).encode()).hexdigest()


# --- execute ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELEC 1", 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT * FROM nope", "no such table: nope: SQLITE_ERROR"),
        ("SELECT nope FROM t", "no such column: nope at offset 7: SQLITE_ERROR"),
        ("INSERT INTO t VALUES (1, 'again')", "UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT"),
        ("INSERT INTO t (text) VALUES (NULL)", "NOT NULL constraint failed: t.text: SQLITE_CONSTRAINT"),
        ("INSERT INTO t VALUES (2, 'two'); INSERT INTO nope VALUES (1)", "no such table: nope: SQLITE_ERROR"),
        ("DROP TABLE t; SELEC 1", 'near "SELEC": syntax error'),
        ("UPDATE t SET text = 'changed'; INSERT INTO t VALUES (1, 'x')", "UNIQUE constraint failed"),
        ("", "SQL code did not contain a statement."),
        ("  -- nothing but a remark\n", "SQL code did not contain a statement."),
        ("ATTACH 'other.sqlite' AS other", "not authorized"),
        ("BEGIN", "use the state.storage.transaction() or state.storage.transactionSync() APIs"),
    ],
)
def test_sql_that_fails_exits_1_with_d1s_words_and_changes_nothing(
    coinswarm: CommandLine, text: str, message: str
) -> None:
    sql(coinswarm, f"{CREATE}; INSERT INTO t VALUES (1, 'one')")
    before = digest(coinswarm)
    human, as_json = (coinswarm("d1", "execute", "--command", text, *more) for more in ([], ["--json"]))
    assert (human.exit_code, human.out) == (1, "")
    assert message in human.err
    assert (as_json.exit_code, as_json.err) == (1, "")
    kind, said, _ = as_json.error
    assert kind == "SqlError"
    assert message in said
    assert digest(coinswarm) == before


def test_an_integer_beyond_2_to_the_53_is_shown_rounded_as_wrangler_shows_it_and_stored_exactly(
    coinswarm: CommandLine,
) -> None:
    wranglers = {"a": 9007199254740992, "b": 9223372036854776000, "c": -9007199254740992}
    text = "SELECT 9007199254740993 AS a, 9223372036854775807 AS b, -9007199254740992 AS c"
    assert sql(coinswarm, text) == [wranglers]
    assert "9223372036854776000" in coinswarm("d1", "execute", "--command", text).out
    sql(coinswarm, f"{CREATE}; INSERT INTO t VALUES (9007199254740993, 'exact')")
    assert sql(coinswarm, "SELECT text FROM t WHERE id = 9007199254740993") == [{"text": "exact"}]
    assert "(9007199254740993,'exact')" in coinswarm("d1", "export", "--output", "-").out


def test_a_good_result_is_cloudflares_own_list(coinswarm: CommandLine) -> None:
    result = coinswarm(
        "d1", "execute", "--command", f"{CREATE}; INSERT INTO t VALUES (1, 'one'); SELECT * FROM t", "--json"
    )
    assert [set(each) for each in result.json] == [{"results", "success", "meta"}] * 3
    assert result.json[2]["results"] == [{"id": 1, "text": "one"}]
    assert all(each["success"] for each in result.json)


def test_a_file_of_statements_is_one_transaction(coinswarm: CommandLine) -> None:
    (coinswarm.directory / "good.sql").write_text(
        f"{CREATE};\n-- a remark; with a semicolon\nINSERT INTO t VALUES (1, 'a;b');\n"
    )
    (coinswarm.directory / "bad.sql").write_text("INSERT INTO t VALUES (2, 'b');\nINSERT INTO t VALUES (1, 'c');\n")
    assert coinswarm("d1", "execute", "--file", "good.sql").exit_code == 0
    failed = coinswarm("d1", "execute", "--file", "bad.sql")
    assert failed.exit_code == 1
    assert "UNIQUE constraint failed: t.id" in failed.err
    assert sql(coinswarm, "SELECT * FROM t") == [{"id": 1, "text": "a;b"}]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope.sql", "nope.sql cannot be read: No such file or directory"),
        ("folder", "folder cannot be read: Is a directory"),
        ("binary.sql", "binary.sql is not UTF-8 text"),
        ("file/below.sql", "file/below.sql cannot be read: Not a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_wrong_usage(coinswarm: CommandLine, name: str, message: str) -> None:
    (coinswarm.directory / "folder").mkdir()
    (coinswarm.directory / "file").touch()
    (coinswarm.directory / "binary.sql").write_bytes(b"SELECT 1;\xff\xfe\x00")
    result = coinswarm("d1", "execute", "--file", name, "--json")
    assert (result.exit_code, result.err) == (2, "")
    assert result.error[:2] == ("UsageError", message)
    assert not (coinswarm.directory / ".wrangler").exists()


@pytest.mark.parametrize("flags", [[], ["--command", "SELECT 1", "--file", "a.sql"]])
def test_either_a_command_or_a_file_is_executed(coinswarm: CommandLine, flags: list[str]) -> None:
    result = coinswarm("d1", "execute", *flags, "--json")
    assert (result.exit_code, result.error) == (
        2,
        ("UsageError", "say what to execute", "Give either --command SQL or --file FILE."),
    )


@pytest.mark.parametrize(
    "command", [["info"], ["stats"], ["execute", "--command", "SELECT 1"], ["migrations", "apply"]]
)
def test_local_and_remote_exclude_each_other(coinswarm: CommandLine, command: list[str]) -> None:
    result = coinswarm("d1", *command, "--local", "--remote", "--json")
    assert (result.exit_code, result.error) == (
        2,
        ("UsageError", "--local and --remote exclude each other", "Give one of them."),
    )


@pytest.mark.parametrize("command", [["info"], ["stats"], ["execute"], ["migrations", "list"], ["migrations", "apply"]])
def test_an_unknown_database_is_told_with_those_there_are(coinswarm: CommandLine, command: list[str]) -> None:
    more = ["--command", "SELECT 1"] if command == ["execute"] else []
    result = coinswarm("d1", *command, "nope", *more, "--json")
    assert result.exit_code == 1
    assert result.error == (
        "DatabaseNotFound",
        "Couldn't find a D1 DB with the name or binding 'nope' in the built-in stack.",
        "Known: coinswarm-evolution (binding DB, id ac4629b2-8240-4378-b3e3-e5262cd9b285)",
    )


@pytest.mark.parametrize("command", [["d1", "stats"], ["consume"]])
def test_without_the_table_the_command_that_makes_it_is_named(coinswarm: CommandLine, command: list[str]) -> None:
    result = coinswarm(*command)
    assert (result.exit_code, result.out) == (1, "")
    assert result.err == (
        "✘ the database coinswarm-evolution has no table price_data\n  Create it with: coinswarm d1 migrations apply\n"
    )
    assert coinswarm("d1", "migrations", "apply").exit_code == 0
    assert coinswarm(*command).exit_code == 0


# --- migrations ---


def test_a_migration_that_fails_is_rolled_back_and_those_before_it_stay(coinswarm: CommandLine) -> None:
    migration(coinswarm, "0001_first.sql", "CREATE TABLE one (id INTEGER);")
    migration(coinswarm, "0002_second.sql", "CREATE TABLE two (id INTEGER);\nINSERT INTO nope VALUES (1);")
    migration(coinswarm, "0003_third.sql", "CREATE TABLE three (id INTEGER);")
    failed = coinswarm("d1", "migrations", "apply", "--json")
    assert failed.exit_code == 1
    assert failed.error == (
        "SqlError",
        "migration 0002_second.sql failed: no such table: nope: SQLITE_ERROR",
        "Nothing of it was applied (1 before it were). Correct it and run the command again.",
    )
    assert tables(coinswarm) == ["d1_migrations", "one", "sqlite_sequence"]
    assert coinswarm("d1", "migrations", "list", "--json").json == ["0002_second.sql", "0003_third.sql"]

    migration(coinswarm, "0002_second.sql", "CREATE TABLE two (id INTEGER);")
    again = coinswarm("d1", "migrations", "apply", "--json")
    assert [each["name"] for each in again.json] == ["0002_second.sql", "0003_third.sql"]
    assert tables(coinswarm) == ["d1_migrations", "one", "sqlite_sequence", "three", "two"]
    assert coinswarm("d1", "migrations", "apply").out == "No migrations to apply.\n"


def test_a_migration_that_is_no_text_is_named(coinswarm: CommandLine) -> None:
    migration(coinswarm, "0001_first.sql", "").write_bytes(b"\xff\xfe\x00")
    result = coinswarm("d1", "migrations", "apply", "--json")
    assert result.exit_code == 2
    assert result.error[1].startswith(
        f"migration {coinswarm.directory}/migrations/0001_first.sql cannot be read as UTF-8"
    )


def test_the_first_migration_of_ones_own_does_not_put_the_bundled_one_out_of_force(coinswarm: CommandLine) -> None:
    created = coinswarm("d1", "migrations", "create", "an index", "--json")
    folder = coinswarm.directory / "migrations"
    assert created.json == {
        "path": str(folder / "0002_an_index.sql"),
        "copied": [str(folder / "0001_price_data.sql")],
    }
    (folder / "0002_an_index.sql").write_text("CREATE INDEX recent ON price_data (timestamp);")
    applied = coinswarm("d1", "migrations", "apply", "--json")
    assert [each["name"] for each in applied.json] == ["0001_price_data.sql", "0002_an_index.sql"]
    assert coinswarm("consume").exit_code == 0


def test_a_database_that_lived_on_the_bundled_migration_goes_on_behind_it(coinswarm: CommandLine) -> None:
    coinswarm("d1", "migrations", "apply")
    created = coinswarm("d1", "migrations", "create", "more")
    assert created.out == (
        "Copied 0001_price_data.sql, which came with coinswarm until now.\n"
        f"Created {coinswarm.directory}/migrations/0002_more.sql: write its SQL into it, then apply it.\n"
    )
    assert coinswarm("d1", "migrations", "list", "--json").json == ["0002_more.sql"]
    third = coinswarm("d1", "migrations", "create", "even more", "--json")
    assert third.json == {"path": str(coinswarm.directory / "migrations" / "0003_even_more.sql"), "copied": []}


@pytest.mark.parametrize("words", [["a/b"], [""], ["a\\b"], ["a", "b", "c"]])
def test_a_message_that_names_no_file_creates_nothing(coinswarm: CommandLine, words: list[str]) -> None:
    result = coinswarm("d1", "migrations", "create", *words)
    assert (result.exit_code, result.out) == (2, "")
    assert list(coinswarm.directory.iterdir()) == []


def test_a_migrations_folder_that_is_a_file_is_named(coinswarm: CommandLine) -> None:
    (coinswarm.directory / "migrations").write_text("mine")
    result = coinswarm("d1", "migrations", "create", "more")
    assert result.exit_code == 2
    assert "migrations" in result.err
    assert "Traceback" not in result.err
    assert (coinswarm.directory / "migrations").read_text() == "mine"
