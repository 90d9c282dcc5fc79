"""D1 over HTTP, both ways: the bodies of `/query` and `/raw` and what comes back.

Values cross as in Cloudflare's API: text, numbers and null as JSON has them, a blob as an array of bytes. Numbers are
JavaScript's there, so an integer beyond 2^53 arrives rounded (https://developers.cloudflare.com/d1/worker-api/return-object/)
and a REAL that is whole is written without a fraction. The server sends that; the client refuses to send what would
be rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from coinswarm import envelope
from coinswarm.d1.types import Meta, QueryResult, SqlValue, Statement
from coinswarm.envelope import Reply
from coinswarm.errors import DatabaseUnavailable, InvalidRequest, SqlError

EXACT: Final = 2**53
"""Up to here a double holds every integer."""
_META: Final = tuple(Meta().as_json().items())
_PLAIN: Final = frozenset({int, type(None)})
_AS_THEY_ARE: Final = frozenset({str, float, int, type(None)})
"""Types of parameters that JSON and SQLite have alike, as long as integers stay below 2^53."""
_PLAIN_BELOW: Final = 1e21
"""From here on JavaScript writes a number with an exponent."""

TRANSIENT: Final = (
    "Network connection lost",
    "storage caused object to be reset",
    "reset because its code was updated",
    "caused object to be reset",
    "Cannot resolve D1 DB due to transient issue",
    "client disconnected",
    "D1 DB is overloaded",
    "exceeded its memory limit and was reset",
    "exceeded its CPU time limit and was reset",
)
"""Parts of the messages that pass. https://developers.cloudflare.com/d1/observability/debug-d1/ (read 2026-11-23)."""


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """What `/query` or `/raw` was asked for. Without `batch` the one entry's text may hold several statements."""

    statements: tuple[Statement, ...]
    batch: bool


class _PlainEntry(msgspec.Struct):
    sql: str
    params: list[str | float | Annotated[int, msgspec.Meta(ge=-EXACT, le=EXACT)] | None] = []


class _PlainBatch(msgspec.Struct):
    """A batch with no parameter that is anything but what it looks like: taken as it is, in half the time."""

    batch: list[_PlainEntry]


_plain_decoder: Final = msgspec.json.Decoder(_PlainBatch)


def encode_request(statements: Sequence[Statement]) -> bytes:
    """The body for `/query` or `/raw`: one statement alone, several as a batch (one transaction).

    Raises `InvalidRequest` for a number that JSON or a double cannot hold exactly.
    """
    plain = _encode_plain(statements)
    if plain is not None:
        return plain
    return _encode_entries([(s.sql, [_json_param(p) for p in s.params]) for s in statements])


def _encode_plain(statements: Sequence[Statement]) -> bytes | None:
    """The body if all parameters cross as they are, else None: ten thousand a batch, looked at together."""
    others = [p for s in statements for p in s.params if p.__class__ is not float and p.__class__ is not str]
    if not _PLAIN.issuperset(map(type, others)):
        return None
    integers = [p for p in others if isinstance(p, int)]
    if integers and not _exact(integers):
        return None
    body = _encode_entries([(s.sql, list(s.params)) for s in statements])
    # What is infinite or no number is written as null. A text with that word in it is merely looked at again.
    return body if body.count(b"null") == len(others) - len(integers) else None


def _encode_entries(entries: Sequence[tuple[str, list[Any]]]) -> bytes:
    bodies = [{"sql": sql, "params": params} if params else {"sql": sql} for sql, params in entries]
    return msgspec.json.encode(bodies[0] if len(bodies) == 1 else {"batch": bodies})


def _json_param(value: SqlValue) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    if isinstance(value, float) and value - value != 0:
        raise InvalidRequest(f"the parameter {value} has no form in JSON")
    if isinstance(value, int) and abs(value) > EXACT and int(float(value)) != value:
        raise InvalidRequest(f"the parameter {value} is beyond 2^53, where D1's numbers are not exact; send it as text")
    return value


def decode_request(body: bytes) -> QueryRequest:
    """A body of `/query` or `/raw`, as Cloudflare takes it. Raises `InvalidRequest`.

    Parameters may be text, numbers, null, booleans (bound as 1 and 0) and arrays of bytes.
    """
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        plain = _plain_decoder.decode(body).batch
        if plain:
            return QueryRequest(tuple(Statement(entry.sql, tuple(entry.params)) for entry in plain), batch=True)
    document = decode_object(body)
    entries = document.get("batch")
    if entries is None:
        return QueryRequest((_statement(document, "sql", "params"),), batch=False)
    if not isinstance(entries, list) or not entries:
        raise InvalidRequest("Invalid property: batch => Expected a list with at least one query")
    return QueryRequest(
        tuple(_statement(entry, f"batch.{i}.sql", f"batch.{i}.params") for i, entry in enumerate(entries)), batch=True
    )


def decode_object(body: bytes) -> dict[str, Any]:
    """A request's body that has to be a JSON object; an empty one is `{}`. Raises `InvalidRequest`."""
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The request's body {envelope.why_refused(body, error)}") from None
    if not isinstance(document, dict):
        raise InvalidRequest("The request's body has to be a JSON object")
    return document


