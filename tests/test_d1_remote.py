"""Cloudflare's own D1 over HTTP: what goes out, what comes back, what is sent twice and what never is."""

from __future__ import annotations

import math

import httpx
import pytest

from coinswarm.clock import ManualClock
from coinswarm.d1.remote import RemoteDatabase, databases, describe, find, is_read_only
from coinswarm.d1.types import Statement
from coinswarm.errors import (
    DatabaseError,
    DatabaseNotFound,
    DatabaseUnavailable,
    SqlError,
    Unauthorized,
)
from tests.support.cloudflare import BASE, InTurn, api_to, ok, refused

ID = "ac4629b2-8240-4378-b3e3-e5262cd9b285"
NAME = "coinswarm-evolution"
LOST = httpx.ReadError("reset", request=httpx.Request("POST", BASE))
INSERT = Statement("INSERT INTO t (id, x) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", [1, "a"])


def result(
    columns: list[str] | None = None, rows: list[list[object]] | None = None, **meta: object
) -> dict[str, object]:
    return {"results": {"columns": columns or [], "rows": rows or []}, "success": True, "meta": meta}


def database(handler: InTurn, *, clock: ManualClock | None = None, idempotent_batches: bool = False) -> RemoteDatabase:
    return RemoteDatabase(api_to(handler, clock=clock), ID, NAME, idempotent_batches=idempotent_batches)


# What goes over the wire.


def test_a_batch_of_a_hundred_statements_is_one_request_in_the_batch_form() -> None:
    handler = InTurn(ok([result(changes=10)] * 100))
    statement = Statement("INSERT INTO t VALUES (" + ", ".join("?" * 100) + ")", list(range(100)))
    results = database(handler).batch([statement] * 100)
    assert [r.meta.changes for r in results] == [10] * 100
    assert handler.paths == [f"POST /d1/database/{ID}/raw"]
    assert handler.bodies == [{"batch": [{"sql": statement.sql, "params": list(range(100))}] * 100}]


def test_nothing_to_do_is_no_request() -> None:
    assert database(InTurn()).batch([]) == []


def test_columns_that_are_named_alike_or_hold_no_row_keep_their_names() -> None:
    handler = InTurn(ok([result(("a", "a"), [[1, 2]]), result(("b",), [])]))
    first, second = database(handler).batch([Statement("SELECT 1 AS a, 2 AS a"), Statement("SELECT 1 AS b LIMIT 0")])
    assert (first.columns, first.rows) == (("a", "a"), [(1, 2)])
    assert (second.columns, second.rows) == (("b",), [])


def test_every_kind_of_value_crosses_both_ways() -> None:
    handler = InTurn(ok([result(("v",), [["é"], [1], [0.1], [None], [[0, 255]]])]))
    values = ["é", 1, 0.1, None, b"\x00\xff"]
    found = database(handler).execute("SELECT ?, ?, ?, ?, ?", values)[0]
    assert handler.bodies[0]["params"] == ["é", 1, 0.1, None, [0, 255]]
    assert [row[0] for row in found.rows] == values


def test_meta_is_kept() -> None:
    handler = InTurn(ok([result(duration=1.5, changes=2, rows_read=3, rows_written=4, size_after=5, served_by="v3")]))
    meta = database(handler).execute("SELECT 1")[0].meta
    assert (meta.duration, meta.changes, meta.rows_read, meta.rows_written) == (1.5, 2, 3, 4)
    assert (meta.size_after, meta.served_by) == (5, "v3")


@pytest.mark.parametrize("value", [2**53 + 1, math.inf, math.nan, "\ud800", object()])
def test_a_value_that_would_arrive_altered_is_not_sent(value: object) -> None:
    handler = InTurn()
    with pytest.raises(SqlError):
        database(handler).execute("SELECT ?", [value])  # type: ignore[list-item]
    assert handler.requests == []


def test_another_number_of_results_than_statements_is_not_taken_for_an_answer() -> None:
    with pytest.raises(DatabaseError, match="2 statements with 1 results"):
        database(InTurn(ok([result()]))).batch([Statement("SELECT 1")] * 2)


