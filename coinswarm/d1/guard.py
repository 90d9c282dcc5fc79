"""What D1 refuses, refused here: limits, statements, pragmas, functions and names.

The rules are those of workerd's `SqliteDatabase` (https://github.com/cloudflare/workerd, src/workerd/util/sqlite.c++:
`setupSecurity`, `isAuthorized`) and of https://developers.cloudflare.com/d1/sql-api/sql-statements/. Which functions
are allowed was found by calling each one in workerd. SQLite asks the authorizer while it compiles a statement, so a
statement that is run again costs nothing here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import Final, NamedTuple

from coinswarm.d1.splitter import tokens, verb
from coinswarm.errors import SqlError
from coinswarm.limits import D1

NO_STATEMENT: Final = "SQL code did not contain a statement."
ONE_STATEMENT: Final = "A prepared SQL statement must contain only one statement."
WRONG_BINDINGS: Final = "Wrong number of parameter bindings for SQL query."
TOO_LONG: Final = "statement too long: SQLITE_TOOBIG"
NOT_AUTHORIZED: Final = "not authorized: SQLITE_AUTH"
NO_TRANSACTIONS: Final = (
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript API is safer because it will "
    "automatically roll back on exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
    "write coalescing."
)
NO_VACUUM: Final = "cannot VACUUM from within a transaction: SQLITE_ERROR"
NO_NAMED_PARAMETERS: Final = "D1 takes ? and ?NNN as parameters, not {0}."

_TRANSACTION: Final = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_SCHEMA: Final = frozenset({"CREATE", "DROP", "ALTER", "ANALYZE", "REINDEX"})
_WRITE: Final = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE"})

_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: D1.value_bytes,
    sqlite3.SQLITE_LIMIT_COLUMN: D1.columns,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: D1.expression_depth,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: D1.compound_select_terms,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: D1.function_arguments,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: D1.like_pattern_bytes,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: D1.bound_parameters,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}

_BOOLEANS: Final = frozenset({"0", "1", "on", "off", "true", "false", "yes", "no"})
_BOOLEAN_PRAGMAS: Final = {
    "case_sensitive_like": "OFF",
    "defer_foreign_keys": "OFF",
    "foreign_keys": "ON",
    "ignore_check_constraints": "OFF",
    "legacy_alter_table": "OFF",
    "recursive_triggers": "OFF",
    "reverse_unordered_selects": "OFF",
}
"""With what they are between two calls. They would stay as they were set; in D1 they last one transaction."""
_PLAIN_PRAGMAS: Final = frozenset({"data_version", "page_size"})
_OBJECT_PRAGMAS: Final = frozenset(
    {"foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_xinfo"}
)
_ANY_PRAGMAS: Final = frozenset({"foreign_key_check", "quick_check", "optimize", "table_list"})
_OUR_PRAGMAS: Final = frozenset({"page_count", "freelist_count", "schema_version"})

_MODULES: Final = frozenset({"fts5", "fts5vocab", "rtree", "rtree_i32"})
_HIDDEN_TABLES: Final = frozenset({"dbstat", "sqlite_stmt", "sqlite_dbpage", "sqlite_dbptr", "bytecode", "tables_used"})
_FUNCTIONS: Final = """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil changes char coalesce concat concat_ws cos cosh
    count cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value
    floor format glob group_concat hex highlight ifnull iif instr json json_array json_array_length json_each
    json_extract json_group_array json_group_object json_insert json_object json_patch json_quote json_remove
    json_replace json_set json_tree json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array
    jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set julianday lag
    last_insert_rowid last_value lead length like likelihood likely ln log log2 lower ltrim match max min mod
    nth_value ntile nullif octet_length percent_rank pi pow printf quote radians random randomblob rank
    replace round row_number rtrim rtreecheck sign sin sinh snippet sqrt strftime string_agg substr substring sum
    tan tanh time timediff total total_changes trim trunc typeof unhex unicode unixepoch unlikely upper zeroblob
"""
_ALTER_TABLE: Final = (
    "sqlite_rename_column sqlite_rename_table sqlite_rename_test sqlite_rename_quotefix sqlite_drop_column"
)
"""What SQLite itself calls to carry out ALTER TABLE; SQL text cannot reach these."""
_ALLOWED: Final = frozenset((_FUNCTIONS + _ALTER_TABLE).split())

_TEMP_ACTIONS: Final = frozenset(
    getattr(sqlite3, f"SQLITE_{what}_TEMP_{kind}")
    for what in ("CREATE", "DROP")
    for kind in ("INDEX", "TABLE", "TRIGGER", "VIEW")
)
_FORBIDDEN_ACTIONS: Final = _TEMP_ACTIONS | {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}
_COLUMN_ACTIONS: Final = frozenset({sqlite3.SQLITE_READ, sqlite3.SQLITE_UPDATE})
_ROW_ACTIONS: Final = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_UPDATE})


class Kind(Enum):
    """What running a statement needs."""

    READ = "read"
    WRITE = "write"
    SCHEMA = "schema"
    PRAGMA = "pragma"


class Action(NamedTuple):
    """One thing a statement does, as SQLite tells its authorizer. https://www.sqlite.org/c3ref/c_alter_table.html"""

    code: int
    first: str | None
    second: str | None


