"""The queues of a Cloudflare account over its REST API: the same `QueueStore` as the local one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coinswarm.cloudflare import CloudflareApi, segment
from coinswarm.errors import QueueError, QueueNotFound
from coinswarm.queue import rules, wire
from coinswarm.queue.cloudflare_queue import LIST_HINT, CloudflareQueue
from coinswarm.queue.types import ConsumerInfo, ConsumerSettings, QueueInfo, QueueSettings

__all__ = ["CloudflareQueue", "CloudflareQueueStore"]


class CloudflareQueueStore:
    """All queues of the account that `api` speaks for."""

    def __init__(self, api: CloudflareApi) -> None:
        self._api = api
        self._path = f"{api.account}/queues"

    def __repr__(self) -> str:
        return f"CloudflareQueueStore({self._api.account_id!r})"

    def queues(self) -> list[QueueInfo]:
        return [_info(item) for item in self._api.pages(self._path)]

    def info(self, name: str) -> QueueInfo:
        """Raises `QueueNotFound`."""
        # The name is compared here too: a server that passes over the filter would hand out another queue.
        for item in self._api.pages(self._path, name=name):
            if isinstance(item, dict) and item.get("queue_name") == name:
                return _info(item)
        hint = f"{LIST_HINT}; create it: coinswarm queues create {name} --remote"
        raise QueueNotFound(f'Queue "{name}" does not exist in account {self._api.account_id}', hint=hint)

    def create(self, name: str, settings: QueueSettings | None = None) -> QueueInfo:
        """Raises `InvalidQueueName`, `QueueExists`, `InvalidQueueSettings`."""
        rules.check_name(name)
        body: dict[str, Any] = {"queue_name": name}
        if settings is not None:
            rules.check_queue(settings)
            chosen = wire.settings_json(settings)
            # wrangler sends this one with an update only, so nothing else is known to work.
            del chosen["delivery_paused"]
            body["settings"] = chosen
        created = _info(self._api.call("POST", self._path, body=body).result)
        return created if settings is None or not settings.delivery_paused else self.update(name, settings)

    def update(self, name: str, settings: QueueSettings, *, new_name: str | None = None) -> QueueInfo:
        """Replace the settings, and the name if a new one is given."""
        rules.check_queue(settings)
        if new_name is not None:
            rules.check_name(new_name)
        body = {"queue_name": new_name or name, "settings": wire.settings_json(settings)}
        self._api.call("PATCH", self._queue(name), body=body)
        return self.info(new_name or name)

    def change(
        self, name: str, changed: Callable[[QueueSettings], QueueSettings], *, new_name: str | None = None
    ) -> QueueInfo:
        """As `update`, with what `changed` makes of the settings there are; Cloudflare has no single step for it."""
        return self.update(name, changed(self.info(name).settings), new_name=new_name)

    def delete(self, name: str) -> None:
        """Delete the queue, its messages and its consumer."""
        self._api.call("DELETE", self._queue(name))

    def add_consumer(self, name: str, consumer: ConsumerSettings) -> ConsumerInfo:
        """Raises `ConsumerExists`, `InvalidConsumerSettings`. A dead-letter queue that does not exist is created."""
        rules.check_consumer(name, consumer)
        path = self._queue(name) + "/consumers"
        return _consumer(self._api.call("POST", path, body=wire.consumer_request(consumer)).result)

    def update_consumer(self, name: str, consumer_id: str, consumer: ConsumerSettings) -> ConsumerInfo:
        rules.check_consumer(name, consumer)
        path = f"{self._queue(name)}/consumers/{segment(consumer_id)}"
        return _consumer(self._api.call("PUT", path, body=wire.consumer_request(consumer)).result)

    def remove_consumer(self, name: str, consumer_id: str) -> None:
        self._api.call("DELETE", f"{self._queue(name)}/consumers/{segment(consumer_id)}")

    def open(self, name: str) -> CloudflareQueue:
        """The data plane of one queue, with the consumer it has now. Raises `QueueNotFound`."""
        return CloudflareQueue(self._api, self.info(name), self.open)

    def _queue(self, name: str) -> str:
        return f"{self._path}/{segment(self.info(name).queue_id)}"


def _info(found: object) -> QueueInfo:
    if not isinstance(found, Mapping) or not (found.get("queue_id") and found.get("queue_name")):
        raise QueueError("the API described a queue without id or name")
    return wire.queue_info(found)


def _consumer(found: object) -> ConsumerInfo:
    if not isinstance(found, Mapping) or not found.get("consumer_id"):
        raise QueueError("the API described a consumer without id")
    return wire.consumer_info(found)
