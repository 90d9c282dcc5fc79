"""Messages that leave without having been delivered: expired, purged, or deleted with their queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coinswarm.failpoints import failpoint
from coinswarm.queue import registry, usage
from coinswarm.queue.file import QueueFile
from coinswarm.queue.messages import SQL, STEP, delete_bodies, number_in, runs


def expire(file: QueueFile, number: int, name: str, now_ms: int) -> None:
    """Delete what is older than the queue's retention period, except while it is in flight."""
    with file.reading():
        (found,) = file.execute(SQL["has_expired"], {"queue": number, "now": now_ms}).fetchone()
    while found:
        with file.operation():
            queue = registry.find(file, number, name)
            sizes = _delete(file, "delete_expired", number, now=now_ms)
            usage.record(file, queue.name, now_ms, deletes=usage.billed(sizes), expired=len(sizes))
        found = len(sizes) == STEP


def purge(file: QueueFile, number: int, name: str, now_ms: int, stop: Callable[[], bool]) -> int:
    """Delete what is not in flight and was there at the beginning; how many. One billed operation.

    `stop` is asked after each step, which is one transaction.
    """
    with file.operation():
        queue = registry.find(file, number, name)
        (last,) = file.execute(SQL["last_number"]).fetchone()
        usage.record(file, queue.name, now_ms, purges=1)
    deleted = 0
    while True:
        with file.operation():
            sizes = _delete(file, "delete_idle", number, now=now_ms, last=last)
            failpoint("queue.purging")
        deleted += len(sizes)
        if len(sizes) < STEP or stop():
            return deleted


def delete_named(file: QueueFile, number: int, name: str, ids: Iterable[str], now_ms: int) -> list[str]:
    """Delete the messages with these ids that are not in flight; which ones they were."""
    deleted: dict[str, tuple[int, int]] = {}
    with file.operation():
        queue = registry.find(file, number, name)
        for message_id in ids:
            parameters = {"seq": number_in(message_id), "queue": number, "now": now_ms, "id": message_id}
            row = file.execute(SQL["delete_named"], parameters).fetchone()
            if row is not None:
                deleted[message_id] = row
        sizes = [size for _, size in deleted.values()]
        delete_bodies(file, runs(sorted(seq for seq, _ in deleted.values())))
        registry.adjust(file, number, -len(sizes), -sum(sizes))
        usage.record(file, queue.name, now_ms, deletes=usage.billed(sizes))
    return list(deleted)


def delete_all(file: QueueFile, number: int) -> None:
    """Delete every message, in flight or not, inside the caller's transaction."""
    while len(_delete(file, "delete_all", number)) == STEP:
        pass


def _delete(file: QueueFile, statement: str, number: int, **parameters: int) -> list[int]:
    """One step; the bodies' sizes."""
    rows = file.execute(SQL[statement], {"queue": number, "step": STEP, **parameters}).fetchall()
    delete_bodies(file, runs(sorted([seq for seq, _ in rows])))
    sizes = [size for _, size in rows]
    registry.adjust(file, number, -len(sizes), -sum(sizes))
    return sizes
