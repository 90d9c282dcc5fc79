"""One open connection that runs statements as D1 does: one transaction a call, guarded, timed and metered."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from coinswarm.d1 import faults
from coinswarm.d1.fetching import Rows, fetched
from coinswarm.d1.guard import Guard, Kind, refuse_named_parameters
from coinswarm.d1.joining import TOGETHER, joined
from coinswarm.d1.meter import Cost, Meter
from coinswarm.d1.texts import Text, Texts, note_new
from coinswarm.d1.types import Meta, QueryResult, SqlValue, Statement
from coinswarm.errors import DatabaseUnavailable, SqlError
from coinswarm.failpoints import OPENED, failpoint
from coinswarm.storage import connect, storage_error, translated

SERVED_BY: Final = "coinswarm.local"
CACHE_KIB: Final = 8_000
"""SQLite's page cache: the upper levels of a large table, and little beside the process itself."""

_OPERATIONS_PER_CHECK: Final = 50_000
"""SQLite's virtual machine looks at the clock this often, about every millisecond."""
# The comment keeps Python's statement cache from handing these, compiled, to someone who sends the bare pragma.
_PAGE_COUNT: Final = "PRAGMA page_count -- ours"
_FREE_PAGES: Final = "PRAGMA freelist_count -- ours"
_SCHEMA_VERSION: Final = "PRAGMA schema_version -- ours"

_WRITING: Final = (Kind.WRITE, Kind.SCHEMA)
_UNCHANGED: Final = Cost(per_row=0)
"""Of a statement that found the schema as it wanted it."""


class NotUtf8(Exception):
    """A TEXT value is not UTF-8; the call was rolled back and can be run with `lenient=True`."""


