"""What every `Database` does, local or remote: one suite over the file, the REST API and, on request, Cloudflare.

Against Cloudflare itself: `pytest -m cloudflare tests/test_d1_contract.py` with CLOUDFLARE_API_TOKEN,
CLOUDFLARE_ACCOUNT_ID and COINSWARM_TEST_DATABASE, the name or id of a database to play in. Tables are named
`contract_…` and dropped afterwards.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coinswarm.clock import SystemClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config.masking import Secret
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.remote import RemoteDatabase, databases, describe, find
from coinswarm.d1.types import Database, Statement
from coinswarm.errors import DatabaseNotFound, SqlError, Unauthorized
from coinswarm.transport import http_client
from tests.support.local_cloudflare import DATABASE, LocalCloudflare, client_of, local_cloudflare

WANTED = ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "COINSWARM_TEST_DATABASE")
MISSING = [name for name in WANTED if not os.environ.get(name)]
ITSELF = pytest.param("Cloudflare", marks=pytest.mark.cloudflare)
TABLES = ("contract_items", "contract_prices")
KEYED = "INSERT INTO contract_items (id, x) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudflare]:
    with local_cloudflare(tmp_path_factory.mktemp("cloudflare")) as running:
        yield running


@pytest.fixture(params=["local", "over HTTP", *([] if MISSING else [ITSELF])])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "local":
        with closing(LocalDatabase(tmp_path / "d1.sqlite", name="contract", id="contract")) as local:
            yield local
    elif request.param == "over HTTP":
        with client_of(request.getfixturevalue("server")) as api:
            yield from clean(RemoteDatabase.open(api, DATABASE.name))
    else:
        token, account, name = (os.environ[name] for name in WANTED)
        with http_client() as http:
            api = CloudflareApi(account, Secret(token), client=http, clock=SystemClock())
            yield from clean(RemoteDatabase.open(api, name))


def clean(database: Database) -> Iterator[Database]:
    drop = [Statement(f"DROP TABLE IF EXISTS {table}") for table in TABLES]
    database.batch(drop)
    yield database
    database.batch(drop)


@pytest.fixture
def items(database: Database) -> Database:
    """A database with the empty table `contract_items (id INTEGER PRIMARY KEY, x)`."""
    database.execute("CREATE TABLE contract_items (id INTEGER PRIMARY KEY, x)")
    return database


def held(database: Database) -> list[tuple[object, ...]]:
    return database.execute("SELECT id, x FROM contract_items ORDER BY id")[0].rows


@pytest.mark.cloudflare
@pytest.mark.skipif(bool(MISSING), reason=f"D1 itself is not asked: {', '.join(MISSING)} not set")
def test_cloudflare_itself_is_asked_too() -> None:
    """Its place in the list of skipped tests says that the suite did not run against production."""


# Rows and values.


def test_a_batch_gives_one_result_a_statement_in_order(items: Database) -> None:
    results = items.batch(
        [Statement(KEYED, [1, "a"]), Statement("SELECT x FROM contract_items"), Statement("SELECT 2 AS n")]
    )
    assert [r.rows for r in results] == [[], [("a",)], [(2,)]]
    assert [tuple(r.columns) for r in results[1:]] == [("x",), ("n",)]


def test_an_empty_batch_gives_nothing(database: Database) -> None:
    assert database.batch([]) == []


@pytest.mark.parametrize(
    "value", ["", "é\n\x00'\"", "日本", 0, -1, 2**53, 0.1, -1.5e300, 1e-8, None, b"", b"\x00\xff\x80"], ids=repr
)
def test_every_kind_of_value_comes_back_as_it_went(items: Database, value: str | float | bytes | None) -> None:
    items.batch([Statement(KEYED, [1, value])])
    [(_, found)] = held(items)
    assert found == value
    assert isinstance(found, bytes) == isinstance(value, bytes)


def test_a_megabyte_of_text_is_one_value(items: Database) -> None:
    items.batch([Statement(KEYED, [1, "x" * 1_000_000])])
    assert items.execute("SELECT length(x) FROM contract_items")[0].rows == [(1_000_000,)]


def test_columns_keep_their_names_though_they_are_alike_or_hold_no_row(database: Database) -> None:
    twice, empty = database.batch([Statement("SELECT 1 AS a, 2 AS a"), Statement("SELECT 1 AS b, 2 AS c LIMIT 0")])
    assert (list(twice.columns), twice.rows, twice.objects) == (["a", "a"], [(1, 2)], [{"a": 2}])
    assert (list(empty.columns), empty.rows) == (["b", "c"], [])


def test_numbered_parameters_may_come_twice_and_out_of_order(database: Database) -> None:
    assert database.execute("SELECT ?2 AS a, ?1 AS b, ?2 AS c", ["x", "y"])[0].rows == [("y", "x", "y")]


def test_a_thousand_rows_are_a_hundred_statements_of_ten_columns_in_one_batch(database: Database) -> None:
    columns = ", ".join(f"c{n}" for n in range(10))
    database.execute(f"CREATE TABLE contract_prices ({columns}, PRIMARY KEY (c0, c1)) WITHOUT ROWID")
    row = "(" + ", ".join("?" * 10) + ")"
    sql = f"INSERT INTO contract_prices ({columns}) VALUES {', '.join([row] * 10)} ON CONFLICT (c0, c1) DO NOTHING"
    batch = [
        Statement(sql, [value for n in range(10) for value in (f"s{s}", s * 10 + n, *(n / 7 for _ in range(8)))])
        for s in range(100)
    ]
    first, again = database.batch(batch), database.batch(batch)
    assert sum(r.meta.changes for r in first) == 1_000
    assert sum(r.meta.rows_written for r in first) == 1_000
    assert sum(r.meta.changes for r in again) == 0
    assert database.execute("SELECT count(*), sum(c1) FROM contract_prices")[0].rows == [(1_000, sum(range(1_000)))]


def test_one_json_parameter_can_carry_as_many_rows_and_keeps_integers_integers(database: Database) -> None:
    database.execute("CREATE TABLE contract_prices (name, at)")
    sql = "INSERT INTO contract_prices SELECT value ->> 0, value ->> 1 FROM json_each(?1)"
    text = "[" + ", ".join(f'["s", {1_700_000_000 + n}]' for n in range(2_000)) + "]"
    assert database.batch([Statement(sql, [text])])[0].meta.changes == 2_000
    assert database.execute("SELECT DISTINCT typeof(at) FROM contract_prices")[0].rows == [("integer",)]


# What a statement says of itself.


def test_meta_says_what_changed(items: Database) -> None:
    insert, again, select = items.batch(
        [Statement(KEYED, [7, "a"]), Statement(KEYED, [7, "b"]), Statement("SELECT * FROM contract_items")]
    )
    assert (insert.meta.changes, insert.meta.last_row_id, insert.meta.changed_db) == (1, 7, True)
    assert insert.meta.rows_written == 1
    assert (again.meta.changes, again.meta.rows_written) == (0, 0)
    assert (select.meta.changes, select.meta.rows_written) == (0, 0)
    assert select.meta.rows_read >= 1
    assert select.meta.size_after > 0


# All or nothing.


def test_a_statement_that_fails_takes_the_whole_batch_along(items: Database) -> None:
    items.batch([Statement(KEYED, [1, "before"])])
    with pytest.raises(SqlError):
        items.batch([Statement(KEYED, [2, "b"]), Statement("INSERT INTO contract_items VALUES (1, 'taken')")])
    assert held(items) == [(1, "before")]


def test_text_with_several_statements_is_one_transaction_too(items: Database) -> None:
    results = items.execute("INSERT INTO contract_items VALUES (1, 'a;b'); SELECT x FROM contract_items;")
    assert results[1].rows == [("a;b",)]
    with pytest.raises(SqlError):
        items.execute("DELETE FROM contract_items; SELECT nonsense FROM contract_items")
    assert held(items) == [(1, "a;b")]


def test_a_trigger_is_one_statement(items: Database) -> None:
    items.execute(
        "CREATE TABLE contract_prices (n);\n"
        "CREATE TRIGGER contract_trigger AFTER INSERT ON contract_items BEGIN\n"
        "  INSERT INTO contract_prices VALUES (new.id); END;\nINSERT INTO contract_items VALUES (5, '')"
    )
    assert items.execute("SELECT n FROM contract_prices")[0].rows == [(5,)]


def test_threads_may_write_at_once_and_none_loses_a_row(items: Database) -> None:
    faults: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for n in range(start, start + 40, 10):
                items.batch([Statement(KEYED, [i, "x"]) for i in range(n, n + 10)])
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 200, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(held(items)) == 200


# What is refused, in the same words everywhere.


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM contract_missing", "no such table: contract_missing: SQLITE_ERROR"),
        ("SELECT nonsense FROM contract_items", "no such column: nonsense at offset 7: SQLITE_ERROR"),
        ("INSER INTO x", 'near "INSER": syntax error at offset 0: SQLITE_ERROR'),
        ("PRAGMA journal_mode", "not authorized: SQLITE_AUTH"),
        (
            "INSERT INTO contract_items VALUES (1, 1), (1, 2)",
            "UNIQUE constraint failed: contract_items.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)",
        ),
        ("SELECT 1, ?", "Wrong number of parameter bindings for SQL query."),
    ],
)
def test_an_error_has_d1s_words(items: Database, sql: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        items.batch([Statement(sql)])
    assert caught.value.message == message


@pytest.mark.parametrize(
    "sql", ["BEGIN", "ATTACH 'x' AS y", "CREATE TABLE _cf_x (a)", "SELECT sqlite_version()", "", "-- nothing"]
)
def test_what_production_refuses_is_refused(database: Database, sql: str) -> None:
    with pytest.raises(SqlError):
        database.batch([Statement(sql)])


def test_a_hundred_parameters_are_allowed_and_one_more_is_not(database: Database) -> None:
    def ask(count: int) -> Statement:
        return Statement(f"SELECT 1 IN ({', '.join('?' * count)}) AS found", [1] * count)

    assert database.batch([ask(100)])[0].rows == [(1,)]
    with pytest.raises(SqlError, match="too many SQL variables"):
        database.batch([ask(101)])


def test_a_database_can_be_used_after_a_refusal(items: Database) -> None:
    with pytest.raises(SqlError):
        items.batch([Statement("SELECT nonsense")])
    items.batch([Statement(KEYED, [1, "a"])])
    assert held(items) == [(1, "a")]


# Remote only: finding databases and being let in.


def test_a_database_is_found_by_name_and_by_id_and_described(server: LocalCloudflare) -> None:
    with client_of(server) as api:
        assert find(api, DATABASE.name).id == find(api, DATABASE.uuid).id == DATABASE.uuid
        assert DATABASE.name in [info.name for info in databases(api)]
        RemoteDatabase.open(api, DATABASE.name).execute("CREATE TABLE IF NOT EXISTS contract_items (id)")
        assert describe(api, DATABASE.uuid).num_tables >= 1
        with pytest.raises(DatabaseNotFound, match="has no D1 database 'nowhere'"):
            RemoteDatabase.open(api, "nowhere")


def test_many_databases_are_listed_over_several_pages(server: LocalCloudflare) -> None:
    with client_of(server) as api:
        made = [server.account.catalogue.create(f"paged-{n}") for n in range(120)]
        try:
            assert {info.name for info in databases(api)} >= {info.name for info in made}
        finally:
            for info in made:
                server.account.catalogue.delete(info.uuid)


def test_a_wrong_token_is_told_with_what_to_do(server: LocalCloudflare) -> None:
    with http_client() as http:
        api = CloudflareApi(server.account.id, Secret("wrong"), client=http, clock=SystemClock(), base_url=server.url)
        with pytest.raises(Unauthorized, match="Authentication error") as caught:
            RemoteDatabase(api, DATABASE.uuid, DATABASE.name).execute("SELECT 1")
    assert "CLOUDFLARE_API_TOKEN" in (caught.value.hint or "")
