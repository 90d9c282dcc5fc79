"""What becomes of leased messages when their consumer says so: acked, given back, tried again, or dead-lettered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from coinswarm.queue import failures, registry, rules, usage
from coinswarm.queue.failures import Failed
from coinswarm.queue.file import QueueFile
from coinswarm.queue.messages import SQL, Run, by_token, delete_bodies, runs
from coinswarm.queue.registry import QueueState
from coinswarm.queue.types import DeadLetter, Retry, Settled, Settlement


class _Leased(NamedTuple):
    seq: int
    attempts: int
    bytes: int


def settle(file: QueueFile, queue: QueueState, settlement: Settlement, now_ms: int) -> Settled:
    """Carry out a settlement inside the caller's transaction.

    A lease settles once: named twice, the first of ack, dead letter, retry and release holds, and the other is stale.
    """
    for retry in settlement.retries:
        if retry.delay_seconds is not None:
            rules.check_delay(retry.delay_seconds)
    stale: list[str] = []
    acked = _ack(file, queue, settlement.acks, now_ms, stale)
    dead = _dead_letter(file, queue, settlement.dead_letters, now_ms, stale)
    retried, left = _retry(file, queue, settlement.retries, now_ms, stale)
    released = _release(file, queue, settlement.releases, now_ms, stale)
    return Settled(acked, retried, dead.dead_lettered + left.dead_lettered, left.dropped, released, tuple(stale))


def _ack(file: QueueFile, queue: QueueState, lease_ids: Sequence[str], now_ms: int, stale: list[str]) -> int:
    if not lease_ids:
        return 0
    tokens, strange = by_token(lease_ids)
    stale += strange
    gone = [
        _delete_run(file, queue, token, run, leases, stale)
        for token, leases in tokens.items()
        for run in runs(sorted(leases))
    ]
    acked, size, operations = (sum(column) for column in zip(*gone, strict=True)) if gone else (0, 0, 0)
    if acked:
        registry.adjust(file, queue.number, -acked, -size)
        usage.record(file, queue.name, now_ms, deletes=operations, acked=acked)
    return acked


def _delete_run(
    file: QueueFile, queue: QueueState, token: int, run: Run, leases: dict[int, str], stale: list[str]
) -> tuple[int, int, int]:
    """Delete what the lease holds of a run: how many messages, their bytes, and the operations that is."""
    asked = range(run.first, run.last + 1)
    count, size, largest = file.execute(SQL["leased_run"], (*run, token, queue.number)).fetchone()
    if count == len(asked) and largest <= usage.ONE_OPERATION_BYTES:
        file.execute(SQL["delete_run"], run)
        delete_bodies(file, [run])
        return count, size, count
    deleted = file.execute(SQL["delete_leased"], (*run, token, queue.number)).fetchall()
    numbers = sorted(seq for seq, _ in deleted)
    sizes = [size for _, size in deleted]
    delete_bodies(file, runs(numbers))
    stale += _missing(leases, asked, numbers)
    return len(sizes), sum(sizes), usage.billed(sizes)


def _release(file: QueueFile, queue: QueueState, lease_ids: Sequence[str], now_ms: int, stale: list[str]) -> int:
    tokens, strange = by_token(lease_ids)
    stale += strange
    released = 0
    for token, leases in tokens.items():
        for first, last in runs(sorted(leases)):
            parameters = {"first": first, "last": last, "lease": token, "queue": queue.number, "now": now_ms}
            numbers = [seq for (seq,) in file.execute(SQL["release"], parameters).fetchall()]
            released += len(numbers)
            stale += _missing(leases, range(first, last + 1), numbers)
    return released


def _dead_letter(
    file: QueueFile, queue: QueueState, letters: Sequence[DeadLetter], now_ms: int, stale: list[str]
) -> failures.Left:
    failed = [
        Failed(*message, settled=True, reason=letter.reason)
        for letter in letters
        for message in _taken_back(file, queue, letter.lease_id, now_ms, stale)
    ]
    return failures.dead_letter(file, queue, failed, now_ms)


def _retry(
    file: QueueFile, queue: QueueState, retries: Sequence[Retry], now_ms: int, stale: list[str]
) -> tuple[int, failures.Left]:
    again: list[tuple[int, str | None]] = []
    used_up: list[Failed] = []
    for retry in retries:
        delay = queue.retry_delay if retry.delay_seconds is None else retry.delay_seconds
        for message in _taken_back(file, queue, retry.lease_id, now_ms + delay * 1000, stale):
            if message.attempts < queue.deliveries:
                again.append((message.seq, retry.reason))
            else:
                used_up.append(Failed(*message, settled=True, reason=retry.reason))
    if again:
        failures.note_failures(file, again, now_ms)
        usage.record(file, queue.name, now_ms, retried=len(again))
    return len(again), failures.retries_used_up(file, queue, used_up, now_ms)


def _taken_back(file: QueueFile, queue: QueueState, lease_id: str, visible_at: int, stale: list[str]) -> list[_Leased]:
    """The message this lease holds, which ends the lease; or nothing, when the lease is stale."""
    tokens, _ = by_token([lease_id])
    found = [
        _Leased(*row)
        for token, leases in tokens.items()
        for seq in leases
        for row in file.execute(SQL["end_lease"], (visible_at, seq, token, queue.number)).fetchall()
    ]
    if not found:
        stale.append(lease_id)
    return found


def _missing(leases: dict[int, str], asked: range, found: Sequence[int]) -> list[str]:
    if len(found) == len(asked):
        return []
    settled = set(found)
    return [leases[number] for number in asked if number not in settled]
