"""What production refuses is refused locally, in production's words; what it allows works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import SqlValue, Statement
from coinswarm.errors import SqlError
from coinswarm.limits import D1
from tests.support.databases import open_database, value

TRANSACTION = (
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs"
    " instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements."
)
AUTH = "not authorized: SQLITE_AUTH"
BIG = "string or blob too big: SQLITE_TOOBIG"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    with closing(open_database(tmp_path / "d1.sqlite")) as opened:
        opened.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c); INSERT INTO t VALUES (1, 'a', 0);")
        yield opened


def refusal(database: LocalDatabase, sql: str, params: list[SqlValue] | None = None) -> str:
    with pytest.raises(SqlError) as caught:
        database.batch([Statement(sql, params or [])])
    assert (caught.value.code, caught.value.http_status, caught.value.retryable) == (7500, 400, False)
    return caught.value.message


LIKELIHOOD = "second argument to likelihood() must be a constant between 0.0 and 1.0 at offset 7: SQLITE_ERROR"


# The texts below are what workerd answered to the same statements.
@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("nonsense", 'near "nonsense": syntax error at offset 0: SQLITE_ERROR'),
        ("INSER INTO t", 'near "INSER": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT 1+, 2", 'near ",": syntax error at offset 9: SQLITE_ERROR'),
        ("SELECT a, b FROM t WHERE a = (1)) ", 'near ")": syntax error at offset 32: SQLITE_ERROR'),
        ("SELECT 1 a b", 'near "b": syntax error at offset 11: SQLITE_ERROR'),
        ("SELECT 'x", 'unrecognized token: "\'x" at offset 7: SQLITE_ERROR'),
        ("SELECT @", 'unrecognized token: "@" at offset 7: SQLITE_ERROR'),
        ("SELECT 0x", 'unrecognized token: "0x" at offset 7: SQLITE_ERROR'),
        ("SELECT * FROM t WHERE", "incomplete input: SQLITE_ERROR"),
        ("SELECT * FROM foo", "no such table: foo: SQLITE_ERROR"),
        ("SELECT nope", "no such column: nope at offset 7: SQLITE_ERROR"),
        ("SELECT 'é', nope", "no such column: nope at offset 13: SQLITE_ERROR"),
        ("SELECT /* nope */ nope", "no such column: nope at offset 18: SQLITE_ERROR"),
        ("select nope from (select nope)", "no such column: nope at offset 25: SQLITE_ERROR"),
        ("SELECT [zz] FROM t", "no such column: zz at offset 7: SQLITE_ERROR"),
        ("SELECT t.zz FROM t", "no such column: t.zz at offset 7: SQLITE_ERROR"),
        (
            "UPDATE t SET a = x.v FROM (SELECT 1 AS v) AS x RETURNING x.v",
            "no such column: x.v at offset 57: SQLITE_ERROR",
        ),
        ('"quoted"', 'near ""quoted"": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT likelihood(1, 2)", LIKELIHOOD),
        ("CREATE TABLE other.x (a)", "unknown database other at offset 13: SQLITE_ERROR"),
        (f"SELECT 1 IN ({'(SELECT count(*) FROM t WHERE a = 1), ' * 1500}1)", "out of memory: SQLITE_NOMEM"),
        ("UPDATE t SET zz = 1", "no such column: zz: SQLITE_ERROR"),
        ("UPDATE t SET a = zz", "no such column: zz at offset 17: SQLITE_ERROR"),
        ("INSERT INTO t (zz) VALUES (2)", "table t has no column named zz: SQLITE_ERROR"),
        ("INSERT INTO t VALUES (1, 2)", "table t has 3 columns but 2 values were supplied: SQLITE_ERROR"),
        ("SELECT foo(1)", "no such function: foo at offset 7: SQLITE_ERROR"),
        ("SELECT abs(1, 2)", "wrong number of arguments to function abs() at offset 7: SQLITE_ERROR"),
        ("CREATE TABLE t (a)", "table t already exists at offset 13: SQLITE_ERROR"),
        ("SELECT ?101", "variable number must be between ?1 and ?100 at offset 7: SQLITE_ERROR"),
        ("DROP TABLE nope", "no such table: nope: SQLITE_ERROR"),
        ("INSERT INTO sqlite_master VALUES (1,2,3,4,5)", "table sqlite_master may not be modified: SQLITE_ERROR"),
        ("CREATE TABLE sqlite_x (a)", "object name reserved for internal use: sqlite_x: SQLITE_ERROR"),
        ("SELECT json('x')", "malformed JSON: SQLITE_ERROR"),
        (
            "INSERT INTO t VALUES (1, 'b', 2)",
            "UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)",
        ),
        (
            "INSERT INTO t VALUES (2, 'a', 2)",
            "UNIQUE constraint failed: t.b: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)",
        ),
    ],
)
def test_sql_errors_have_cloudflares_text(database: LocalDatabase, sql: str, message: str) -> None:
    assert refusal(database, sql) == message


@pytest.mark.parametrize("sql", ["BEGIN", "begin immediate", "COMMIT;", "END", "ROLLBACK", "SAVEPOINT x", "RELEASE x"])
@pytest.mark.parametrize("before", ["", "/* c */ ", "-- c\n", "EXPLAIN "])
def test_transactions_are_d1s_own(database: LocalDatabase, sql: str, before: str) -> None:
    assert refusal(database, before + sql).startswith(TRANSACTION)


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH 'x.db' AS y",
        "DETACH y",
        "CREATE TEMP TABLE x (a)",
        "CREATE TEMPORARY VIEW x AS SELECT 1",
        "CREATE TABLE temp.x (a)",
        "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TABLE _cf_x (a)",
        "CREATE TABLE _CF_x (a)",
        "CREATE INDEX _cf_i ON t (b)",
        "CREATE VIEW _cf_v AS SELECT 1",
        "ALTER TABLE t RENAME TO _cf_t",
        "ALTER TABLE t RENAME\nTO '_cf_t'",
        "ALTER TABLE t RENAME/**/TO _cf_t",
        "ALTER TABLE t RENAME -- to what\n TO/* this */[_cf_t]",
        'ALTER/**/TABLE main."t" RENAME TO "_CF_t"',
        "; ALTER TABLE t RENAME TO _cf_t",
        "alter table rename rename to _cf_t",
        "CREATE VIRTUAL TABLE v USING dbstat",
        "CREATE VIRTUAL TABLE v USING fts4 (x)",
        "PRAGMA TABLE_INFO(t)",
        "PRAGMA page_count",
        "PRAGMA page_count -- mine",
        "PRAGMA journal_mode",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA database_list",
        "PRAGMA user_version = 3",
        "PRAGMA schema_version",
        "PRAGMA writable_schema = on",
        "PRAGMA function_list",
        "PRAGMA integrity_check",
        "PRAGMA recursive_triggers = 2",
        "PRAGMA data_version = 1",
        "PRAGMA table_info",
        "PRAGMA table_info(_cf_KV)",
        "PRAGMA nope",
        "SELECT * FROM pragma_page_count",
        "SELECT name FROM pragma_function_list",
    ],
)
def test_what_d1_does_not_allow_is_not_authorized(database: LocalDatabase, sql: str) -> None:
    assert refusal(database, sql) == AUTH


@pytest.mark.parametrize(
    "name", ["sqlite_version", "sqlite_source_id", "load_extension", "fts5_source_id", "sqlite_compileoption_get"]
)
def test_functions_outside_the_list_are_not_authorized(database: LocalDatabase, name: str) -> None:
    argument = "" if name.endswith(("version", "source_id")) else "1"
    expected = f"not authorized to use function: {name} at offset 7: SQLITE_ERROR"
    assert refusal(database, f"SELECT {name}({argument})") == expected


def test_functions_that_only_the_shell_has_do_not_exist(database: LocalDatabase) -> None:
    assert refusal(database, "SELECT readfile('/etc/passwd')") == (
        "no such function: readfile at offset 7: SQLITE_ERROR"
    )


@pytest.mark.parametrize("table", ["dbstat", "sqlite_dbpage", "sqlite_stmt"])
def test_sqlites_inner_tables_cannot_be_read(database: LocalDatabase, table: str) -> None:
    assert (
        "prohibited: SQLITE_AUTH" in (text := refusal(database, f"SELECT * FROM {table}"))
    ) or "no such table" in text


def test_vacuum_is_refused_as_if_in_a_transaction(database: LocalDatabase) -> None:
    assert refusal(database, "VACUUM") == "cannot VACUUM from within a transaction: SQLITE_ERROR"


def test_cloudflares_own_tables_cannot_be_read(database: LocalDatabase, tmp_path: Path) -> None:
    import sqlite3

    theirs = sqlite3.connect(database.path)
    theirs.execute("CREATE TABLE _cf_KV (key, value)")
    theirs.close()
    assert refusal(database, "SELECT * FROM _cf_KV") == "access to _cf_KV.key is prohibited: SQLITE_AUTH"
    assert refusal(database, "DROP TABLE _cf_KV") == AUTH
    assert value(database, "SELECT count(*) FROM sqlite_master WHERE name = '_cf_KV'") == 1


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA foreign_keys",
        "PRAGMA foreign_keys = off",
        "PRAGMA defer_foreign_keys = ON",
        "PRAGMA table_info('t')",
        'PRAGMA table_xinfo("t")',
        "PRAGMA main.index_list(t)",
        "PRAGMA foreign_key_check",
        "PRAGMA quick_check",
        "PRAGMA optimize",
        "PRAGMA table_list",
        "PRAGMA data_version",
        "SELECT * FROM pragma_table_info('t')",
        "SELECT * FROM json_each('[1]')",
        "SELECT count(*), group_concat(b), max(a) FROM t",
        "SELECT row_number() OVER (ORDER BY a) FROM t",
        "SELECT strftime('%s', 'now'), unixepoch(), CURRENT_TIMESTAMP, printf('%d', 1), pow(2, 3)",
        "EXPLAIN QUERY PLAN SELECT * FROM t",
        "ALTER TABLE t RENAME COLUMN c TO d",
        "ALTER TABLE t RENAME COLUMN c TO _cf_c",
        "ALTER TABLE t RENAME c TO _cf_c -- RENAME TO _cf_t",
        "ALTER TABLE t ADD COLUMN e",
        "ALTER TABLE t DROP COLUMN c",
        "ALTER TABLE t RENAME TO u",
        "CREATE TABLE keyed (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE counted (a INTEGER PRIMARY KEY AUTOINCREMENT)",
        "ANALYZE",
        "REINDEX",
        "SELECT 1; -- a comment behind is no statement",
    ],
)
def test_what_d1_allows_is_allowed(database: LocalDatabase, sql: str) -> None:
    assert len(database.batch([Statement(sql)])) == 1


def test_full_text_search_works(database: LocalDatabase) -> None:
    database.execute("CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO f VALUES ('hello world');")
    found = value(database, "SELECT highlight(f, 0, '<', '>') FROM f WHERE f MATCH 'hello' ORDER BY bm25(f)")
    assert found == "<hello> world"


# Pragmas

FLAGS = {
    "case_sensitive_like": ("SELECT 'A' LIKE 'a'", 1),
    "defer_foreign_keys": ("PRAGMA defer_foreign_keys", 0),
    "foreign_keys": ("PRAGMA foreign_keys", 1),
    "ignore_check_constraints": ("PRAGMA ignore_check_constraints", 0),
    "legacy_alter_table": ("PRAGMA legacy_alter_table", 0),
    "recursive_triggers": ("PRAGMA recursive_triggers", 0),
    "reverse_unordered_selects": ("PRAGMA reverse_unordered_selects", 0),
}
"""How each shows, and what it is in every call that does not set it."""


@pytest.mark.parametrize("form", ["{0}", "EXPLAIN {0}", "EXPLAIN QUERY PLAN {0}", "; EXPLAIN/**/{0}", "/**/{0};"])
@pytest.mark.parametrize("setting", ["{0} = {1}", "{0}({1})", "main.{0} = {1}"])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_pragma_ends_with_its_call_however_it_is_written(
    database: LocalDatabase, flag: str, setting: str, form: str
) -> None:
    look, usual = FLAGS[flag]
    sql = form.format("PRAGMA " + setting.format(flag, "off" if flag == "foreign_keys" else "on"))
    for statements in ([sql], [sql], ["SELECT 1", sql, "SELECT 2"], ["INSERT INTO t (c) VALUES (1)", sql]):
        database.batch([Statement(each) for each in statements])
        assert value(database, look) == usual, statements


@pytest.mark.parametrize("form", ["{0}", "EXPLAIN {0}", "EXPLAIN QUERY PLAN {0}"])
def test_no_pragma_switches_foreign_keys_off(database: LocalDatabase, form: str) -> None:
    database.execute("CREATE TABLE child (t REFERENCES t (a))")
    off = form.format("PRAGMA foreign_keys = off")
    orphan = "INSERT INTO child VALUES (98)"
    database.execute(off)
    for statements in ([orphan], [off, orphan], [orphan, off]):
        with pytest.raises(SqlError, match="FOREIGN KEY constraint failed"):
            database.batch([Statement(sql) for sql in statements])


def test_a_pragma_of_a_call_that_failed_ends_with_it(database: LocalDatabase) -> None:
    with pytest.raises(SqlError):
        database.execute("PRAGMA recursive_triggers = on; EXPLAIN PRAGMA legacy_alter_table = on; SELECT nope;")
    assert value(database, "PRAGMA recursive_triggers") == value(database, "PRAGMA legacy_alter_table") == 0


# Statements and parameters


@pytest.mark.parametrize("sql", ["", "  ", ";", "-- nothing", "/* nothing */ ;; "])
def test_text_without_a_statement_is_refused(database: LocalDatabase, sql: str) -> None:
    assert refusal(database, sql) == "SQL code did not contain a statement."
    with pytest.raises(SqlError, match="SQL code did not contain a statement"):
        database.execute(sql)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("\0SELECT 1", "SQL code did not contain a statement."),
        ("SELECT 1\0", "SQL code did not contain a statement."),
        ("DELETE FROM t \0 WHERE 0", "SQL code did not contain a statement."),
        ("SELECT 1 -- x\0y", "SQL code did not contain a statement."),
        ("SELECT 'é', 'a\0b'", 'unrecognized token: "\'a" at offset 13: SQLITE_ERROR'),
        ("SEL\0ECT 1", 'near "SEL": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT * FROM nope\0", "no such table: nope: SQLITE_ERROR"),
        ("PRAGMA page_count\0", AUTH),
    ],
)
def test_what_stands_before_a_nul_character_is_judged_and_nothing_is_run(
    database: LocalDatabase, sql: str, message: str
) -> None:
    assert refusal(database, sql) == message
    assert value(database, "SELECT count(*) FROM t") == 1


def test_a_batch_takes_single_statements_and_parameters_need_one(database: LocalDatabase) -> None:
    assert refusal(database, "SELECT 1; SELECT 2") == "A prepared SQL statement must contain only one statement."
    with pytest.raises(SqlError, match="must contain only one statement"):
        database.execute("SELECT ?; SELECT ?;", [1, 2])


@pytest.mark.parametrize(
    ("sql", "params"),
    [("SELECT ?", []), ("SELECT ?", [1, 2]), ("SELECT 1", [1]), ("SELECT '?'", [1]), ("SELECT ?1, ?3", [1, 2])],
)
def test_the_number_of_parameters_must_be_right(database: LocalDatabase, sql: str, params: list[SqlValue]) -> None:
    for _ in range(2):
        assert refusal(database, sql, params) == "Wrong number of parameter bindings for SQL query."


@pytest.mark.parametrize("sql", ["SELECT :a", "SELECT @a", "SELECT $a"])
def test_named_parameters_are_not_d1s(database: LocalDatabase, sql: str) -> None:
    assert refusal(database, sql, [1]) == f"D1 takes ? and ?NNN as parameters, not {sql[7:]}."
    assert database.execute('SELECT \':a\', "a" AS "b:c", ? FROM (SELECT 1 AS a)', [1])[0].rows == [(":a", 1, 1)]


def test_numbered_parameters_may_repeat(database: LocalDatabase) -> None:
    assert database.execute("SELECT ?2, ?1, ?2", [1, 2])[0].rows == [(2, 1, 2)]


def test_a_hundred_parameters_are_the_limit(database: LocalDatabase) -> None:
    hundred = "SELECT " + ", ".join("?" * 100)
    assert len(database.execute(hundred, [1] * 100)[0].rows[0]) == 100
    text = refusal(database, f"SELECT 'é?', {hundred[7:]}, ?", [1] * 101)
    assert text == f"too many SQL variables at offset {len(hundred) + 9}: SQLITE_ERROR"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (object(), "Type 'object' not supported for value"),
        ([1], "Type 'list' not supported for value"),
        (1 << 63, "more than 64 bits"),
        ("\ud800", "half a surrogate pair"),
    ],
)
def test_a_value_that_cannot_be_bound_is_named_whatever_failed_before(
    database: LocalDatabase, given: SqlValue, message: str
) -> None:
    assert message in refusal(database, "SELECT ?", [given])
    refusal(database, "INSERT INTO t VALUES (1, 'a', 0)")
    assert message in refusal(database, "SELECT ?", [given])
    assert value(database, "SELECT ?", 1) == 1


# Limits


def test_a_statement_may_have_100_000_bytes(database: LocalDatabase) -> None:
    fits = f"SELECT '{'x' * (D1.statement_bytes - 10)}';"
    assert len(fits) == D1.statement_bytes
    assert database.execute(fits)
    assert refusal(database, fits + " ") == "statement too long: SQLITE_TOOBIG"
    assert refusal(database, f"SELECT '{'é' * 50_000}'") == "statement too long: SQLITE_TOOBIG"
    assert len(database.execute(f"{fits} {fits}")) == 2


@pytest.mark.parametrize("sort", ["x", b"x", "é"], ids=["text", "blob", "two-byte text"])
def test_a_value_may_have_two_million_bytes(database: LocalDatabase, sort: str | bytes) -> None:
    width = len(sort.encode()) if isinstance(sort, str) else 1
    fits = sort * (D1.value_bytes // width)
    assert value(database, "SELECT ?", fits) == fits
    assert refusal(database, "SELECT ?", [fits + sort]) == BIG
    assert refusal(database, "SELECT ? || ?", [fits, sort]) == BIG
    assert refusal(database, "INSERT INTO t VALUES (2, ?, ?)", [fits[: len(fits) // 2], fits[: len(fits) // 2]]) == BIG
    assert value(database, "SELECT count(*) FROM t") == 1


def test_a_table_may_have_a_hundred_columns(database: LocalDatabase) -> None:
    columns = ", ".join(f"c{i}" for i in range(100))
    database.execute(f"CREATE TABLE wide ({columns})")
    assert refusal(database, f"CREATE TABLE wider ({columns}, d)") == "too many columns on wider: SQLITE_ERROR"


def test_a_like_pattern_may_have_fifty_bytes(database: LocalDatabase) -> None:
    assert database.execute("SELECT b FROM t WHERE b LIKE ?", ["a" * 50])[0].rows == []
    for operator in ("LIKE", "GLOB"):
        text = refusal(database, f"SELECT 'x' {operator} ?", ["a" * 51])
        assert text == "LIKE or GLOB pattern too complex: SQLITE_ERROR"


def test_five_terms_may_be_compounded(database: LocalDatabase) -> None:
    assert len(database.execute(" UNION ALL ".join(["SELECT 1"] * 5))[0].rows) == 5
    assert refusal(database, " UNION ALL ".join(["SELECT 1"] * 6)) == "too many terms in compound SELECT: SQLITE_ERROR"
    assert database.execute("INSERT INTO t (b) VALUES (1), (2), (3), (4), (5), (6), (7)")[0].meta.changes == 7


def test_expressions_and_argument_lists_end_somewhere(database: LocalDatabase) -> None:
    assert "Expression tree is too large" in refusal(database, "SELECT " + "+".join(["1"] * 102))
    assert "too many arguments on function max" in refusal(database, f"SELECT max({', '.join(['1'] * 33)})")


def test_a_database_may_have_ten_gigabytes_and_can_shrink_again(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d1.sqlite", max_bytes=200_000)) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (?)", [b"x" * 100_000])
        assert refusal(database, "INSERT INTO t VALUES (?)", [b"x" * 100_000]) == "Exceeded maximum DB size"
        assert value(database, "SELECT count(*) FROM t") == 1
        database.execute("DELETE FROM t")
        database.execute("INSERT INTO t VALUES (?)", [b"x" * 100_000])


def test_a_refusal_leaves_the_database_usable_and_unchanged(database: LocalDatabase) -> None:
    for sql in ("BEGIN", "SELECT sqlite_version()", "ATTACH 'x' AS y", "", "SELECT nope", "SELECT ?"):
        with pytest.raises(SqlError):
            database.batch([Statement("INSERT INTO t VALUES (2, 'b', 0)"), Statement(sql)])
    assert database.execute("SELECT * FROM t")[0].rows == [(1, "a", 0)]
