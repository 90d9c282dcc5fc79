"""What goes into a dead-letter queue of Cloudflare's: the message wrapped up with its story.

A message sent there over HTTP begins anew: with a new id, as sent just now, and without a reason. So the body carries
what the local queue keeps beside it: where the message came from, why it failed, and above all *when it was sent*,
without which nobody could tell any more that a candle was still running then. No consumer of candles can take such a
body for candles, so that a dead letter is only ever stored after a redrive, which looks at that time.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, cast

import msgspec

from coinswarm.limits import QUEUES
from coinswarm.queue.letters import DeadLetterRecord
from coinswarm.queue.sendable import unsendable
from coinswarm.queue.types import ContentType, Message, OutgoingMessage

MARK: Final = "coinswarm_dead_letter"
"""The first key of a wrapped body."""


class _Story(msgspec.Struct):
    source: str
    reason: str
    attempts: int
    sent_ms: int
    dead_lettered_ms: int
    content_type: str


class _Buried(msgspec.Struct, omit_defaults=True, rename={"story": MARK}):
    story: _Story
    body: str | None = None
    """The body as text, byte for byte; None where it is none."""
    body_base64: str | None = None


_decoder: Final = msgspec.json.Decoder(_Buried)


def buried(message: Message, source: str, reason: str, now_ms: int) -> OutgoingMessage | None:
    """What to send to the dead-letter queue for `message`, which failed in the queue `source`.

    A body that leaves no room for the story goes bare; None if Cloudflare's API cannot carry that either.
    """
    story = _Story(source, reason, message.attempts, message.timestamp_ms, now_ms, message.content_type)
    try:
        wrapped = _Buried(story, body=message.body.decode())
    except UnicodeDecodeError:
        wrapped = _Buried(story, body_base64=base64.b64encode(message.body).decode())
    body = msgspec.json.encode(wrapped)
    if len(body) <= QUEUES.message_bytes - QUEUES.metadata_bytes:
        return OutgoingMessage(body)
    bare = OutgoingMessage(message.body, message.content_type)
    return bare if unsendable(bare) is None else None


def exhumed(message: Message, source: str | None) -> DeadLetterRecord:
    """The dead letter that `message`, taken from the dead-letter queue, is.

    One that Cloudflare moved by itself is bare: all that is known of it is when it came, and `source`, if there is
    only one queue it can have come from.
    """
    try:
        found = _decoder.decode(message.body)
        body = _body(found)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, binascii.Error):
        return _bare(message, source)
    story = found.story
    return DeadLetterRecord(
        id=message.id,
        held=False,
        source=story.source,
        reason=story.reason,
        attempts=story.attempts,
        first_failed_ms=None,
        last_failed_ms=story.dead_lettered_ms,
        dead_lettered_ms=story.dead_lettered_ms,
        redrives=None,
        timestamp_ms=story.sent_ms,
        content_type=_content_type(story.content_type),
        size_bytes=len(body),
        body=body,
    )


def _bare(message: Message, source: str | None) -> DeadLetterRecord:
    known: dict[str, Any] = dict.fromkeys(
        ("reason", "attempts", "first_failed_ms", "last_failed_ms", "redrives", "timestamp_ms")
    )
    return DeadLetterRecord(
        id=message.id,
        held=False,
        source=source,
        dead_lettered_ms=message.timestamp_ms,
        content_type=message.content_type,
        size_bytes=len(message.body),
        body=message.body,
        **known,
    )


def _body(found: _Buried) -> bytes:
    if found.body is not None:
        return found.body.encode()
    if found.body_base64 is not None:
        return base64.b64decode(found.body_base64, validate=True)
    raise msgspec.ValidationError("neither body nor body_base64")


def _content_type(name: str) -> ContentType:
    return cast(ContentType, name if name in ("json", "text", "bytes", "v8") else "json")
