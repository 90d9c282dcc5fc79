"""All queues of a stack in one SQLite file: Cloudflare's control plane, and the door to each queue.

https://developers.cloudflare.com/queues/configuration/configure-queues/
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import astuple, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from coinswarm.clock import Clock, SystemClock
from coinswarm.errors import ConsumerExists, ConsumerNotFound, QueueExists
from coinswarm.queue import registry, removal, rules, usage
from coinswarm.queue.dead_letters import DeadLetters
from coinswarm.queue.delivery import SqliteQueue
from coinswarm.queue.file import QueueFile
from coinswarm.queue.registry import SQL
from coinswarm.queue.types import ConsumerInfo, ConsumerSettings, QueueInfo, QueueSettings
from coinswarm.queue.usage import Usage
from coinswarm.storage import BUSY_TIMEOUT_SECONDS

_CONSUMER_ID: Final = re.compile(r"[0-9a-f]{32}")


class SqliteQueueStore:
    """Implements `QueueStore`. Threads may share one; each process opens its own on the same file.

    Opening creates the file when it is missing and upgrades an older one. Raises a `StorageError` when it cannot:
    `StorageLocked` after `busy_timeout` seconds, `StorageReadOnly`, `StorageFull`, `StorageCorrupt`, `StorageTooNew`.
    """

    def __init__(self, path: Path, clock: Clock | None = None, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._file = QueueFile(path, self._clock, busy_timeout=busy_timeout)

    @property
    def path(self) -> Path:
        return self._file.path

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def queues(self) -> list[QueueInfo]:
        """By name."""
        with self._file.reading():
            return registry.infos(self._file)

    def info(self, name: str) -> QueueInfo:
        with self._file.reading():
            return registry.info(self._file, name)

    def create(self, name: str, settings: QueueSettings | None = None) -> QueueInfo:
        wanted = settings or QueueSettings()
        rules.check_name(name)
        rules.check_queue(wanted)
        with self._file.operation():
            self._check_free(name)
            registry.insert(self._file, name, wanted, self._clock.now_ms())
            return registry.info(self._file, name)

    def update(self, name: str, settings: QueueSettings, *, new_name: str | None = None) -> QueueInfo:
        """Replace the settings and, with `new_name`, the name; then dead-letter queues that name it follow.

        Raises `QueueNotFound`, `InvalidQueueSettings`, `InvalidQueueName`, `QueueExists`.
        """
        return self.change(name, lambda _: settings, new_name=new_name)

    def change(
        self, name: str, changed: Callable[[QueueSettings], QueueSettings], *, new_name: str | None = None
    ) -> QueueInfo:
        """As `update`, with what `changed` makes of the settings there are; nobody else changes them in between."""
        target = name if new_name is None else new_name
        rules.check_name(target)
        with self._file.operation():
            number = registry.number_of(self._file, name)
            settings = changed(registry.info(self._file, name).settings)
            rules.check_queue(settings)
            if target != name:
                self._check_free(target)
                for consumer in registry.info(self._file, name).consumers:
                    rules.check_consumer(target, consumer.settings)
                self._file.execute(SQL["rename_dead_letter_queue"], {"old": name, "new": target})
                self._file.execute(SQL["rename_source"], {"old": name, "new": target})
            registry.update(self._file, number, target, settings, self._clock.now_ms())
            return registry.info(self._file, target)

    def pause(self, name: str) -> QueueInfo:
        """Stop delivery: `lease` raises `QueuePaused`. Sending and settling go on, and so does retention."""
        return self._set_paused(name, paused=True)

    def resume(self, name: str) -> QueueInfo:
        return self._set_paused(name, paused=False)

    def delete(self, name: str) -> None:
        """Delete the queue, its messages, those in flight and those held for it too, and its consumer. Usage stays."""
        with self._file.operation():
            number = registry.number_of(self._file, name)
            held = registry.held(self._file, number)
            for place in (number,) if held is None else (number, held):
                removal.delete_all(self._file, place)
                registry.delete(self._file, place)

    def add_consumer(self, name: str, consumer: ConsumerSettings) -> ConsumerInfo:
        rules.check_consumer(name, consumer)
        with self._file.operation():
            self._check_no_other(name)
            return self._put_consumer(name, secrets.token_hex(16), consumer)

    def update_consumer(self, name: str, consumer_id: str, consumer: ConsumerSettings) -> ConsumerInfo:
        """Replace its settings. Raises `ConsumerNotFound`, `InvalidConsumerSettings`, `QueueNotFound`."""
        rules.check_consumer(name, consumer)
        with self._file.operation():
            self._check_consumer(name, consumer_id)
            return self._put_consumer(name, consumer_id, consumer)

    def put_consumer(self, name: str, consumer_id: str, consumer: ConsumerSettings) -> ConsumerInfo:
        """As `update_consumer`; where the queue has no consumer, it gets this one under this id.

        Raises `ConsumerExists` where it has another, `ConsumerNotFound` for an id that it cannot have.
        """
        rules.check_consumer(name, consumer)
        with self._file.operation():
            self._check_no_other(name, consumer_id)
            if not registry.info(self._file, name).consumers and not self._is_free_id(consumer_id):
                self._check_consumer(name, consumer_id)
            return self._put_consumer(name, consumer_id, consumer)

    def remove_consumer(self, name: str, consumer_id: str) -> None:
        """Cloudflare's defaults hold from then on. Raises `ConsumerNotFound`, `QueueNotFound`."""
        with self._file.operation():
            self._check_consumer(name, consumer_id)
            self._file.execute(SQL["delete_consumer"], (registry.number_of(self._file, name),))

    def ensure(
        self,
        name: str,
        settings: QueueSettings | None = None,
        consumer: ConsumerSettings | None = None,
        producers: Iterable[str] | None = None,
    ) -> QueueInfo:
        """Make the queue what the configuration says; call it at every start. Messages are not touched.

        Creates what is missing and replaces settings, consumer and producers that differ. None leaves what is there,
        and whether delivery is paused is never changed. When nothing differs, nothing is written.
        """
        scripts = None if producers is None else tuple(sorted(set(producers)))
        if settings is not None:
            rules.check_queue(settings)
        if consumer is not None:
            rules.check_consumer(name, consumer)
        rules.check_name(name)
        with self._file.reading():
            known = registry.number_or_none(self._file, name) is not None
            if known and _agrees(registry.info(self._file, name), settings, consumer, scripts):
                return registry.info(self._file, name)
        with self._file.operation():
            return self._bring_about(name, settings, consumer, scripts)

    def open(self, name: str) -> SqliteQueue:
        with self._file.reading():
            number = registry.number_of(self._file, name)
        return SqliteQueue(self._file, self._clock, number, name)

    def delete_messages(self, name: str, ids: Iterable[str]) -> list[str]:
        """Delete these messages of a queue unless they are in flight; which ones. Raises `QueueNotFound`."""
        with self._file.reading():
            number = registry.number_of(self._file, name)
        return removal.delete_named(self._file, number, name, ids, self._clock.now_ms())

    def dead_letters(self, name: str) -> DeadLetters:
        """The dead letters in this queue and those held for it. Raises `QueueNotFound`."""
        with self._file.reading():
            number = registry.number_of(self._file, name)
        return DeadLetters(self._file, self._clock, number, name)

    def usage(self, *, since: str = "0000-00-00", until: str = "9999-99-99", queue: str | None = None) -> list[Usage]:
        """What Cloudflare would have billed, by day (UTC, `YYYY-MM-DD`, both ends inclusive) and queue."""
        return usage.rows(self._file, since=since, until=until, queue=queue)

    def transaction(self) -> AbstractContextManager[None]:
        """One commit for everything inside, on all queues. Keep it short: other processes wait for it."""
        return self._file.transaction()

    def _set_paused(self, name: str, *, paused: bool) -> QueueInfo:
        return self.change(name, lambda settings: replace(settings, delivery_paused=paused))

    def _check_free(self, name: str) -> None:
        if registry.number_or_none(self._file, name) is not None:
            raise QueueExists(f"Queue name '{name}' is already taken. Please use a different name and try again.")

    def _check_no_other(self, name: str, consumer_id: str | None = None) -> None:
        for there in registry.info(self._file, name).consumers:
            if there.consumer_id == consumer_id:
                continue
            script = there.settings.script_name or ""
            words = f"http remove {name}" if there.settings.type == "http_pull" else f"remove {name} {script}"
            raise ConsumerExists(
                f"queue {name} already has a consumer; a queue has at most one",
                hint=f"Remove it first: coinswarm queues consumer {words.rstrip()}",
            )

    def _is_free_id(self, consumer_id: str) -> bool:
        taken = (consumer.consumer_id for info in registry.infos(self._file) for consumer in info.consumers)
        return bool(_CONSUMER_ID.fullmatch(consumer_id)) and consumer_id not in taken

    def _check_consumer(self, name: str, consumer_id: str) -> None:
        if consumer_id not in [consumer.consumer_id for consumer in registry.info(self._file, name).consumers]:
            raise ConsumerNotFound(
                f"queue {name} has no consumer {consumer_id}", hint=f"See: coinswarm queues consumer list {name}"
            )

    def _put_consumer(self, name: str, consumer_id: str, consumer: ConsumerSettings) -> ConsumerInfo:
        now = self._clock.now_ms()
        if consumer.dead_letter_queue is not None:
            registry.dead_letter_queue(self._file, consumer.dead_letter_queue, now)
        number = registry.number_of(self._file, name)
        self._file.execute(SQL["put_consumer"], (number, consumer_id, now, *astuple(consumer)))
        return registry.info(self._file, name).consumers[0]

    def _bring_about(
        self,
        name: str,
        settings: QueueSettings | None,
        consumer: ConsumerSettings | None,
        scripts: tuple[str, ...] | None,
    ) -> QueueInfo:
        now = self._clock.now_ms()
        if registry.number_or_none(self._file, name) is None:
            registry.insert(self._file, name, settings or QueueSettings(), now)
        found = registry.info(self._file, name)
        number = registry.number_of(self._file, name)
        if settings is not None:
            kept = replace(settings, delivery_paused=found.settings.delivery_paused)
            if kept != found.settings:
                registry.update(self._file, number, name, kept, now)
        if consumer is not None and [c.settings for c in found.consumers] != [consumer]:
            consumer_id = found.consumers[0].consumer_id if found.consumers else secrets.token_hex(16)
            self._put_consumer(name, consumer_id, consumer)
        if scripts is not None and scripts != found.producers:
            registry.put_producers(self._file, number, scripts)
        return registry.info(self._file, name)


def _agrees(
    found: QueueInfo, settings: QueueSettings | None, consumer: ConsumerSettings | None, scripts: tuple[str, ...] | None
) -> bool:
    paused = found.settings.delivery_paused
    return (
        (settings is None or replace(settings, delivery_paused=paused) == found.settings)
        and (consumer is None or [c.settings for c in found.consumers] == [consumer])
        and (scripts is None or scripts == found.producers)
    )
