"""What a D1 database is, for everyone who uses one: values and the protocol. Knows nothing of queues or candles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

SqlValue = str | int | float | bytes | None


class Statement(NamedTuple):
    """One SQL statement with its positional parameters (`?` or `?NNN`)."""

    sql: str
    params: Sequence[SqlValue] = ()


@dataclass(slots=True)
class Meta:
    """What D1 says about a statement it ran. https://developers.cloudflare.com/d1/worker-api/return-object/"""

    duration: float = 0.0
    """Milliseconds."""
    changes: int = 0
    """Rows changed, triggers and foreign key actions included."""
    last_row_id: int = 0
    changed_db: bool = False
    size_after: int = 0
    """Bytes of the database."""
    rows_read: int = 0
    rows_written: int = 0
    """Billed rows: one for the table, one for every index."""
    served_by: str = ""

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class QueryResult:
    """One statement's rows and meta."""

    columns: Sequence[str] = ()
    rows: list[tuple[SqlValue, ...]] = field(default_factory=list)
    meta: Meta = field(default_factory=Meta)

    @property
    def objects(self) -> list[dict[str, SqlValue]]:
        """Rows as objects; of columns with the same name the last one wins, as in D1."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Database(Protocol):
    """One D1 database, local or remote. Every call is one implicit transaction: all of it or nothing.

    Methods may be called from several threads at once.
    """

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> str:
        """The database's uuid."""
        ...

    @property
    def parallel(self) -> bool:
        """Whether several calls at once are faster than one after the other: true over a network, false for a file."""
        ...

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        """Run single statements in order, one result each.

        Raises `SqlError` (nothing was written), `DatabaseUnavailable` (retryable) or another `DatabaseError`,
        or a `StorageError` of the local file.
        """
        ...

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        """Run SQL text that may hold several statements, one result each. Parameters need a single statement."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class TakesTurns(Protocol):
    """A database that prepares a call before its turn to send it has come."""

    turns: AbstractContextManager[object]
    """Held while a request is under way; to be replaced by whoever wants fewer at once than there are callers."""
