"""How many batches are stored at once, and how many are made ready meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Barrier, Event, Lock

import pytest

from coinswarm.consumer.pools import AHEAD, pool_for
from coinswarm.d1.types import QueryResult, SqlValue, Statement

CONCURRENCY = 5


class Network:
    """A remote database whose calls wait for each other: none returns before `CONCURRENCY` are under way."""

    name = id = "prices"
    parallel = True

    def __init__(self) -> None:
        self.turns: AbstractContextManager[object] = nullcontext()
        self.lock = Lock()
        self.full = Barrier(CONCURRENCY, timeout=10)
        self.ahead = Event()
        self.preparing = self.under_way = self.most_under_way = 0

    def batch(self, statements: Sequence[Statement]) -> list[QueryResult]:
        with self.lock:
            self.preparing += 1
            if self.preparing == CONCURRENCY + AHEAD:
                self.ahead.set()
        with self.turns:
            with self.lock:
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
            self.full.wait()
            assert self.ahead.wait(10), "while all requests are under way, more batches are made ready"
            with self.lock:
                self.under_way -= 1
                self.preparing -= 1
        return []

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[QueryResult]:
        raise AssertionError

    def close(self) -> None: ...


def test_requests_are_bounded_by_the_concurrency_and_some_more_are_made_ready() -> None:
    database = Network()
    pool, takes = pool_for(database, CONCURRENCY)
    with pool:
        list(pool.map(database.batch, [[]] * 4 * CONCURRENCY))
    assert takes == CONCURRENCY + AHEAD
    assert database.most_under_way == CONCURRENCY


def test_a_file_is_written_by_the_thread_that_settles() -> None:
    class File(Network):
        parallel = False

    pool, takes = pool_for(File(), CONCURRENCY)
    future = pool.submit(int, "7")
    assert (future.done(), future.result(), takes) == (True, 7, CONCURRENCY)
    broken = pool.submit(int, "seven")
    with pytest.raises(ValueError, match="seven"):
        broken.result()
