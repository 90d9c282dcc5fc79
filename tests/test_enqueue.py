"""Candles into a queue: what a caller may rely on about what is durable, and when it hears of a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coinswarm.candles import Candle
from coinswarm.clock import ManualClock
from coinswarm.errors import InvalidPayload, QueueStorageLimit
from coinswarm.fetchers.enqueue import enqueue
from coinswarm.limits import QUEUES
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import OutgoingMessage, Queue

HOUR = 3600
FIRST = 1_600_000_200 // HOUR * HOUR
A_COMMIT = 10_000
"""Candles: ten a message, a hundred messages a batch, ten batches a commit."""


def candles(count: int) -> Iterator[Candle]:
    return (
        Candle("BTC-USDC", FIRST + HOUR * hour, "1h", 10.0, 12.0, 9.0, 11.0, 1.5, 16.5, "binance")
        for hour in range(count)
    )


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with SqliteQueueStore(tmp_path / "queue.sqlite", ManualClock(FIRST * 1000)) as store:
        store.create("candles")
        yield store.open("candles")


def test_every_candle_is_in_the_queue_when_it_is_told_of_and_nothing_else_is(queue: Queue) -> None:
    told = 0
    for sent in enqueue(queue, candles(2 * A_COMMIT + 5)):
        told += sent.messages
        assert queue.metrics().backlog == told
    assert told == 2 * A_COMMIT / 10 + 1


def test_a_source_that_breaks_off_is_heard_of_after_all_that_was_stored_before(queue: Queue) -> None:
    def broken() -> Iterator[Candle]:
        yield from candles(2 * A_COMMIT)
        raise InvalidPayload("the page ends in the middle")

    told = 0
    with pytest.raises(InvalidPayload, match="in the middle"):
        for sent in enqueue(queue, broken()):
            told += sent.candles
    assert told == A_COMMIT
    assert queue.metrics().backlog == A_COMMIT / 10


def test_what_the_queue_refuses_ends_it_and_what_it_took_before_is_told(queue: Queue) -> None:
    class Full:
        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> object:
            return getattr(queue, name)

        def send_batch(self, messages: list[OutgoingMessage]) -> list[str]:
            self.calls += 1
            if self.calls > 13:
                raise QueueStorageLimit("queue candles is full")
            return queue.send_batch(messages)

    told = 0
    with pytest.raises(QueueStorageLimit):
        for sent in enqueue(Full(), candles(3 * A_COMMIT)):  # type: ignore[arg-type]
            told += sent.messages
    assert told == 13 * QUEUES.batch_messages == queue.metrics().backlog


def test_a_dry_run_counts_and_sends_nothing(queue: Queue) -> None:
    assert sum(sent.candles for sent in enqueue(queue, candles(A_COMMIT + 7), dry_run=True)) == A_COMMIT + 7
    assert queue.metrics().backlog == 0


def test_a_caller_that_stops_listening_leaves_nothing_under_way(queue: Queue) -> None:
    sending = enqueue(queue, candles(3 * A_COMMIT))
    first = next(sending)
    sending.close()  # type: ignore[attr-defined]
    assert queue.metrics().backlog == first.messages
