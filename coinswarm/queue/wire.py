"""Queues over HTTP, both ways: queues, their settings and consumers in the JSON of Cloudflare's API.

Messages are in `message_wire`. Source: https://developers.cloudflare.com/api/resources/queues/ (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

import msgspec

from coinswarm.envelope import why_refused
from coinswarm.errors import InvalidConsumerSettings, InvalidQueueRequest, InvalidQueueSettings
from coinswarm.limits import QUEUE_DEFAULTS
from coinswarm.queue.types import ConsumerInfo, ConsumerSettings, QueueInfo, QueueSettings

_WORKER_SETTINGS: Final = ("batch_size", "max_retries", "max_wait_time_ms", "max_concurrency", "retry_delay")
_PULL_SETTINGS: Final = ("batch_size", "max_retries", "visibility_timeout_ms", "retry_delay")


def decode_object(body: bytes) -> dict[str, Any]:
    """A request's body that has to be a JSON object, whatever its Content-Type; an empty one is `{}`.

    Raises `InvalidQueueRequest`.
    """
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidQueueRequest(f"invalid request body: it {why_refused(body, error)}") from None
    if not isinstance(document, dict):
        raise InvalidQueueRequest("invalid request body: it has to be a JSON object")
    return document


def timestamp(ms: int) -> str:
    """Milliseconds since the epoch as Cloudflare writes a moment."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def timestamp_ms(text: object) -> int:
    """A moment as Cloudflare writes it, in milliseconds since the epoch; 0 when there is none."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if isinstance(text, str) and text else 0


def queue_json(info: QueueInfo) -> dict[str, Any]:
    return {
        "queue_id": info.queue_id,
        "queue_name": info.name,
        "created_on": timestamp(info.created_on_ms),
        "modified_on": timestamp(info.modified_on_ms),
        "producers": [{"type": "worker", "script": name} for name in info.producers],
        "producers_total_count": len(info.producers),
        "consumers": [consumer_json(consumer, info.name) for consumer in info.consumers],
        "consumers_total_count": len(info.consumers),
        "settings": settings_json(info.settings),
    }


def queue_info(document: Mapping[str, Any]) -> QueueInfo:
    """A queue as the API describes it."""
    producers = (p.get("script") or p.get("bucket_name") for p in document.get("producers") or ())
    return QueueInfo(
        queue_id=document["queue_id"],
        name=document["queue_name"],
        created_on_ms=timestamp_ms(document.get("created_on")),
        modified_on_ms=timestamp_ms(document.get("modified_on")),
        settings=merged_settings(QueueSettings(), document.get("settings") or {}),
        consumers=tuple(consumer_info(c) for c in document.get("consumers") or ()),
        producers=tuple(name for name in producers if name),
    )


def settings_json(settings: QueueSettings) -> dict[str, Any]:
    return {
        "delivery_delay": settings.delivery_delay,
        "delivery_paused": settings.delivery_paused,
        "message_retention_period": settings.message_retention_period,
    }


def merged_settings(base: QueueSettings, changes: object) -> QueueSettings:
    """`base` with the settings that `changes` names. Raises `InvalidQueueSettings` for a wrong type; ranges are the
    store's to check."""
    if not isinstance(changes, dict):
        raise InvalidQueueSettings("The specified queue settings are invalid: settings has to be an object.")
    known = {name: changes[name] for name in QueueSettings.__slots__ if changes.get(name) is not None}
    for name, value in known.items():
        wanted = bool if name == "delivery_paused" else int
        if type(value) is not wanted:
            raise InvalidQueueSettings(f"The specified queue settings are invalid: {name} has to be {_TYPES[wanted]}.")
    return replace(base, **known)


_TYPES: Final = {bool: "true or false", int: "a whole number"}


def consumer_json(consumer: ConsumerInfo, queue_name: str) -> dict[str, Any]:
    """`script` and `script_name` both: SDKs read the one, wrangler the other."""
    settings = consumer.settings
    names = _WORKER_SETTINGS if settings.type == "worker" else _PULL_SETTINGS
    document: dict[str, Any] = {
        "consumer_id": consumer.consumer_id,
        "created_on": timestamp(consumer.created_on_ms),
        "type": settings.type,
        "queue_name": queue_name,
        "dead_letter_queue": settings.dead_letter_queue or "",
        "settings": {name: getattr(settings, name) for name in names},
    }
    if settings.type == "worker":
        document |= {"script": settings.script_name, "script_name": settings.script_name, "environment": ""}
    return document


def consumer_info(document: Mapping[str, Any]) -> ConsumerInfo:
    """A consumer as the API describes it."""
    settings = document.get("settings") or {}
    known = {name: settings[name] for name in {*_WORKER_SETTINGS, *_PULL_SETTINGS} if settings.get(name) is not None}
    described = ConsumerSettings(
        type="http_pull" if document.get("type") == "http_pull" else "worker",
        script_name=document.get("script_name") or document.get("script") or document.get("service"),
        dead_letter_queue=document.get("dead_letter_queue") or None,
        **known,
    )
    return ConsumerInfo(document["consumer_id"], timestamp_ms(document.get("created_on")), described)


def consumer_request(settings: ConsumerSettings) -> dict[str, Any]:
    """The body that adds or replaces a consumer."""
    names = _WORKER_SETTINGS if settings.type == "worker" else _PULL_SETTINGS
    document: dict[str, Any] = {"type": settings.type, "settings": {name: getattr(settings, name) for name in names}}
    if settings.type == "worker":
        document["script_name"] = settings.script_name
    if settings.dead_letter_queue:
        document["dead_letter_queue"] = settings.dead_letter_queue
    return document


def decode_consumer(body: bytes) -> ConsumerSettings:
    """The body that adds or replaces a consumer. What it does not name has Cloudflare's default.

    Raises `InvalidQueueRequest` without a type, `InvalidConsumerSettings` for wrong types (the store checks ranges).
    """
    document = decode_object(body)
    kind, script = document.get("type"), document.get("script_name") or document.get("script")
    if kind not in ("worker", "http_pull"):
        raise InvalidQueueRequest("invalid request body: type has to be worker or http_pull")
    if kind == "worker" and not (isinstance(script, str) and script):
        raise InvalidQueueRequest("invalid request body: a worker consumer needs a script_name")
    dead_letter_queue = document.get("dead_letter_queue")
    if not isinstance(dead_letter_queue, str | None):
        raise InvalidQueueRequest("invalid request body: dead_letter_queue has to be a queue's name")
    found = document.get("settings")
    if not isinstance(found, dict | None):
        raise InvalidConsumerSettings("The specified consumer settings are invalid: settings has to be an object.")
    names = _WORKER_SETTINGS if kind == "worker" else _PULL_SETTINGS
    known = {} if kind == "worker" else {"batch_size": QUEUE_DEFAULTS.pull_batch_size}
    known |= {name: found[name] for name in names if found and found.get(name) is not None}
    for name, value in known.items():
        if type(value) is not int:
            raise InvalidConsumerSettings(f"The specified consumer settings are invalid: {name} has to be a number.")
    return ConsumerSettings(
        type=cast('Literal["worker", "http_pull"]', kind),
        script_name=script if kind == "worker" else None,
        dead_letter_queue=dead_letter_queue or None,
        **known,
    )
