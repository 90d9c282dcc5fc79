"""Candles into a queue: packed into messages, sent in batches, and told which of them are durable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import Final, NamedTuple

from coinswarm.candles import Candle
from coinswarm.errors import CoinswarmError
from coinswarm.payload import ROWS_PER_MESSAGE, pack
from coinswarm.queue.sendable import batches
from coinswarm.queue.types import OutgoingMessage, Queue

SENDS_A_COMMIT: Final = 10
"""Calls of `send_batch` that a local queue makes durable together, a thousand messages: nobody waits long for it."""

_Group = list[tuple[int, OutgoingMessage]]
"""What one `send_batch` takes, each message with its number of candles."""


class Sent(NamedTuple):
    candles: int
    messages: int


def enqueue(
    queue: Queue, candles: Iterable[Candle], rows_per_message: int = ROWS_PER_MESSAGE, *, dry_run: bool = False
) -> Iterator[Sent]:
    """Send `candles` in their order; yields how many have become durable since the last time.

    While some messages are on their way to the disk the next ones are packed. Nothing is under way at a yield.
    Raises what `send_batch` and `candles` raise, after yielding all that was stored before it.
    """
    groups = batches((rows, OutgoingMessage(body)) for body, rows in pack(candles, rows_per_message))
    together = list(islice(groups, SENDS_A_COMMIT))
    with ThreadPoolExecutor(1, "enqueue") as thread:
        while together:
            sending = _Sending(queue, together)
            future = None if dry_run else thread.submit(sending.run)
            following, broken = _packed(groups, sending if future else None)
            count = len(together) if future is None else future.result()
            if sent := together[:count]:
                yield Sent(sum(rows for group in sent for rows, _ in group), sum(map(len, sent)))
            if error := sending.failure or broken:
                raise error
            together = following


def _packed(groups: Iterator[_Group], sending: _Sending | None) -> tuple[list[_Group], BaseException | None]:
    """The next messages to make durable together, and what kept them from being packed, to be raised in its turn."""
    try:
        if sending is not None:
            sending.handed_over.wait()
        return list(islice(groups, SENDS_A_COMMIT)), None
    except BaseException as error:
        return [], error


class _Sending:
    """Groups of messages into the queue, in one commit where it is a local one."""

    def __init__(self, queue: Queue, groups: list[_Group]) -> None:
        self.queue = queue
        self.groups = groups
        self.handed_over = Event()
        """Set when only the disk is left to wait for. Packing before that would take turns with it, and slow both."""
        self.failure: CoinswarmError | None = None
        """What kept out the rest."""

    def run(self) -> int:
        """Send what can be sent; how many of the groups that is."""
        try:
            with self.queue.transaction():
                count = self._send()
                self.handed_over.set()
        finally:
            self.handed_over.set()
        return count

    def _send(self) -> int:
        for count, group in enumerate(self.groups):
            try:
                self.queue.send_batch([message for _, message in group])
            except CoinswarmError as error:  # what was sent before it is committed all the same
                self.failure = error
                return count
        return len(self.groups)
