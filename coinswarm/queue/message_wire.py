"""Messages over HTTP, both ways: push, pull, peek and ack in the JSON of Cloudflare's API.

Source: https://developers.cloudflare.com/queues/configuration/pull-consumers/ (read 2026-11-23). A pushed body is any
JSON value, or a string with the content type `text`; a pulled one is plain for `text` and base64 for everything else,
as documented. Production was also seen sending JSON plainly: the client takes both, the server can be told to.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from coinswarm.envelope import why_refused
from coinswarm.errors import (
    DelayOutOfBounds,
    InvalidMessage,
    InvalidMessageBody,
    InvalidQueueRequest,
    MalformedMessageBody,
    QueueError,
)
from coinswarm.limits import QUEUES
from coinswarm.queue.types import ContentType, Message, Metrics, OutgoingMessage, Retry, Settlement
from coinswarm.queue.wire import decode_object

CONTENT_TYPE: Final = "CF-Content-Type"
"""The metadata key that says what a body is."""


class _Pushed(msgspec.Struct):
    body: msgspec.Raw
    content_type: Any = None
    delay_seconds: Any = None


class _PushedBatch(msgspec.Struct):
    messages: list[_Pushed]
    delay_seconds: Any = None


_pushed: Final = msgspec.json.Decoder(_Pushed)
_pushed_batch: Final = msgspec.json.Decoder(_PushedBatch)


def push_request(messages: Sequence[OutgoingMessage], delay_seconds: int | None = None) -> bytes:
    """The body of `/messages/batch`. Raises `InvalidMessage` for what only a Worker's binding can send."""
    document: dict[str, Any] = {"messages": [_push(message) for message in messages]}
    if delay_seconds is not None:
        document["delay_seconds"] = delay_seconds
    return msgspec.json.encode(document)


def _push(message: OutgoingMessage) -> dict[str, Any]:
    if message.content_type == "json":
        body: Any = msgspec.Raw(message.body)
    elif message.content_type == "text":
        body = message.body.decode()
    else:
        raise InvalidMessage(f"Cloudflare's API takes json and text, not {message.content_type}")
    document = {"body": body, "content_type": message.content_type}
    return document if message.delay_seconds is None else {**document, "delay_seconds": message.delay_seconds}


def decode_push(body: bytes) -> OutgoingMessage:
    """The body of `/messages`. Raises `MalformedMessageBody`, `InvalidMessageBody`, `InvalidMessage`."""
    return _outgoing(_decoded(_pushed, body))


