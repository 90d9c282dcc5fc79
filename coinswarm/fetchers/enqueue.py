"""Candles into a queue: packed into messages, sent in batches, and told which of them are durable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from coinswarm.candles import Candle
from coinswarm.errors import CoinswarmError
from coinswarm.payload import ROWS_PER_MESSAGE, pack
from coinswarm.queue.sendable import batches
from coinswarm.queue.types import OutgoingMessage, Queue

SENDS_A_COMMIT: Final = 10
"""Calls of `send_batch` that a local queue makes durable together, a thousand messages: nobody waits long for it."""


class Sent(NamedTuple):
    candles: int
    messages: int


def enqueue(
    queue: Queue, candles: Iterable[Candle], rows_per_message: int = ROWS_PER_MESSAGE, *, dry_run: bool = False
) -> Iterator[Sent]:
    """Send `candles` in their order; yields how many have become durable since the last time.

    Raises what `send_batch` raises, after yielding all that was stored before it.
    """
    groups = batches((rows, OutgoingMessage(body)) for body, rows in pack(candles, rows_per_message))
    while together := list(islice(groups, SENDS_A_COMMIT)):
        failure = None if dry_run else _send(queue, together)
        if together:
            yield Sent(sum(rows for group in together for rows, _ in group), sum(map(len, together)))
        if failure is not None:
            raise failure


def _send(queue: Queue, groups: list[list[tuple[int, OutgoingMessage]]]) -> CoinswarmError | None:
    """Send what can be sent and leave in `groups` only that; the error that kept out the rest."""
    with queue.transaction():
        for number, group in enumerate(groups):
            try:
                queue.send_batch([message for _, message in group])
            except CoinswarmError as error:  # what was sent before it is committed all the same
                del groups[number:]
                return error
    return None