class Engine:
    """A connection to one database file; not to be used by two threads at once.

    Opening raises the `StorageError` that fits, `run` also `SqlError` and `DatabaseUnavailable`.
    """

    def __init__(
        self,
        path: Path,
        *,
        monotonic: Callable[[], float],
        create: bool,
        busy_timeout: float,
        max_bytes: int,
        reply_bytes: int,
    ) -> None:
        self._path = path
        self._monotonic = monotonic
        self._max_bytes = max_bytes
        self._reply_bytes = self._room = reply_bytes
        self._deadline = math.inf
        self._guard = Guard()
        self._texts = Texts()
        self._schema: int | None = None
        self._size = 0
        self._connection = connect(path, busy_timeout=busy_timeout, create=create)
        try:
            with translated(path):
                for pragma in ("foreign_keys=ON", "recursive_triggers=OFF", f"cache_size=-{CACHE_KIB}"):
                    self._connection.execute(f"PRAGMA {pragma}")
                self._page_size = self._number("PRAGMA page_size")
                self._number(_SCHEMA_VERSION)
        except BaseException:
            self._connection.close()
            raise
        failpoint(OPENED, self._connection)
        self._cursor = self._connection.cursor()
        self._meter = Meter(self._connection, self._guard)
        self._connection.set_progress_handler(self._is_late, _OPERATIONS_PER_CHECK)
        self._guard.install(self._connection)

    @property
    def in_transaction(self) -> bool:
        """Between calls only if rolling back failed."""
        return self._connection.in_transaction

    def close(self) -> None:
        failpoint("d1.closing")
        self._connection.close()

    def run(self, statements: Sequence[Statement], *, deadline: float, lenient: bool = False) -> list[QueryResult]:
        """All statements in one transaction, or none. `lenient` replaces what is not UTF-8 instead of `NotUtf8`."""
        texts = [self._texts[sql] for sql, _ in statements]
        self._deadline = deadline
        self._room = self._reply_bytes
        if lenient:
            self._connection.text_factory = _replacing
        try:
            self._begin(texts)
            results = self._run_together(statements, texts)
            if results is None:
                results = self._run_all(statements, texts)
                note_new(texts, results)
            self._commit(results)
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._deadline = math.inf
            self._guard.actions = None
            self._connection.text_factory = str
            if self._guard.set:
                self._guard.restore(self._connection)
        return results

    def _begin(self, texts: Sequence[Text]) -> None:
        try:
            if any(text.kind in _WRITING for text in texts):
                self._connection.execute("BEGIN IMMEDIATE")
            elif len(texts) != 1 or texts[0].kind is not Kind.READ:
                self._connection.execute("BEGIN")
            self._note_schema()
        except sqlite3.Error as error:
            raise storage_error(error, self._path) from error

    def _run_together(self, statements: Sequence[Statement], texts: Sequence[Text]) -> list[QueryResult] | None:
        """As `_run_all`, equal inserts joined; None, and nothing is done, if there are none or not each row was new."""
        count = len(texts) // TOGETHER * TOGETHER
        text = texts[0] if count else None
        if text is None or text.apart or texts[:count].count(text) < count:
            return None
        results: list[QueryResult] = []
        if (joined := text.joined) is None or (cost := text.cost) is None:
            return None
        for first in range(0, count, TOGETHER):
            started = self._monotonic()
            if not joined.store(self._connection, self._cursor, statements[first : first + TOGETHER]):
                self._begin_again(texts)
                return None
            spent = (self._monotonic() - started) * 1000 / TOGETHER
            last, written = self._cursor.lastrowid or 0, cost.rows_written(joined.rows, joined.rows)
            results += [
                QueryResult(meta=Meta(spent, joined.rows, last, True, 0, cost.reads, written, SERVED_BY))
            ] * TOGETHER
        return results + self._run_all(statements[count:], texts[count:], before=count)

    def _run_all(self, statements: Sequence[Statement], texts: Sequence[Text], *, before: int = 0) -> list[QueryResult]:
        """The hot path: everything that can be known by SQL text is known already. `before` so many others have run."""
        connection, cursor, monotonic = self._connection, self._cursor, self._monotonic
        results: list[QueryResult] = []
        changed = connection.total_changes
        started = monotonic()
        for number, ((sql, params), text) in enumerate(zip(statements, texts, strict=True), start=before + 1):
            cost = text.cost
            columns: Sequence[str] = ()
            rows: Rows = []
            try:
                if cost is None:
                    self._watch(sql, params)
                cursor.execute(sql, params)
                if cursor.description is not None:
                    columns = [column[0] for column in cursor.description]
                    rows, self._room = fetched(cursor, self._room)
                after = connection.total_changes
                changes = after - changed
                direct = cursor.rowcount
                now = monotonic()
                if cost is None:
                    cost = self._reckon(sql, params, text)
                read = cost.reads if cost.plain else self._meter.rows_read(cost, len(rows), changes)
            except faults.FAILURES as error:
                known = self._translated(error, sql, params)
                if isinstance(known, SqlError) and before + len(statements) > 1 and known.hint is None:
                    known.hint = faults.which(number, sql, before + len(statements))
                raise known from error
            meta = Meta(
                (now - started) * 1000,
                changes,
                cursor.lastrowid or 0,
                changes != 0,
                0,
                read,
                cost.rows_written(changes, direct),
                SERVED_BY,
            )
            results.append(QueryResult(columns, rows, meta))
            if text.kind is Kind.SCHEMA and cost is not _UNCHANGED:
                meta.changed_db = True
            if now > self._deadline:
                raise DatabaseUnavailable(faults.TIMED_OUT)
            changed, started = after, now
        return results

    def _commit(self, results: Sequence[QueryResult]) -> None:
        try:
            size = (self._number(_PAGE_COUNT) - self._number(_FREE_PAGES)) * self._page_size
        except sqlite3.Error as error:
            raise storage_error(error, self._path) from error
        if self._connection.in_transaction:
            if size > self._max_bytes and size > self._size:
                raise SqlError(faults.DATABASE_FULL)
            failpoint("d1.committing")
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._translated(error, "COMMIT", ()) from error
            failpoint("d1.committed")
        self._size = size
        for result in results:
            result.meta.size_after = size

    def _begin_again(self, texts: Sequence[Text]) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise storage_error(error, self._path) from error
        self._begin(texts)

    def _roll_back(self) -> None:
        self._deadline = math.inf
        self._schema = None
        self._cursor.close()  # what it has not fetched would keep the file as it was for it
        self._cursor = self._connection.cursor()
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _watch(self, sql: str, params: Sequence[SqlValue]) -> None:
        if params:
            refuse_named_parameters(sql)
        self._guard.actions = []

    def _reckon(self, sql: str, params: Sequence[SqlValue], text: Text) -> Cost:
        """The cost of a text that has just run for the first time under this schema."""
        actions = self._guard.actions
        if not actions:  # it was still compiled from an earlier time: compile it again, in vain
            self._guard.actions = actions = []
            with suppress(sqlite3.Error):
                self._connection.execute(f"EXPLAIN {sql}", params)
        self._guard.actions = None
        if text.kind is Kind.SCHEMA:
            if not self._note_schema():
                return _UNCHANGED
            return self._meter.cost(text.kind, sql, params, actions)
        text.cost = self._meter.cost(text.kind, sql, params, actions)
        text.joined = joined(sql) if text.cost.joins and text.cost.plain else None
        return text.cost

    def _note_schema(self) -> bool:
        """Whether the schema is another than at the last look; then what was reckoned under it is forgotten."""
        version = self._number(_SCHEMA_VERSION)
        if version == self._schema:
            return False
        self._schema = version
        self._meter.forget()
        self._texts.forget()
        return True

    def _number(self, pragma: str) -> int:
        self._guard.trusted = True
        try:
            return int(self._connection.execute(pragma).fetchone()[0])
        finally:
            self._guard.trusted = False

    def _is_late(self) -> bool:
        return self._monotonic() > self._deadline

    def _translated(self, error: faults.Failure, sql: str, params: Sequence[SqlValue]) -> Exception:
        if str(error).startswith(faults.NOT_UTF8):
            return NotUtf8()
        return faults.translate(error, self._path, sql, params, self._complaint)

    def _complaint(self, sql: str) -> str | None:
        """SQLite's message about a statement that is compiled and not run."""
        try:
            self._connection.execute(f"EXPLAIN {sql}")
        except sqlite3.Error as error:
            return str(error)
        return None


def _replacing(text: bytes) -> str:
    return text.decode("utf-8", "replace")
