"""Queues over HTTP: queues, consumers, settings and messages as Cloudflare's API has them."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.errors import (
    CloudflareError,
    DelayOutOfBounds,
    InvalidConsumerSettings,
    InvalidMessage,
    InvalidMessageBody,
    InvalidQueueRequest,
    InvalidQueueSettings,
    MalformedMessageBody,
)
from coinswarm.queue.message_wire import (
    decode_ack,
    decode_pull,
    decode_push,
    decode_push_batch,
    pulled_json,
    pulled_messages,
    push_request,
)
from coinswarm.queue.types import ConsumerInfo, ConsumerSettings, Message, OutgoingMessage, QueueInfo, QueueSettings
from coinswarm.queue.wire import (
    consumer_json,
    consumer_request,
    decode_consumer,
    merged_settings,
    queue_info,
    queue_json,
    timestamp,
    timestamp_ms,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
bodies = st.builds(lambda value: (json.dumps(value).encode(), "json"), json_values) | st.builds(
    lambda text: (text.encode(), "text"), texts
)
delays = st.none() | st.integers(min_value=0, max_value=86_400)

WORKER = ConsumerSettings("worker", "importer", "dead", 100, 5, 5_000, 5, 30)
PULL = ConsumerSettings("http_pull", None, None, 7, 4, 5_000, None, 60, 45_000)
QUEUE = QueueInfo(
    "5e1b9969eb974d8c99c48d19df104c7a",
    "prices",
    1_700_000_000_123,
    1_700_000_001_000,
    QueueSettings(10, True, 3600),
    (ConsumerInfo("c1", 1_700_000_000_500, WORKER),),
    ("producer",),
)


def message(body: bytes, content_type: Any, **changes: Any) -> Message:
    return Message("0" * 32, body, content_type, 1_700_000_000_000, 2, "lease") if not changes else Message(**changes)


def test_a_queue_comes_back_as_it_was_described() -> None:
    assert queue_info(queue_json(QUEUE)) == QUEUE


def test_a_queue_counts_its_producers_and_consumers_for_wrangler() -> None:
    document = queue_json(QUEUE)
    assert (document["producers_total_count"], document["consumers_total_count"]) == (1, 1)
    assert document["producers"] == [{"type": "worker", "script": "producer"}]
    assert document["created_on"] == "2023-11-14T22:13:20.123000Z"


def test_a_worker_consumer_is_named_for_both_clients_and_has_no_service() -> None:
    document = consumer_json(QUEUE.consumers[0], "prices")
    assert document["script"] == document["script_name"] == "importer"
    assert "service" not in document
    assert document["dead_letter_queue"] == "dead"
    assert set(document["settings"]) == {
        "batch_size",
        "max_retries",
        "max_wait_time_ms",
        "max_concurrency",
        "retry_delay",
    }


@pytest.mark.parametrize("settings", [WORKER, PULL])
def test_a_consumer_is_read_as_it_was_written(settings: ConsumerSettings) -> None:
    assert decode_consumer(msgspec.json.encode(consumer_request(settings))) == settings


def test_a_pull_consumer_gets_cloudflares_defaults() -> None:
    settings = decode_consumer(b'{"type": "http_pull"}')
    assert (settings.batch_size, settings.max_retries, settings.visibility_timeout_ms) == (5, 3, 30_000)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", InvalidQueueRequest),
        (b"[]", InvalidQueueRequest),
        (b"nonsense", InvalidQueueRequest),
        (b'{"type": "carrier_pigeon"}', InvalidQueueRequest),
        (b'{"type": "worker"}', InvalidQueueRequest),
        (b'{"type": "worker", "script_name": 7}', InvalidQueueRequest),
        (b'{"type": "http_pull", "dead_letter_queue": 7}', InvalidQueueRequest),
        (b'{"type": "http_pull", "settings": []}', InvalidConsumerSettings),
        (b'{"type": "http_pull", "settings": {"batch_size": "7"}}', InvalidConsumerSettings),
        (b'{"type": "http_pull", "settings": {"batch_size": true}}', InvalidConsumerSettings),
    ],
)
def test_a_consumer_that_is_none_is_refused(body: bytes, kind: type[CloudflareError]) -> None:
    with pytest.raises(kind):
        decode_consumer(body)


def test_settings_that_are_not_named_stay() -> None:
    base = QueueSettings(10, True, 3600)
    assert merged_settings(base, {"delivery_delay": 0}) == QueueSettings(0, True, 3600)
    assert merged_settings(base, {}) == base


@pytest.mark.parametrize(
    "changes", [[], {"delivery_delay": "1"}, {"delivery_paused": 1}, {"message_retention_period": True}]
)
def test_settings_of_a_wrong_type_are_refused(changes: Any) -> None:
    with pytest.raises(InvalidQueueSettings, match="The specified queue settings are invalid"):
        merged_settings(QueueSettings(), changes)


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_a_moment_comes_back_to_the_millisecond(ms: int) -> None:
    assert timestamp_ms(timestamp(ms)) == ms


@given(st.lists(st.tuples(bodies, delays), min_size=1, max_size=5), delays)
def test_a_batch_is_read_as_it_was_written(items: list[Any], delay: int | None) -> None:
    messages = [OutgoingMessage(body, kind, own) for (body, kind), own in items]
    assert decode_push_batch(push_request(messages, delay)) == (messages, delay)


def test_what_only_a_binding_can_send_is_not_sent() -> None:
    with pytest.raises(InvalidMessage, match="not bytes"):
        push_request([OutgoingMessage(b"\x00", "bytes")])


def test_a_json_body_is_kept_byte_for_byte() -> None:
    pushed = decode_push(b'{"body": {"price": 1.10, "volume":null , "big": 9007199254740993}, "content_type": "json"}')
    assert pushed.body == b'{"price": 1.10, "volume":null , "big": 9007199254740993}'


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"nonsense", MalformedMessageBody, 10208),
        (b"", MalformedMessageBody, 10208),
        (b'{"body": [1,]}', MalformedMessageBody, 10208),
        (b'{"body": "\xff"}', MalformedMessageBody, 10208),
        (b"[]", InvalidMessageBody, 10207),
        (b"{}", InvalidMessageBody, 10207),
        (b'{"content_type": "json"}', InvalidMessageBody, 10207),
        (b'{"body": 1, "content_type": "text"}', InvalidMessageBody, 10207),
        (b'{"body": ' + b"[" * 5000 + b"]" * 5000 + b"}", InvalidMessageBody, 10207),
        (b'{"body": 1, "content_type": "bytes"}', InvalidMessage, 10203),
        (b'{"body": 1, "content_type": 7}', InvalidMessage, 10203),
        (b'{"body": 1, "delay_seconds": -1}', InvalidMessage, 10203),
        (b'{"body": 1, "delay_seconds": 86401}', InvalidMessage, 10203),
        (b'{"body": 1, "delay_seconds": true}', InvalidMessage, 10203),
        (b'{"body": 1, "delay_seconds": "1"}', InvalidMessage, 10203),
    ],
)
def test_a_push_that_is_none_is_refused_with_its_code(body: bytes, kind: type[CloudflareError], code: int) -> None:
    with pytest.raises(kind) as refusal:
        decode_push(body)
    assert refusal.value.code == code


def test_a_batch_needs_messages_and_a_sound_delay() -> None:
    with pytest.raises(InvalidMessageBody):
        decode_push_batch(b'{"messages": []}')
    with pytest.raises(InvalidMessageBody):
        decode_push_batch(b'{"messages": [1]}')
    with pytest.raises(DelayOutOfBounds) as refusal:
        decode_push_batch(b'{"messages": [{"body": 1}], "delay_seconds": 86401}')
    assert refusal.value.code == 10202


@given(bodies, st.booleans())
def test_a_pulled_body_is_what_was_pushed_whether_json_comes_plain_or_in_base64(item: Any, plain: bool) -> None:
    sent = message(*item)
    (document,) = msgspec.json.decode(msgspec.json.encode(pulled_json([sent], plain_json=plain)))
    assert pulled_messages([document]) == [sent]


def test_json_and_bytes_come_in_base64_and_text_plainly() -> None:
    kinds = ("json", "bytes", "v8", "text")
    found = {kind: pulled_json([message(b'"x"', kind)])[0] for kind in kinds}
    assert [found[kind]["body"] for kind in kinds] == [base64.b64encode(b'"x"').decode()] * 3 + ['"x"']
    assert [found[kind]["metadata"]["CF-Content-Type"] for kind in kinds] == list(kinds)


def test_a_body_that_arrives_as_json_itself_is_taken_too() -> None:
    (pulled,) = pulled_messages([{"id": "a", "body": {"x": 1}, "metadata": {"CF-Content-Type": "json"}}])
    assert (pulled.body, pulled.attempts) == (b'{"x":1}', 1)


def test_a_body_that_nobody_can_read_is_handed_on_for_the_consumer_to_refuse() -> None:
    (pulled,) = pulled_messages([{"id": "0a", "body": "not {json", "metadata": {"CF-Content-Type": "json"}}])
    assert pulled.body == b"not {json"


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"", (None, None)),
        (b"{}", (None, None)),
        (b'{"batch_size": 7, "visibility_timeout_ms": 1000}', (7, 1000)),
        (b'{"batch_size": 7.0, "visibility_timeout": 1000}', (7, 1000)),
    ],
)
def test_a_pull_says_how_many_and_for_how_long_in_either_spelling(body: bytes, asked: Any) -> None:
    assert decode_pull(body) == asked


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"batch_size": 0}',
        b'{"batch_size": 101}',
        b'{"batch_size": 1.5}',
        b'{"batch_size": true}',
        b'{"batch_size": "5"}',
        b'{"visibility_timeout_ms": -1}',
        b'{"visibility_timeout_ms": 43200001}',
    ],
)
def test_a_pull_out_of_bounds_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidQueueRequest) as refusal:
        decode_pull(body)
    assert refusal.value.code == 10026


def test_an_acknowledgement_names_leases_and_delays() -> None:
    settlement = decode_ack(b'{"acks": [{"lease_id": "a"}], "retries": [{"lease_id": "b", "delay_seconds": 5}]}')
    assert list(settlement.acks) == ["a"]
    assert [(retry.lease_id, retry.delay_seconds) for retry in settlement.retries] == [("b", 5)]
    assert decode_ack(b"{}").acks == []


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b'{"acks": {}}',
        b'{"acks": ["a"]}',
        b'{"retries": [{}]}',
        b'{"retries": [{"lease_id": "a", "delay_seconds": -1}]}',
    ],
)
def test_an_acknowledgement_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidQueueRequest):
        decode_ack(body)