def _statement(entry: object, sql_name: str, params_name: str) -> Statement:
    if not isinstance(entry, dict) or entry.get("sql") is None:
        raise InvalidRequest(f"Invalid property: {sql_name} => Required")
    sql, params = entry["sql"], entry.get("params")
    if not isinstance(sql, str):
        raise InvalidRequest(f"Invalid property: {sql_name} => Expected string, received {_kind(sql)}")
    if params is None:
        return Statement(sql)
    if not isinstance(params, list):
        raise InvalidRequest(f"Invalid property: {params_name} => Expected array, received {_kind(params)}")
    kinds = set(map(type, params))
    if _AS_THEY_ARE.issuperset(kinds) and (int not in kinds or _exact([p for p in params if p.__class__ is int])):
        return Statement(sql, tuple(params))
    return Statement(sql, tuple(_sql_value(p, f"{params_name}.{i}") for i, p in enumerate(params)))


def _exact(integers: list[int]) -> bool:
    return min(integers) >= -EXACT and max(integers) <= EXACT


def _sql_value(value: object, name: str) -> SqlValue:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if abs(value) <= EXACT else _double(value, name)
    if value is None or isinstance(value, str | float):
        return value
    if isinstance(value, list):
        try:
            return bytes(value)
        except (ValueError, TypeError):
            raise InvalidRequest(f"Invalid property: {name} => An array has to hold bytes, 0 to 255") from None
    raise InvalidRequest(f"Invalid property: {name} => Expected a string, number, null or array of bytes")


def _double(value: int, name: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InvalidRequest(f"Invalid property: {name} => The number is out of range") from None


def _kind(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def as_received(rows: Sequence[Sequence[SqlValue]]) -> list[tuple[SqlValue, ...]]:
    """Rows of a local database with their integers as D1 hands them out: beyond 2^53 a double's."""
    return [tuple([_json_int(value) if isinstance(value, int) else value for value in row]) for row in rows]


def encode_results(results: Sequence[QueryResult], *, raw: bool) -> list[dict[str, Any]]:
    """The `result` of `/query` (rows as objects) or `/raw` (columns and rows), one element per statement."""
    made: dict[int, dict[str, Any]] = {}  # statements that ran as one share their result
    return [made.get(id(r)) or made.setdefault(id(r), _encoded(r, raw=raw)) for r in results]


def _encoded(result: QueryResult, *, raw: bool) -> dict[str, Any]:
    return {"results": _raw(result) if raw else _objects(result), "success": True, "meta": encode_meta(result.meta)}


def _objects(result: QueryResult) -> list[dict[str, Any]]:
    columns = result.columns
    return [dict(zip(columns, _row(row), strict=True)) for row in result.rows]


def _raw(result: QueryResult) -> dict[str, Any]:
    return {"columns": list(result.columns), "rows": [_row(row) for row in result.rows]}


def _row(row: Sequence[SqlValue]) -> list[Any]:
    return [_JSON[kind](value) if (kind := type(value)) in _JSON else value for value in row]


def _json_int(value: int) -> int:
    return value if -EXACT <= value <= EXACT else _shortest(float(value))


def _json_float(value: float) -> float | int:
    if not value.is_integer() or not -_PLAIN_BELOW < value < _PLAIN_BELOW:
        return value
    return int(value) if -EXACT <= value <= EXACT else _shortest(value)


def _shortest(value: float) -> int:
    """A whole double in the digits that JavaScript writes: the shortest that give it back, then zeros."""
    return int(Decimal(repr(value)))


_JSON: Final[Mapping[type, Any]] = {int: _json_int, float: _json_float, bytes: list}


def encode_meta(meta: Meta) -> dict[str, Any]:
    """`meta` as production has it; there is one copy and one attempt here, and no region to name."""
    return {
        "duration": meta.duration,
        "changes": meta.changes,
        "last_row_id": _json_int(meta.last_row_id),
        "changed_db": meta.changed_db,
        "size_after": meta.size_after,
        "rows_read": meta.rows_read,
        "rows_written": meta.rows_written,
        "served_by": meta.served_by or "coinswarm",
        "served_by_primary": True,
        "timings": {"sql_duration_ms": meta.duration},
        "total_attempts": 1,
    }


def decode_reply(body: bytes, http_status: int) -> Reply:
    """`envelope.decode`, with D1's messages that pass told apart from those about the statement.

    Raises `DatabaseUnavailable` (retryable), `SqlError` or what the envelope's code says.
    """
    try:
        return envelope.decode(body, http_status)
    except SqlError as error:
        if not any(part in error.message for part in TRANSIENT):
            raise
        unavailable = DatabaseUnavailable(error.message)
        unavailable.code, unavailable.http_status = error.code, http_status
        raise unavailable from None


def decode_results(result: Any) -> list[QueryResult]:
    """The results that `/raw` or `/query` sent, one per statement; arrays of bytes become `bytes`.

    A statement that failed inside a successful envelope raises `SqlError`; another shape than Cloudflare's too.
    """
    if not isinstance(result, list):
        raise SqlError("the reply does not hold a list of results")
    return [_result(item) for item in result]


def _result(item: object) -> QueryResult:
    if not isinstance(item, dict):
        raise SqlError("the reply holds something that is not a result")
    if item.get("success") is False:
        raise SqlError(str(item.get("error") or "a statement failed"))
    found, meta = item.get("results") or [], decode_meta(item.get("meta"))
    if isinstance(found, dict):
        return QueryResult(tuple(found.get("columns") or ()), [_values(row) for row in found.get("rows") or ()], meta)
    columns = tuple(found[0]) if found else ()
    return QueryResult(columns, [_values(row[name] for name in columns) for row in found], meta)


def _values(row: Any) -> tuple[SqlValue, ...]:
    return tuple(bytes(value) if type(value) is list else value for value in row)


def decode_meta(found: object) -> Meta:
    """What of a reply's `meta` we keep; fields that are missing keep their defaults."""
    if not isinstance(found, dict):
        return Meta()
    told = found.get
    return Meta(*[told(name) or default for name, default in _META])
