"""D1 over HTTP: values, requests and replies as Cloudflare's API has them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm import envelope
from coinswarm.d1.types import Meta, QueryResult, Statement
from coinswarm.d1.wire import (
    decode_reply,
    decode_request,
    decode_results,
    encode_request,
    encode_results,
)
from coinswarm.errors import (
    ApiUnavailable,
    CloudflareError,
    DatabaseNotFound,
    DatabaseUnavailable,
    InvalidRequest,
    NotRouted,
    QueueExists,
    QueueOverloaded,
    QueuePaused,
    QueuePlanLimit,
    QueueStorageLimit,
    SqlError,
    TooManyRequests,
    Unauthorized,
)

exact_numbers = st.integers(min_value=-(2**53), max_value=2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.binary(max_size=20) | exact_numbers


def over_the_wire(results: list[QueryResult], *, raw: bool) -> list[QueryResult]:
    return decode_results(msgspec.json.decode(msgspec.json.encode(encode_results(results, raw=raw))))


def shown(value: Any) -> str:
    """How a value is written in a row of `/raw`."""
    (encoded,) = encode_results([QueryResult(("a",), [(value,)])], raw=True)
    return msgspec.json.encode(encoded["results"]["rows"][0][0]).decode()


@given(st.lists(st.tuples(values, values), max_size=5))
def test_rows_come_back_as_they_were_sent(rows: list[tuple[Any, Any]]) -> None:
    (back,) = over_the_wire([QueryResult(("a", "b"), rows)], raw=True)
    assert back.columns == ("a", "b")
    assert [as_javascript(row) for row in back.rows] == [as_javascript(row) for row in rows]


def as_javascript(row: tuple[Any, ...]) -> list[Any]:
    """A row whose numbers are doubles, which is all that JSON's are in JavaScript."""
    return [float(value) if isinstance(value, int) else value for value in row]


def test_query_keeps_the_last_of_two_columns_with_one_name_and_raw_keeps_both() -> None:
    result = QueryResult(("id", "id"), [(1, 2)])
    assert encode_results([result], raw=False)[0]["results"] == [{"id": 2}]
    assert encode_results([result], raw=True)[0]["results"] == {"columns": ["id", "id"], "rows": [[1, 2]]}


def test_raw_names_the_columns_of_a_result_without_rows() -> None:
    (back,) = over_the_wire([QueryResult(("a", "b"))], raw=True)
    assert (back.columns, back.rows) == (("a", "b"), [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (2**63 - 1, "9223372036854776000"),
        (-(2**63), "-9223372036854776000"),
        (1.0, "1"),
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (1e21, "1e21"),
        (0.1, "0.1"),
        (float("inf"), "null"),
        (b"\x00\xff", "[0,255]"),
        ("ü\n", '"ü\\n"'),
        (None, "null"),
    ],
)
def test_a_value_is_written_as_javascript_writes_it(value: Any, text: str) -> None:
    assert shown(value) == text


def test_meta_names_what_production_names() -> None:
    (encoded,) = encode_results([QueryResult(meta=Meta(1.5, 2, 3, True, 4096, 5, 6, "here"))], raw=False)
    assert encoded["success"] is True
    assert encoded["meta"] == {
        "duration": 1.5,
        "changes": 2,
        "last_row_id": 3,
        "changed_db": True,
        "size_after": 4096,
        "rows_read": 5,
        "rows_written": 6,
        "served_by": "here",
        "served_by_primary": True,
        "timings": {"sql_duration_ms": 1.5},
        "total_attempts": 1,
    }


def test_what_meta_leaves_out_is_nothing() -> None:
    (result,) = decode_results(
        [{"results": [], "success": True, "meta": {"duration": 1, "region": "X", "changes": None}}]
    )
    assert result.meta == Meta(duration=1)


def test_one_statement_goes_alone_and_several_as_a_batch() -> None:
    assert json.loads(encode_request([Statement("SELECT 1")])) == {"sql": "SELECT 1"}
    assert json.loads(encode_request([Statement("SELECT ?", (b"\x01",)), Statement("SELECT 2")])) == {
        "batch": [{"sql": "SELECT ?", "params": [[1]]}, {"sql": "SELECT 2"}]
    }


@given(st.lists(values, max_size=5), st.integers(min_value=1, max_value=3))
def test_a_request_is_read_as_it_was_written(params: list[Any], count: int) -> None:
    statements = (Statement("INSERT INTO t VALUES (?)", tuple(params)),) * count
    request = decode_request(encode_request(statements))
    assert (request.statements, request.batch) == (statements, count > 1)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63) + 1, float("nan"), float("inf")])
def test_a_number_that_would_not_arrive_as_it_is_is_not_sent(number: Any) -> None:
    with pytest.raises(InvalidRequest):
        encode_request([Statement("SELECT ?", (number,))])


@pytest.mark.parametrize("beside", [(None,), ("null",), ("null", None), (1.5, "x", None, None)])
def test_no_null_beside_it_hides_a_number_that_json_has_no_form_for(beside: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidRequest):
        encode_request([Statement("SELECT 'null', ?", beside), Statement("SELECT ?", (float("nan"),))])
    sound = [Statement("SELECT 'null', ?", beside)] * 2
    assert decode_request(encode_request(sound)).statements == tuple(sound)


