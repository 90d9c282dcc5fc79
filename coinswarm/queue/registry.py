"""The rows of the queue file that say which queues there are. All functions run inside the caller's transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from coinswarm.errors import QueueNotFound
from coinswarm.limits import QUEUE_DEFAULTS
from coinswarm.queue.file import QueueFile
from coinswarm.queue.statements import load
from coinswarm.queue.types import ConsumerInfo, ConsumerSettings, QueueInfo, QueueSettings

SQL: Final = load("queues.sql")
_DEFAULTS: Final = {
    "max_retries": QUEUE_DEFAULTS.max_retries,
    "retry_delay": QUEUE_DEFAULTS.retry_delay_seconds,
    "visibility_timeout_ms": QUEUE_DEFAULTS.visibility_timeout_ms,
}


class QueueState(NamedTuple):
    """What sending, leasing and settling need to know. Without a consumer, Cloudflare's defaults hold."""

    number: int
    name: str
    delivery_delay: int
    paused: int
    bytes: int
    dead_letter_queue: str | None
    max_retries: int
    retry_delay: int
    visibility_timeout_ms: int

    @property
    def deliveries(self) -> int:
        """How often a message may be delivered: once, and once more for each retry."""
        return 1 + self.max_retries


def find(file: QueueFile, number: int, name: str) -> QueueState:
    """The queue as it is now. Raises `QueueNotFound` when it was deleted; `name` is for that."""
    row = file.execute(SQL["find"], {"number": number} | _DEFAULTS).fetchone()
    if row is None:
        raise not_found(name)
    return QueueState(*row)


def number_of(file: QueueFile, name: str) -> int:
    """Raises `QueueNotFound`."""
    row = file.execute(SQL["number"], (name,)).fetchone()
    if row is None:
        raise not_found(name)
    return int(row[0])


def number_or_none(file: QueueFile, name: str) -> int | None:
    row = file.execute(SQL["number"], (name,)).fetchone()
    return None if row is None else int(row[0])


def insert(file: QueueFile, name: str, settings: QueueSettings, now_ms: int) -> int:
    """A new, empty queue; its number."""
    return _insert(file, name, None, settings, settings.message_retention_period, now_ms)


def dead_letter_queue(file: QueueFile, name: str, now_ms: int) -> int:
    """The number of the dead-letter queue, which is created if it is missing, so that no message is lost."""
    found = number_or_none(file, name)
    return insert(file, name, QueueSettings(), now_ms) if found is None else found


def held(file: QueueFile, number: int) -> int | None:
    """The number of the place that holds the queue's own dead letters, if there are any: it had no queue for them."""
    row = file.execute(SQL["held_number"], (number,)).fetchone()
    return None if row is None else int(row[0])


def place_to_hold(file: QueueFile, number: int, now_ms: int) -> int:
    """As `held`, created when needed. It has no name, no consumer and no retention."""
    found = held(file, number)
    return _insert(file, None, number, QueueSettings(), None, now_ms) if found is None else found


def _insert(
    file: QueueFile, name: str | None, held_for: int | None, settings: QueueSettings, retention: int | None, now_ms: int
) -> int:
    values = (secrets.token_hex(16), name, held_for, now_ms, now_ms)
    row = file.execute(
        SQL["insert"], (*values, settings.delivery_delay, settings.delivery_paused, retention)
    ).fetchone()
    return int(row[0])


def update(file: QueueFile, number: int, name: str, settings: QueueSettings, now_ms: int) -> None:
    """Replace name and settings."""
    file.execute(
        SQL["update"],
        {
            "number": number,
            "name": name,
            "delay": settings.delivery_delay,
            "paused": settings.delivery_paused,
            "retention": settings.message_retention_period,
            "now": now_ms,
        },
    )


def put_producers(file: QueueFile, number: int, scripts: Iterable[str]) -> None:
    """Name the Workers that send to the queue; others no longer do."""
    file.execute(SQL["delete_producers"], (number,))
    file.executemany(SQL["put_producer"], [(number, script) for script in scripts])


def delete(file: QueueFile, number: int) -> None:
    """The queue with its consumer and producers; its messages are gone already."""
    for statement in ("delete_consumer", "delete_producers", "delete"):
        file.execute(SQL[statement], (number,))


def adjust(file: QueueFile, number: int, messages: int, size: int) -> None:
    """Keep the queue's counters in step: `messages` more (or fewer) with `size` bytes of bodies."""
    file.execute(SQL["adjust"], (messages, size, number))


def infos(file: QueueFile) -> list[QueueInfo]:
    return [_info(file, row) for row in file.execute(SQL["all"]).fetchall()]


def info(file: QueueFile, name: str) -> QueueInfo:
    """Raises `QueueNotFound`."""
    row = file.execute(SQL["one"], (name,)).fetchone()
    if row is None:
        raise not_found(name)
    return _info(file, row)


def _info(file: QueueFile, row: tuple[Any, ...]) -> QueueInfo:
    number, queue_id, name, created_ms, modified_ms, delay, paused, retention = row
    found = file.execute(SQL["consumer"], (number,)).fetchall()
    return QueueInfo(
        queue_id,
        name,
        created_ms,
        modified_ms,
        QueueSettings(delay, bool(paused), retention),
        tuple(ConsumerInfo(identity, created, ConsumerSettings(*settings)) for identity, created, *settings in found),
        tuple(script for (script,) in file.execute(SQL["producers"], (number,)).fetchall()),
    )


def not_found(name: str) -> QueueNotFound:
    return QueueNotFound(
        f"there is no queue {name!r}",
        hint="See which there are: coinswarm queues list. Or create it: coinswarm queues create NAME.",
    )
