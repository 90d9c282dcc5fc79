"""A real local D1 whose answers a test can spoil, hold back or forbid."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.types import QueryResult, SqlValue, Statement


class ScriptedDatabase:
    """`before` is called with the number of each batch that writes, 1 first, and may raise; `after` likewise."""

    def __init__(self, real: LocalDatabase, *, parallel: bool = False) -> None:
        self.real = real
        self.parallel = parallel
        self.before: Callable[[int], None] = lambda n: None
        self.after: Callable[[int], None] = lambda n: None
        self.writes = 0
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.real.name

    @property
    def id(self) -> str:
        return self.real.id

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        if not statements[0].sql.startswith("INSERT"):
            return self.real.batch(statements)
        with self._lock:
            self.writes += 1
            number = self.writes
            self.sizes.append(len(statements))
        self.before(number)
        results = self.real.batch(statements)
        self.after(number)
        return results

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        return self.real.execute(sql, params)

    def close(self) -> None:
        self.real.close()


def raising(error: BaseException, *numbers: int) -> Callable[[int], None]:
    """Raises `error` at these batches, at every one when none is named."""

    def hook(number: int) -> None:
        if not numbers or number in numbers:
            raise error

    return hook