def test_booleans_are_bound_as_one_and_zero_and_huge_integers_as_javascript_reads_them() -> None:
    request = decode_request(b'{"sql": "SELECT ?, ?, ?", "params": [true, false, 9007199254740993]}')
    assert request.statements[0].params == (1, 0, 9007199254740992.0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "Invalid property: sql => Required"),
        (b"", "Invalid property: sql => Required"),
        (b'{"sql": 1}', "Invalid property: sql => Expected string, received number"),
        (b'{"sql": "x", "params": {}}', "Invalid property: params => Expected array, received object"),
        (b'{"sql": "x", "params": [[256]]}', "params.0 => An array has to hold bytes"),
        (b'{"sql": "x", "params": [["a"]]}', "params.0 => An array has to hold bytes"),
        (b'{"sql": "x", "params": [{}]}', "params.0 => Expected a string, number, null or array of bytes"),
        (b'{"sql": "x", "params": [1' + b"0" * 400 + b"]}", "params.0 => The number is out of range"),
        (b'{"batch": []}', "Invalid property: batch => Expected a list with at least one query"),
        (b'{"batch": {}}', "Invalid property: batch"),
        (b'{"batch": [1]}', "Invalid property: batch.0.sql => Required"),
        (b'{"batch": [{"sql": "x", "params": 1}]}', "Invalid property: batch.0.params => Expected array"),
        (b"[]", "has to be a JSON object"),
        (b"nonsense", "is not JSON"),
        (b'{"sql": "\xff"}', "is not JSON"),
        (b'{"sql": "\\ud800"}', "half a surrogate pair"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_body_that_is_no_query_is_refused_by_name(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body)
    assert message in refusal.value.message
    assert (refusal.value.code, refusal.value.http_status) == (7400, 400)


def failure(code: int, message: str) -> bytes:
    return json.dumps({"result": None, "success": False, "errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(
    ("body", "status", "kind", "code"),
    [
        (failure(7500, "no such table: t: SQLITE_ERROR"), 400, SqlError, 7500),
        (failure(7500, "D1 DB is overloaded. Requests queued for too long."), 500, DatabaseUnavailable, 7500),
        (failure(7404, "gone"), 404, DatabaseNotFound, 7404),
        (failure(10000, "Authentication error"), 403, Unauthorized, 10000),
        (failure(7003, "Could not route"), 404, NotRouted, 7003),
        (failure(971, "Please wait"), 429, TooManyRequests, 971),
        (failure(10000, "anything"), 429, TooManyRequests, 10000),
        (failure(98765, "new"), 429, TooManyRequests, 98765),
        (failure(10250, "QueueOverloaded"), 429, QueueOverloaded, 10250),
        (failure(10251, "QueueStorageLimitExceeded"), 429, QueueStorageLimit, 10251),
        (failure(10253, "FreeTierLimitExceeded"), 429, QueuePlanLimit, 10253),
        (failure(10252, "QueueDisabled"), 409, QueuePaused, 10252),
        (failure(98765, "queue_delivery_paused"), 409, QueuePaused, 98765),
        (failure(11009, "taken"), 409, QueueExists, 11009),
        (b"slow down", 429, TooManyRequests, 971),
        (failure(98765, "new"), 502, ApiUnavailable, 98765),
        (b"<html>bad gateway</html>", 502, ApiUnavailable, 15000),
        (b"<html>log in</html>", 200, ApiUnavailable, 15000),
        (b'{"success": false, "errors": ["text"]}', 418, CloudflareError, 10000),
    ],
)
def test_a_failure_is_raised_as_what_it_is(body: bytes, status: int, kind: type[CloudflareError], code: int) -> None:
    with pytest.raises(kind) as failed:
        decode_reply(body, status)
    assert (failed.value.code, failed.value.http_status) == (code, status)


def test_a_failure_says_every_error_once() -> None:
    body = json.dumps(
        {"success": False, "errors": [{"code": 7003, "message": "a"}, {"code": 7000, "message": "b"}, {"message": "a"}]}
    )
    with pytest.raises(NotRouted, match=r"^a; b$"):
        decode_reply(body.encode(), 404)


def test_a_success_gives_its_result_and_page() -> None:
    reply = decode_reply(envelope.encode([1], envelope.PageInfo(1, 10, 1, 1)), 200)
    assert reply.result == [1]
    assert reply.result_info["total_count"] == 1
    assert decode_reply(b"", 204).result is None


@pytest.mark.parametrize("result", [None, {}, [1], [{"success": False, "error": "no"}]])
def test_a_result_in_another_shape_is_an_error_and_not_an_empty_table(result: Any) -> None:
    with pytest.raises(SqlError):
        decode_results(result)


@pytest.mark.parametrize(("page", "expected"), [(1, [1, 2]), (2, [3]), (3, [])])
def test_a_page_beyond_the_end_is_empty(page: int, expected: list[int]) -> None:
    part, info = envelope.page_of([1, 2, 3], page, 2)
    assert (list(part), info.count, info.total_count) == (expected, len(expected), 3)
