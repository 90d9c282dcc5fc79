"""Messages of a queue: push, pull, ack, peek, purge. Cloudflare's data plane."""

from __future__ import annotations

from typing import Final

from coinswarm.errors import HttpPullDisabled, InvalidQueueRequest, QueueNotFound
from coinswarm.queue.message_wire import (
    decode_ack,
    decode_pull,
    decode_push,
    decode_push_batch,
    metrics_json,
    peeked_json,
    pulled_json,
)
from coinswarm.queue.types import ConsumerSettings, Queue, QueueInfo
from coinswarm.queue.wire import decode_object
from coinswarm.server.account import Account
from coinswarm.server.calls import Answer, Call, Route

_STALE: Final = "The lease is over: the message was settled, delivered again, or is gone."
_PULLED_BY_DEFAULT: Final = 10


def push(account: Account, call: Call) -> Answer:
    _, queue = _open(account, call)
    queue.send_batch([decode_push(call.body)])
    return Answer({"metadata": _metrics(queue)})


def push_batch(account: Account, call: Call) -> Answer:
    _, queue = _open(account, call)
    messages, delay = decode_push_batch(call.body)
    queue.send_batch(messages, delay_seconds=delay)
    return Answer({"metadata": _metrics(queue)})


def pull(account: Account, call: Call) -> Answer:
    """What the request leaves out, the queue's http_pull consumer says."""
    info, queue = _open(account, call)
    consumer = _pull_consumer(info)
    batch_size, visibility_timeout_ms = decode_pull(call.body)
    messages = queue.lease(
        batch_size or consumer.batch_size,
        visibility_timeout_ms=consumer.visibility_timeout_ms
        if visibility_timeout_ms is None
        else visibility_timeout_ms,
    )
    metrics = _metrics(queue)
    return Answer(
        {
            "message_backlog_count": metrics["metrics"]["backlog_count"],
            "metadata": metrics,
            "messages": pulled_json(messages, plain_json=account.plain_json),
        }
    )


def ack(account: Account, call: Call) -> Answer:
    """Leases that settle nothing any more, or that are named twice, are warned about, by lease; they are no error."""
    info, queue = _open(account, call)
    _pull_consumer(info)
    settled = queue.settle(decode_ack(call.body))
    return Answer(
        {
            "ackCount": settled.acked,
            "retryCount": settled.retried + settled.dead_lettered + settled.dropped,
            "warnings": dict.fromkeys(sorted(settled.stale), _STALE),
        }
    )


def _pull_consumer(info: QueueInfo) -> ConsumerSettings:
    for consumer in info.consumers:
        if consumer.settings.type == "http_pull":
            return consumer.settings
    raise HttpPullDisabled(f"Queue {info.name} has no http_pull consumer: HTTP pull is not enabled for it.")


def peek(account: Account, call: Call) -> Answer:
    _, queue = _open(account, call)
    batch_size, _ = decode_pull(call.body)
    messages = queue.peek(batch_size or _PULLED_BY_DEFAULT)
    return Answer({"messages": peeked_json(messages, plain_json=account.plain_json)})


def purge_messages(account: Account, call: Call) -> Answer:
    """Deletes the messages that a peek referred to; those that are in flight or gone are warned about."""
    info, _ = _open(account, call)
    refs = decode_object(call.body).get("refs")
    if not isinstance(refs, list) or not refs:
        raise InvalidQueueRequest("invalid request body: refs has to be a list")
    wanted = [ref.get("ref") if isinstance(ref, dict) else None for ref in refs]
    names = [ref for ref in wanted if isinstance(ref, str)]
    if len(names) != len(wanted):
        raise InvalidQueueRequest("invalid request body: every item of refs needs a ref")
    deleted = set(account.queues.delete_messages(info.name, names))
    return Answer({"warnings": {ref: "The message is in flight or gone." for ref in names if ref not in deleted}})


def metrics(account: Account, call: Call) -> Answer:
    return Answer(metrics_json(account.open_queue(call.ids["queue"])[1].metrics()))


def _metrics(queue: Queue) -> dict[str, dict[str, int]]:
    return {"metrics": metrics_json(queue.metrics())}


def _open(account: Account, call: Call) -> tuple[QueueInfo, Queue]:
    try:
        return account.open_queue(call.ids["queue"])
    except QueueNotFound as missing:
        error = QueueNotFound(missing.message)
        error.code = 10104
        raise error from None


_MESSAGES: Final = "/accounts/{account}/queues/{queue}/messages"

ROUTES: Final = (
    Route("POST", _MESSAGES, push),
    Route("POST", _MESSAGES + "/batch", push_batch),
    Route("POST", _MESSAGES + "/pull", pull),
    Route("POST", _MESSAGES + "/ack", ack),
    Route("POST", _MESSAGES + "/peek", peek),
    Route("POST", _MESSAGES + "/purge", purge_messages),
    Route("GET", "/accounts/{account}/queues/{queue}/metrics", metrics),
)
