"""Queues and their consumers: Cloudflare's control plane."""

from __future__ import annotations

from typing import Any, Final

from coinswarm.errors import ConsumerNotFound, InvalidQueueName, InvalidQueueRequest, InvalidRequest
from coinswarm.queue.types import ConsumerInfo, QueueInfo, QueueSettings
from coinswarm.queue.wire import consumer_json, decode_consumer, decode_object, merged_settings, queue_json, timestamp
from coinswarm.server.account import Account
from coinswarm.server.calls import Answer, Call, Route


def queues(account: Account, call: Call) -> Answer:
    """`name` may repeat and is exact: wrangler takes the first of the answer for the queue it asked for."""
    names = set(call.query.getlist("name"))
    found, page = call.page([info for info in account.queues.queues() if not names or info.name in names])
    return Answer([queue_json(info) for info in found], page)


def create(account: Account, call: Call) -> Answer:
    body = decode_object(call.body)
    settings = _settings(QueueSettings(), body)
    return Answer(queue_json(account.queues.create(_name(body), settings)))


def _settings(base: QueueSettings, body: dict[str, Any]) -> QueueSettings:
    changes = body.get("settings")
    return base if changes is None else merged_settings(base, changes)


def _name(body: dict[str, Any]) -> str:
    name = body.get("queue_name")
    if name is None:
        raise InvalidQueueRequest("invalid request body: queue_name is required")
    if not isinstance(name, str):
        raise InvalidQueueName("Invalid queue name: it has to be a string")
    return name


def queue(account: Account, call: Call) -> Answer:
    return Answer(queue_json(account.queue(call.ids["queue"])))


def replace(account: Account, call: Call) -> Answer:
    """PUT: settings that the body does not name go back to their defaults."""
    return _update(account, call, QueueSettings())


def merge(account: Account, call: Call) -> Answer:
    """PATCH: settings that the body does not name stay. wrangler relies on it to keep a paused queue paused."""
    return _update(account, call, None)


def _update(account: Account, call: Call, base: QueueSettings | None) -> Answer:
    info = account.queue(call.ids["queue"])
    body = decode_object(call.body)
    new_name = _name(body) if body.get("queue_name") is not None else None
    # One step of the store: what another request changes meanwhile is neither lost nor brought back.
    changed = account.queues.change(
        info.name, lambda there: _settings(there if base is None else base, body), new_name=new_name
    )
    return Answer(queue_json(changed))


def delete(account: Account, call: Call) -> Answer:
    account.queues.delete(account.queue(call.ids["queue"]).name)
    return Answer()


def purge(account: Account, call: Call) -> Answer:
    """Deletes what waits or is delayed, at once."""
    body = decode_object(call.body)
    if body.get("delete_messages_permanently") is not True:
        raise InvalidRequest("Invalid property: delete_messages_permanently => Expected true")
    info, messages = account.open_queue(call.ids["queue"])
    account.purged_ms[info.queue_id] = account.clock.now_ms()
    messages.purge()
    return purge_status(account, call)


def purge_status(account: Account, call: Call) -> Answer:
    """Three clients, three spellings: `complete` for wrangler, `completed` as text for the SDKs."""
    info = account.queue(call.ids["queue"])
    started = account.purged_ms.get(info.queue_id)
    if started is None:
        return Answer({"started_at": "", "complete": False, "completed": ""})
    return Answer({"started_at": timestamp(started), "complete": True, "completed": timestamp(started)})


def consumers(account: Account, call: Call) -> Answer:
    info = account.queue(call.ids["queue"])
    return Answer([consumer_json(consumer, info.name) for consumer in info.consumers])


def add_consumer(account: Account, call: Call) -> Answer:
    info = account.queue(call.ids["queue"])
    return Answer(consumer_json(account.queues.add_consumer(info.name, decode_consumer(call.body)), info.name))


def consumer(account: Account, call: Call) -> Answer:
    info, found = _consumer(account, call)
    return Answer(consumer_json(found, info.name))


def put_consumer(account: Account, call: Call) -> Answer:
    """Documented as an upsert: a queue without a consumer gets this one, under the id of the path."""
    info = account.queue(call.ids["queue"])
    put = account.queues.put_consumer(info.name, call.ids["consumer"], decode_consumer(call.body))
    return Answer(consumer_json(put, info.name))


def remove_consumer(account: Account, call: Call) -> Answer:
    info, found = _consumer(account, call)
    account.queues.remove_consumer(info.name, found.consumer_id)
    return Answer()


def _consumer(account: Account, call: Call) -> tuple[QueueInfo, ConsumerInfo]:
    info, asked = account.queue(call.ids["queue"]), call.ids["consumer"]
    for found in info.consumers:
        if found.consumer_id == asked:
            return info, found
    raise ConsumerNotFound(f"Queue {info.name} has no consumer {asked}.")


_QUEUES: Final = "/accounts/{account}/queues"
_QUEUE: Final = _QUEUES + "/{queue}"
_CONSUMERS: Final = _QUEUE + "/consumers"
_CONSUMER: Final = _CONSUMERS + "/{consumer}"

ROUTES: Final = (
    Route("GET", _QUEUES, queues),
    Route("POST", _QUEUES, create),
    Route("GET", _QUEUE, queue),
    Route("PUT", _QUEUE, replace),
    Route("PATCH", _QUEUE, merge),
    Route("DELETE", _QUEUE, delete),
    Route("POST", _QUEUE + "/purge", purge),
    Route("GET", _QUEUE + "/purge", purge_status),
    Route("GET", _CONSUMERS, consumers),
    Route("POST", _CONSUMERS, add_consumer),
    Route("GET", _CONSUMER, consumer),
    Route("PUT", _CONSUMER, put_consumer),
    Route("DELETE", _CONSUMER, remove_consumer),
)
