"""What becomes of messages that failed for good: the dead-letter queue, a place to be held, or deletion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from coinswarm.failpoints import failpoint
from coinswarm.queue import registry, usage
from coinswarm.queue.file import QueueFile
from coinswarm.queue.messages import SQL as MESSAGES
from coinswarm.queue.messages import delete_bodies, runs
from coinswarm.queue.registry import QueueState
from coinswarm.queue.statements import load

SQL: Final = load("dead_letters.sql")


class Failed(NamedTuple):
    """A message that is not delivered again."""

    seq: int
    attempts: int
    bytes: int
    settled: bool
    """Whether its consumer said so just now; otherwise its last delivery timed out, and that is noted."""
    reason: str | None = None
    """None: what its earlier failures say."""


class Left(NamedTuple):
    """Where failed messages went."""

    dead_lettered: int = 0
    dropped: int = 0


def note_timeouts(file: QueueFile, timed_out: Iterable[tuple[int, int]]) -> None:
    """Deliveries that nobody settled in time, as (message number, when the visibility timeout was over)."""
    file.executemany(SQL["timed_out"], [{"seq": seq, "at": at} for seq, at in timed_out])


def note_failures(file: QueueFile, failed: Iterable[tuple[int, str | None]], now_ms: int) -> None:
    """Deliveries that failed and will be tried again, as (message number, reason)."""
    file.executemany(SQL["failed"], [{"seq": seq, "reason": reason, "at": now_ms} for seq, reason in failed])


def retries_used_up(file: QueueFile, queue: QueueState, failed: Sequence[Failed], now_ms: int) -> Left:
    """Move to the dead-letter queue or, where there is none, delete, as Cloudflare does."""
    if queue.dead_letter_queue is None and failed:
        _drop(file, queue, failed, now_ms)
        return Left(dropped=len(failed))
    return dead_letter(file, queue, failed, now_ms)


def dead_letter(file: QueueFile, queue: QueueState, failed: Sequence[Failed], now_ms: int) -> Left:
    """Move to the dead-letter queue. Where there is none, hold them: nobody asked for their deletion."""
    if not failed:
        return Left()
    size = sum(message.bytes for message in failed)
    if queue.dead_letter_queue is None:
        target = registry.place_to_hold(file, queue.number, now_ms)
    else:
        target = registry.dead_letter_queue(file, queue.dead_letter_queue, now_ms)
        usage.record(file, queue.dead_letter_queue, now_ms, writes=usage.billed([message.bytes for message in failed]))
    for message in failed:
        file.execute(SQL["record"], _record(file, queue, message, now_ms))
        file.execute(SQL["move"], {"queue": target, "now": now_ms, "seq": message.seq})
    for run in runs(sorted(message.seq for message in failed)):
        file.execute(MESSAGES["delete_failures"], run)
    failpoint("queue.dead_lettering")
    registry.adjust(file, queue.number, -len(failed), -size)
    registry.adjust(file, target, len(failed), size)
    usage.record(file, queue.name, now_ms, dead_lettered=len(failed))
    return Left(dead_lettered=len(failed))


def _drop(file: QueueFile, queue: QueueState, failed: Sequence[Failed], now_ms: int) -> None:
    sizes = [message.bytes for message in failed]
    gone = runs(sorted(message.seq for message in failed))
    for run in gone:
        file.execute(MESSAGES["delete_run"], run)
    delete_bodies(file, gone)
    registry.adjust(file, queue.number, -len(sizes), -sum(sizes))
    usage.record(file, queue.name, now_ms, deletes=usage.billed(sizes), dropped=len(sizes))


def _record(file: QueueFile, queue: QueueState, message: Failed, now_ms: int) -> tuple[int | str, ...]:
    noted, timeouts, first_ms, last_ms = file.execute(SQL["failure"], (message.seq,)).fetchone() or (
        (None, 0, now_ms, now_ms)
    )
    if message.settled:
        last_ms = now_ms
    return (message.seq, queue.name, _reason(message, noted, timeouts), message.attempts, first_ms, last_ms, now_ms)


def _reason(message: Failed, noted: str | None, timeouts: int) -> str:
    if message.reason:
        return message.reason
    if message.settled or not timeouts:
        return noted or f"retries used up after {message.attempts} deliveries"
    words = f"visibility timeout expired {timeouts} {'time' if timeouts == 1 else 'times'}"
    return f"{words}; before that: {noted}" if noted else words