@pytest.mark.parametrize("strange", [None, {}, "text", [1]])
def test_an_answer_without_results_is_not_taken_for_a_fault_of_the_statement(strange: object) -> None:
    with pytest.raises(DatabaseUnavailable, match="does not hold results"):
        database(InTurn(ok(strange))).execute("SELECT 1")


# Errors.


@pytest.mark.parametrize(
    "message",
    [
        "no such table: price_data: SQLITE_ERROR",
        "UNIQUE constraint failed: t.x: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)",
        "too many SQL variables at offset 434: SQLITE_ERROR",
    ],
)
@pytest.mark.parametrize("status", [400, 500])
def test_what_sqlite_says_is_a_sql_error_in_the_words_of_the_local_database(message: str, status: int) -> None:
    handler = InTurn(refused(7500, message, status))
    with pytest.raises(SqlError) as caught:
        database(handler).batch([INSERT])
    assert caught.value.message == message
    assert len(handler.requests) == 1


TRANSIENT = [
    "D1 DB reset because its code was updated.",
    "Internal error while starting up D1 DB storage caused object to be reset.",
    "Network connection lost.",
    "Internal error in D1 DB storage caused object to be reset.",
    "Cannot resolve D1 DB due to transient issue on remote node.",
    "D1 DB storage operation exceeded timeout which caused object to be reset.",
    "D1 DB is overloaded. Requests queued for too long.",
    "D1 DB is overloaded. Too many requests queued.",
    "D1 DB's isolate exceeded its memory limit and was reset.",
    "D1 DB exceeded its CPU time limit and was reset.",
]
"""https://developers.cloudflare.com/d1/observability/debug-d1/"""


@pytest.mark.parametrize("message", TRANSIENT)
@pytest.mark.parametrize("status", [400, 500, 503])
def test_errors_that_pass_are_waited_out_where_nothing_can_be_stored_twice(message: str, status: int) -> None:
    handler = InTurn(refused(7500, message, status), ok([result(changes=1)]))
    assert database(handler, idempotent_batches=True).batch([INSERT])[0].meta.changes == 1

    handler = InTurn(refused(7500, message, status))
    with pytest.raises(DatabaseUnavailable, match="not known, so it was not sent again"):
        database(handler).execute("UPDATE t SET x = x + 1")


def test_a_database_that_stays_away_is_retryable_for_the_queue() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        database(InTurn(*[refused(7500, TRANSIENT[0], 500)] * 5), idempotent_batches=True).batch([INSERT])
    assert caught.value.retryable


@pytest.mark.parametrize(
    "message",
    [
        "Your account has exceeded D1's free tier daily row write limit. Upgrade to a paid plan.",
        "Exceeded maximum DB size",
    ],
)
def test_a_used_up_allowance_is_not_blamed_on_the_statement_and_not_tried_again(message: str) -> None:
    handler = InTurn(refused(7500, message))
    with pytest.raises(DatabaseError) as caught:
        database(handler, idempotent_batches=True).batch([INSERT])
    assert not isinstance(caught.value, SqlError)
    assert not caught.value.retryable
    assert "dashboard" in (caught.value.hint or "")


def test_a_wrong_token_and_a_database_that_is_gone_are_told_with_what_to_do() -> None:
    with pytest.raises(Unauthorized, match="Authentication error") as refusal:
        database(InTurn(refused(10000, "Authentication error", 401))).execute("SELECT 1")
    assert "D1: Edit" in (refusal.value.hint or "")
    with pytest.raises(DatabaseNotFound, match="could not be found") as gone:
        database(InTurn(refused(7404, f"The database {ID} could not be found", 404))).execute("SELECT 1")
    assert gone.value.hint == "See what there is: coinswarm d1 list --remote"


