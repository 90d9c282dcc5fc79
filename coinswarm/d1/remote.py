"""Cloudflare's own D1 over HTTP: the same `Database` as the local one.

One call is one request and one transaction there. Rows come from `/raw`, which keeps the names of columns that appear
twice or hold no row; `/query` does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from coinswarm.cloudflare import CloudflareApi, segment
from coinswarm.d1 import wire
from coinswarm.d1.splitter import split, verb
from coinswarm.d1.types import QueryResult, SqlValue, Statement
from coinswarm.envelope import Reply
from coinswarm.errors import (
    ApiUnavailable,
    DatabaseError,
    DatabaseNotFound,
    DatabaseUnavailable,
    InvalidRequest,
    NotRouted,
    SqlError,
    TooManyRequests,
)
from coinswarm.limits import D1

REPLY_SECONDS: Final = D1.query_seconds + 15.0
"""D1 ends a request after 30 seconds; its answer may take a little longer to come."""
NOT_THE_STATEMENT: Final = ("D1's free tier", "Exceeded maximum DB size", "database or disk is full")
"""Parts of messages that no other statement would escape: the allowance of the day is used up, the database is full."""
USE_HINT: Final = "See the database's use and limits in Cloudflare's dashboard; then run the same command again."
PAGE: Final = 100
LIST_HINT: Final = "See what there is: coinswarm d1 list --remote"


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """A database as the API describes it."""

    id: str
    name: str
    created_at: str = ""
    version: str = ""
    file_size: int | None = None
    """Bytes; None where the API does not say, as in its list."""
    num_tables: int = 0
    region: str = ""


class RemoteDatabase:
    """One D1 database behind `api`, which may be shared with others. Threads may call at once, and gain by it.

    When a connection breaks after the request was sent, nobody knows whether the transaction was carried out. What only
    reads is then sent again, and so are the batches of a database opened with `idempotent_batches`: its user vouches
    that a batch run twice leaves what one run leaves, as the consumer's inserts-or-nothing do (rows that the first
    sending stored then count as already present). Anything else raises `DatabaseUnavailable`, which says so.
    """

    parallel = True

    def __init__(self, api: CloudflareApi, database_id: str, name: str, *, idempotent_batches: bool = False) -> None:
        self._api, self._id, self._name = api, database_id, name
        self._idempotent_batches = idempotent_batches
        self._path = f"{api.account}/d1/database/{segment(database_id)}/raw"
        self.turns: AbstractContextManager[object] = nullcontext()
        """See `TakesTurns`."""

    @classmethod
    def open(cls, api: CloudflareApi, name_or_id: str, *, idempotent_batches: bool = False) -> RemoteDatabase:
        """The database of that name or id. Raises `DatabaseNotFound`."""
        info = find(api, name_or_id)
        return cls(api, info.id, info.name, idempotent_batches=idempotent_batches)

    def __repr__(self) -> str:
        return f"RemoteDatabase({self._name!r}, {self._id!r})"

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        return self._id

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        """Run single statements in order, in one request and one transaction; one result each."""
        if not statements:
            return []
        repeatable = self._idempotent_batches or all(is_read_only(statement.sql) for statement in statements)
        results = self._run(statements, repeatable=repeatable)
        if len(results) != len(statements):
            raise DatabaseError(f"D1 answered {len(statements)} statements with {len(results)} results")
        return results

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        """Run SQL text that may hold several statements, in one request and one transaction; one result each."""
        return self._run([Statement(sql, params)], repeatable=is_read_only(sql))

    def close(self) -> None:
        """Nothing is held here; the owner of the API's client closes it."""

    def _run(self, statements: Sequence[Statement], *, repeatable: bool) -> list[QueryResult]:
        body = _encode(statements)
        with as_database_errors():
            reply = self._api.call(
                "POST",
                self._path,
                body=body,
                repeatable=repeatable,
                seconds=REPLY_SECONDS,
                decode=decode,
                turns=self.turns,
            )
        if not isinstance(reply.result, list) or not all(isinstance(item, dict) for item in reply.result):
            raise DatabaseUnavailable(f"the reply for {self._name} does not hold results")
        return wire.decode_results(reply.result)


def find(api: CloudflareApi, name_or_id: str) -> DatabaseInfo:
    """The database of that name or id. Raises `DatabaseNotFound`.

    An id is asked for as it is, and so is a name; where the API wants ids only, the list is searched.
    """
    path = f"{api.account}/d1/database/{segment(name_or_id)}"
    with as_database_errors():
        try:
            found = _info(api.call("GET", path, params={"fields": "uuid,name"}, decode=decode).result)
            if name_or_id in (found.id, found.name):
                return found
        except (DatabaseNotFound, InvalidRequest, NotRouted):
            pass
        for item in api.pages(f"{api.account}/d1/database", name=name_or_id, per_page=PAGE):
            if name_or_id in (item.get("name"), item.get("uuid")):
                return _info(item)
    raise DatabaseNotFound(f"account {api.account_id} has no D1 database {name_or_id!r}", hint=LIST_HINT)


def databases(api: CloudflareApi) -> list[DatabaseInfo]:
    """All D1 databases of the account."""
    with as_database_errors():
        return [_info(item) for item in api.pages(f"{api.account}/d1/database", per_page=PAGE)]


def describe(api: CloudflareApi, database_id: str) -> DatabaseInfo:
    """All that the API says of one database. Raises `DatabaseNotFound`."""
    with as_database_errors():
        return _info(api.call("GET", f"{api.account}/d1/database/{segment(database_id)}", decode=decode).result)


def _info(found: Any) -> DatabaseInfo:
    if not isinstance(found, Mapping) or not found.get("uuid"):
        raise DatabaseError("the API described a database without a uuid")
    return DatabaseInfo(
        id=found["uuid"],
        name=found.get("name") or "",
        created_at=found.get("created_at") or "",
        version=found.get("version") or "",
        file_size=found.get("file_size") or None,
        num_tables=found.get("num_tables") or 0,
        region=found.get("running_in_region") or "",
    )


@lru_cache(maxsize=64)
def is_read_only(sql: str) -> bool:
    """Whether every statement of `sql` only reads. PRAGMAs count: their effect ends with the transaction."""
    return all(verb(statement) in ("SELECT", "VALUES", "EXPLAIN", "PRAGMA") for statement in split(sql))


def _encode(statements: Sequence[Statement]) -> bytes:
    """Raises `SqlError` for parameters that cannot be sent, as the local database does for those it cannot bind."""
    try:
        return wire.encode_request(statements)
    except InvalidRequest as error:
        raise SqlError(error.message) from None
    except (TypeError, UnicodeEncodeError) as error:
        raise SqlError(f"a statement or parameter cannot be sent as JSON: {error}") from None


def decode(body: bytes, http_status: int) -> Reply:
    """`wire.decode_reply`, with what concerns the account or the whole database told apart from the statement."""
    try:
        reply = wire.decode_reply(body, http_status)
    except SqlError as error:
        if any(part in error.message for part in NOT_THE_STATEMENT):
            raise DatabaseError(error.message, hint=USE_HINT) from None
        raise
    except DatabaseNotFound as error:
        error.hint = LIST_HINT
        raise
    return reply


@contextmanager
def as_database_errors() -> Iterator[None]:
    """What concerns the way to D1 is, for whoever uses a `Database`, D1 not being there for now."""
    try:
        yield
    except (ApiUnavailable, TooManyRequests) as error:
        raise DatabaseUnavailable(error.message, hint=error.hint) from error