def inspect(sql: str) -> Kind:
    """What kind of statement this is. Raises `SqlError` for what can be refused without compiling it."""
    if len(sql) * 4 > D1.statement_bytes and len(sql.encode("utf-8", "replace")) > D1.statement_bytes:
        raise SqlError(TOO_LONG)
    word = verb(sql)
    if not word:
        raise SqlError(NO_STATEMENT)
    explained = word == "EXPLAIN"
    if explained:
        word = _explained(sql)
    if word in _TRANSACTION:
        raise SqlError(NO_TRANSACTIONS)
    if word == "PRAGMA":  # to compile it is to set it: SQLite does so even for EXPLAIN
        return Kind.PRAGMA
    if explained:
        return Kind.READ
    if word == "VACUUM":
        raise SqlError(NO_VACUUM)
    if word == "ALTER" and _reserved(_new_name(sql)):
        raise SqlError(NOT_AUTHORIZED)
    return Kind.WRITE if word in _WRITE else Kind.SCHEMA if word in _SCHEMA else Kind.READ


def _explained(sql: str) -> str:
    """The first word of the statement that `EXPLAIN` or `EXPLAIN QUERY PLAN` explains, in upper case."""
    words = [piece.upper() for _, piece, _ in islice(_pieces(sql), 1, 4)]
    if words[:2] == ["QUERY", "PLAN"]:
        words = words[2:]
    return words[0] if words else ""


def _new_name(sql: str) -> str | None:
    """What `ALTER TABLE … RENAME TO` makes of the table's name; None if it does something else.

    SQLite tells its authorizer the old name alone, so the text is looked at.
    """
    before = ""
    pieces = islice(_pieces(sql), 3, None)  # behind ALTER TABLE and the name, or what begins it
    for kind, piece, _ in pieces:
        if kind == "word" and before != ".":
            to, name = ([text for _, text, _ in islice(pieces, 2)] + ["", ""])[:2]
            return name.lstrip("'\"`[") if (piece.upper(), to.upper()) == ("RENAME", "TO") else None
        before = piece
    return None


def _pieces(sql: str) -> Iterator[tuple[str, str, int]]:
    """The tokens without semicolons, with which a text may begin."""
    return (token for token in tokens(sql) if token[1] != ";")


def refuse_named_parameters(sql: str) -> None:
    """D1 knows `?` and `?NNN` only. https://developers.cloudflare.com/d1/worker-api/prepared-statements/"""
    if ":" in sql or "@" in sql or "$" in sql:
        for kind, piece, _ in tokens(sql):
            if kind == "parameter" and piece[0] != "?":
                raise SqlError(NO_NAMED_PARAMETERS.format(piece))


class Guard:
    """The limits and the authorizer of one connection."""

    def __init__(self) -> None:
        self.trusted = False
        """Set while our own pragmas run."""
        self.actions: list[Action] | None = None
        """When it is a list, what statements do is appended to it while they are compiled."""
        self.set: set[str] = set()
        """Pragmas that were set and might outlive the transaction."""

    def install(self, connection: sqlite3.Connection) -> None:
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_authorizer(self._authorize)

    def restore(self, connection: sqlite3.Connection) -> None:
        """Undo pragmas at the end of a call: in D1 they last one transaction."""
        for name in sorted(self.set):
            connection.execute(f"PRAGMA {name}={_BOOLEAN_PRAGMAS[name]}")
        self.set.clear()

    def _authorize(
        self, code: int, first: str | None, second: str | None, schema: str | None, trigger: str | None
    ) -> int:
        if self.actions is not None and trigger is None:
            self.actions.append(Action(code, first, second))
        return sqlite3.SQLITE_OK if self._allows(code, first, second, schema) else sqlite3.SQLITE_DENY

    def _allows(self, code: int, first: str | None, second: str | None, schema: str | None) -> bool:
        if code == sqlite3.SQLITE_FUNCTION:
            return (second or "").lower() in _ALLOWED
        if code == sqlite3.SQLITE_PRAGMA:
            return self._allows_pragma(first or "", second)
        if code in _FORBIDDEN_ACTIONS:
            return False
        if code in _COLUMN_ACTIONS:
            return not _reserved(first) and first not in _HIDDEN_TABLES
        if code == sqlite3.SQLITE_CREATE_VTABLE and (second or "").lower() not in _MODULES:
            return False
        if code in _ROW_ACTIONS and schema == "temp":
            return False
        return not (_reserved(first) or _reserved(second))

    def _allows_pragma(self, name: str, argument: str | None) -> bool:
        """workerd knows pragmas in lower case only."""
        if self.trusted and name in _OUR_PRAGMAS:
            return True
        if name in _BOOLEAN_PRAGMAS:
            if argument is None:
                return True
            self.set.add(name)
            return argument.lower() in _BOOLEANS
        if name in _PLAIN_PRAGMAS:
            return argument is None
        if name in _OBJECT_PRAGMAS:
            return argument is not None and not _reserved(argument)
        return name in _ANY_PRAGMAS and not _reserved(argument)


def _reserved(name: str | None) -> bool:
    return name is not None and name[:4].lower() == "_cf_"