# What is sent twice and what never is.


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "  -- a comment; INSERT\n select 1; VALUES (1);",
        "WITH c AS (SELECT 1) SELECT * FROM c",
        "EXPLAIN QUERY PLAN INSERT INTO t VALUES (1)",
        "PRAGMA table_info(t)",
        "SELECT 'INSERT; DELETE'",
    ],
)
def test_reading_is_sent_again_after_a_lost_connection(sql: str) -> None:
    assert is_read_only(sql)
    handler = InTurn(LOST, ok([result(("a",), [[1]])]))
    assert database(handler).execute(sql)[0].rows == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "INSERT OR IGNORE INTO t VALUES (1)",
        "WITH c AS (SELECT 1) INSERT INTO t SELECT * FROM c",
        "SELECT 1; DELETE FROM t",
        "/* SELECT */ UPDATE t SET x = 1",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END",
        "DROP TABLE t",
        "REPLACE INTO t VALUES (1)",
    ],
)
def test_writing_is_never_sent_again_blindly(sql: str) -> None:
    assert not is_read_only(sql)
    handler = InTurn(LOST, ok([result()]))
    with pytest.raises(DatabaseUnavailable, match="whether the request was carried out is not known"):
        database(handler, idempotent_batches=True).execute(sql)
    with pytest.raises(DatabaseUnavailable):
        database(InTurn(LOST, ok([result()]))).batch([Statement("SELECT 1"), Statement(sql)])
    assert len(handler.requests) == 1


def test_writing_is_sent_again_when_it_certainly_never_arrived() -> None:
    refused_connection = httpx.ConnectError("refused", request=httpx.Request("POST", BASE))
    handler = InTurn(refused_connection, refused(971, "throttled", 429), ok([result(changes=1)]))
    assert database(handler).execute("DELETE FROM t")[0].meta.changes == 1


def test_batches_their_user_vouches_for_are_sent_again() -> None:
    handler = InTurn(LOST, ok([result(changes=0)]))
    assert database(handler, idempotent_batches=True).batch([INSERT])[0].meta.changes == 0
    assert len(handler.requests) == 2


# Finding a database.


def test_an_id_or_a_name_is_asked_for_directly() -> None:
    for wanted in (ID, NAME):
        handler = InTurn(ok({"uuid": ID, "name": NAME}))
        opened = RemoteDatabase.open(api_to(handler), wanted)
        assert (opened.id, opened.name, opened.parallel) == (ID, NAME, True)
        assert handler.paths == [f"GET /d1/database/{wanted}?fields=uuid%2Cname"]


@pytest.mark.parametrize(
    "answer",
    [
        refused(7404, "not found", 404),
        refused(7003, "Could not route to /x, perhaps your object identifier is invalid?", 404),
        refused(7400, "Invalid uuid"),
    ],
)
def test_where_names_are_not_taken_for_ids_the_list_is_searched_page_by_page(answer: httpx.Response) -> None:
    others = [{"uuid": f"{i}", "name": f"{NAME}-{i}"} for i in range(100)]
    info = {"page": 1, "per_page": 100, "count": 100, "total_count": 101}
    handler = InTurn(answer, ok(others, result_info=info), ok([{"uuid": ID, "name": NAME}], result_info=info))
    assert find(api_to(handler), NAME).id == ID
    assert handler.paths[1:] == [f"GET /d1/database?name={NAME}&per_page=100&page={n}" for n in (1, 2)]


def test_a_name_that_is_not_there_is_told() -> None:
    handler = InTurn(refused(7404, "not found", 404), ok([{"uuid": "1", "name": NAME + "-old"}]), ok([]))
    with pytest.raises(DatabaseNotFound, match=f"has no D1 database '{NAME}'") as caught:
        find(api_to(handler), NAME)
    assert caught.value.hint == "See what there is: coinswarm d1 list --remote"


def test_a_strange_name_stays_one_segment_of_the_path() -> None:
    handler = InTurn(refused(7404, "not found", 404), ok([]))
    with pytest.raises(DatabaseNotFound):
        find(api_to(handler), "../x?y=1")
    assert handler.paths[0].startswith("GET /d1/database/..%2Fx%3Fy%3D1?fields")


def test_databases_are_listed_and_described() -> None:
    item = {"uuid": ID, "name": NAME, "version": "production", "created_at": "2026-01-01T00:00:00Z"}
    listed = databases(api_to(InTurn(ok([item]), ok([]))))
    assert [(d.id, d.name, d.version) for d in listed] == [(ID, NAME, "production")]
    full = item | {"file_size": 12_288, "num_tables": 2, "running_in_region": "WEUR"}
    described = describe(api_to(InTurn(ok(full))), ID)
    assert (described.file_size, described.num_tables, described.region) == (12_288, 2, "WEUR")