def decode_push_batch(body: bytes) -> tuple[list[OutgoingMessage], int | None]:
    """The body of `/messages/batch`: messages and the delay for all. Raises as `decode_push`, `DelayOutOfBounds`."""
    batch = _decoded(_pushed_batch, body)
    if not batch.messages:
        raise InvalidMessageBody("A batch needs at least one message.")
    if not _is_delay(batch.delay_seconds):
        raise DelayOutOfBounds(f"delay_seconds has to lie between 0 and {QUEUES.delay_seconds}")
    return [_outgoing(message) for message in batch.messages], batch.delay_seconds


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        str(body, "utf-8")
        return decoder.decode(body)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidMessageBody(f"The body is not what this endpoint takes: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessageBody(f"The body {why_refused(body, error)}") from None


def _outgoing(pushed: _Pushed) -> OutgoingMessage:
    if not _is_delay(pushed.delay_seconds):
        raise InvalidMessage(f"delay_seconds has to lie between 0 and {QUEUES.delay_seconds}")
    if pushed.content_type in (None, "json"):
        return OutgoingMessage(bytes(pushed.body), "json", pushed.delay_seconds)
    if pushed.content_type != "text":
        raise InvalidMessage(f"content_type has to be json or text, not {pushed.content_type!r}")
    try:
        text = msgspec.json.decode(bytes(pushed.body), type=str).encode()
    except msgspec.DecodeError:
        raise InvalidMessageBody("The body of a text message has to be a string.") from None
    return OutgoingMessage(text, "text", pushed.delay_seconds)


def _is_delay(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value <= QUEUES.delay_seconds)


def pull_request(batch_size: int, visibility_timeout_ms: int | None = None) -> bytes:
    """The body of `/messages/pull`."""
    document = {"batch_size": batch_size}
    if visibility_timeout_ms is not None:
        document["visibility_timeout_ms"] = visibility_timeout_ms
    return msgspec.json.encode(document)


def decode_pull(body: bytes) -> tuple[int | None, int | None]:
    """Batch size and visibility timeout (ms) that a body of `/messages/pull` names. Raises `InvalidQueueRequest`.

    `visibility_timeout` is how Cloudflare's guide spells it, in milliseconds too.
    """
    document = decode_object(body)
    timeout = document.get("visibility_timeout_ms", document.get("visibility_timeout"))
    return (
        whole(document.get("batch_size"), "batch_size", 1, QUEUES.batch_messages),
        whole(timeout, "visibility_timeout_ms", 1, QUEUES.visibility_timeout_ms),
    )


def whole(value: object, name: str, least: int, most: int) -> int | None:
    """`value` as a whole number within bounds (the SDKs send `10.0` as well); None stays None."""
    if value is None:
        return None
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is None or number != number // 1 or not least <= number <= most:
        raise InvalidQueueRequest(f"invalid request body: {name} has to be a whole number from {least} to {most}")
    return int(number)


def pulled_json(messages: Iterable[Message], *, plain_json: bool = False) -> list[dict[str, Any]]:
    """Leased messages as `/messages/pull` sends them; with `plain_json` JSON bodies as they are, not in base64."""
    return [{**_received(message, plain_json), "lease_id": message.lease_id} for message in messages]


def peeked_json(messages: Iterable[Message], *, plain_json: bool = False) -> list[dict[str, Any]]:
    """Messages as `/messages/peek` sends them, with the `ref` that `/messages/purge` takes."""
    return [{**_received(message, plain_json), "ref": message.id} for message in messages]


def _received(message: Message, plain_json: bool) -> dict[str, Any]:
    plain = message.content_type == "text" or (plain_json and message.content_type == "json")
    return {
        "id": message.id,
        "body": message.body.decode("utf-8", "replace") if plain else base64.b64encode(message.body).decode(),
        "attempts": message.attempts,
        "timestamp_ms": message.timestamp_ms,
        "metadata": {CONTENT_TYPE: message.content_type, "CF-sourceMessageSource": "http"},
    }


def messages_of(result: Mapping[str, Any]) -> list[Message]:
    """As `pulled_messages`, of a whole reply. Raises `QueueError` where it is not as documented."""
    try:
        return pulled_messages(result["messages"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise QueueError(f"the reply does not hold messages as documented: {error!r}") from error


def pulled_messages(documents: Iterable[Mapping[str, Any]]) -> list[Message]:
    """The messages of a `/messages/pull` or `/messages/peek` reply."""
    return [_message(document) for document in documents]


def _message(document: Mapping[str, Any]) -> Message:
    kind = (document.get("metadata") or {}).get(CONTENT_TYPE)
    content_type = cast(ContentType, kind if kind in ("json", "text", "bytes", "v8") else "json")
    return Message(
        id=document["id"],
        body=_body(document.get("body"), content_type),
        content_type=content_type,
        timestamp_ms=int(document.get("timestamp_ms") or 0),
        attempts=max(0 if "ref" in document else 1, int(document.get("attempts") or 0)),
        lease_id=document.get("lease_id") or "",
    )


def _body(body: object, content_type: ContentType) -> bytes:
    """JSON may come plain or in base64. No text is both JSON and the base64 of JSON, so trying in turn is safe.

    What is neither is handed on as it came: the consumer refuses this one body, and the others of the pull go through.
    """
    if not isinstance(body, str):
        return msgspec.json.encode(body)
    if content_type == "text":
        return body.encode()
    if content_type == "json" and _is_json(body):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return body.encode()


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def ack_request(acks: Iterable[str], retries: Iterable[Retry] = ()) -> bytes:
    """The body of `/messages/ack`. The API knows no dead letters and no releases: the caller makes these of them."""
    return msgspec.json.encode(
        {"acks": [{"lease_id": lease} for lease in acks], "retries": [_retry(r) for r in retries]}
    )


def _retry(retry: Retry) -> dict[str, Any]:
    if retry.delay_seconds is None:
        return {"lease_id": retry.lease_id}
    return {"lease_id": retry.lease_id, "delay_seconds": retry.delay_seconds}


def decode_ack(body: bytes) -> Settlement:
    """The body of `/messages/ack`. Raises `InvalidQueueRequest`."""
    document = decode_object(body)
    return Settlement(
        acks=[_lease(item, "acks") for item in _list(document, "acks")],
        retries=[
            Retry(_lease(r, "retries"), whole(r.get("delay_seconds"), "delay_seconds", 0, QUEUES.delay_seconds))
            for r in _list(document, "retries")
        ],
    )


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    if not isinstance(found, list | None):
        raise InvalidQueueRequest(f"invalid request body: {name} has to be a list")
    return found or []


def _lease(item: object, name: str) -> str:
    lease = item.get("lease_id") if isinstance(item, dict) else None
    if not isinstance(lease, str):
        raise InvalidQueueRequest(f"invalid request body: every item of {name} needs a lease_id")
    return lease


def metrics_json(metrics: Metrics) -> dict[str, int]:
    return {
        "backlog_count": metrics.backlog,
        "backlog_bytes": metrics.bytes,
        "oldest_message_timestamp_ms": metrics.oldest_message_timestamp_ms,
    }


def metrics_of(document: Mapping[str, Any]) -> Metrics:
    """What the API says of a queue's backlog; it does not tell waiting, delayed and in flight apart (they are 0)."""
    return Metrics(
        backlog=int(document.get("backlog_count") or 0),
        waiting=0,
        in_flight=0,
        delayed=0,
        bytes=int(document.get("backlog_bytes") or 0),
        oldest_message_timestamp_ms=int(document.get("oldest_message_timestamp_ms") or 0),
    )


def stale_leases(result: dict[str, Any], leases: Iterable[str]) -> tuple[str, ...]:
    """The leases that `warnings` names: a map from lease to text, or, in older replies, a list of texts."""
    warnings = result.get("warnings") or ()
    if isinstance(warnings, dict):
        return tuple(lease for lease in leases if lease in warnings)
    texts = [str(text) for text in warnings]
    return tuple(lease for lease in leases if any(lease in text for text in texts))
