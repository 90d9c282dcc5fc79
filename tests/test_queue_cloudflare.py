"""Cloudflare's own queues over HTTP: push, pull and ack as the API has them, and nothing lost on the way."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle
from coinswarm.clock import ManualClock
from coinswarm.errors import (
    ApiUnavailable,
    BatchCountOutOfBounds,
    BatchTooLarge,
    ConsumerExists,
    DelayOutOfBounds,
    HttpPullDisabled,
    InvalidMessage,
    InvalidQueueName,
    MessageTooLarge,
    QueueError,
    QueueNotFound,
    QueueOverloaded,
    QueuePaused,
    QueuePlanLimit,
    QueueStorageLimit,
)
from coinswarm.payload import decode, pack
from coinswarm.queue.cloudflare import CloudflareQueue, CloudflareQueueStore
from coinswarm.queue.types import (
    ConsumerSettings,
    DeadLetter,
    Departures,
    OutgoingMessage,
    QueueSettings,
    Retry,
    Settlement,
)
from tests.support.cloudflare import BASE, InTurn, api_to, ok, refused

QUEUE_ID = "5e1b9969eb974d8c99c48d19df104c7a"
DEAD_ID = "6f1b9969eb974d8c99c48d19df104c7b"
NAME = "historical-data-queue"
DEAD = "historical-data-dlq"
LOST = httpx.ReadError("reset", request=httpx.Request("POST", BASE))


def consumer_document(**changes: Any) -> dict[str, Any]:
    settings = {"batch_size": 100, "max_retries": 3, "visibility_timeout_ms": 30_000, "retry_delay": 0}
    return {
        "consumer_id": "c1",
        "type": "http_pull",
        "created_on": "2026-01-01T00:00:00Z",
        "dead_letter_queue": DEAD,
        "settings": settings,
    } | changes


def queue_document(name: str = NAME, queue_id: str = QUEUE_ID, **changes: Any) -> dict[str, Any]:
    return {
        "queue_id": queue_id,
        "queue_name": name,
        "created_on": "2026-01-01T00:00:00.5Z",
        "modified_on": "2026-01-02T00:00:00Z",
        "producers": [{"type": "worker", "script": "importer"}],
        "consumers": [consumer_document()],
        "settings": {"delivery_delay": 0, "delivery_paused": False, "message_retention_period": 345_600},
    } | changes


def message_document(number: int, body: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{number:032x}",
        "body": base64.b64encode(b'{"n":1}').decode() if body is None else body,
        "attempts": 1,
        "timestamp_ms": 1_700_000_000_000,
        "lease_id": f"lease-{number}",
        "metadata": {"CF-Content-Type": "json", "CF-sourceMessageSource": "http"},
    } | changes


def pulled(*documents: dict[str, Any]) -> httpx.Response:
    return ok({"message_backlog_count": len(documents), "messages": list(documents)})


def settled(acks: int = 0, retries: int = 0, warnings: Any = None) -> httpx.Response:
    return ok({"ackCount": acks, "retryCount": retries, "warnings": {} if warnings is None else warnings})


@contextmanager
def queue(
    *answers: httpx.Response | Exception, clock: ManualClock | None = None, **changes: Any
) -> Iterator[tuple[CloudflareQueue, InTurn]]:
    """The opened queue, and the handler with the requests made after opening; all answers have to be asked for."""
    handler = InTurn(ok([queue_document(**changes)]), *answers)
    opened = CloudflareQueueStore(api_to(handler, clock=clock)).open(NAME)
    handler.requests.clear()
    yield opened, handler
    assert handler.answers == []


# Sending.


def test_a_hundred_messages_are_one_request_with_json_as_json_and_text_as_text() -> None:
    messages = [OutgoingMessage(b'[{"open":0.1}]', delay_seconds=5), OutgoingMessage("é".encode(), "text")]
    with queue(ok({"metadata": {}})) as (q, handler):
        assert q.send_batch(messages + [messages[0]] * 98, delay_seconds=7) == [""] * 100
    assert handler.paths == [f"POST /queues/{QUEUE_ID}/messages/batch"]
    sent = handler.bodies[0]
    assert sent["delay_seconds"] == 7
    assert sent["messages"][0] == {"body": [{"open": 0.1}], "content_type": "json", "delay_seconds": 5}
    assert sent["messages"][1] == {"body": "é", "content_type": "text"}
    assert len(sent["messages"]) == 100


def test_a_json_body_leaves_byte_for_byte_as_the_producer_wrote_it() -> None:
    body = b'[{"open": 1e-8, "high":100.0,"n":12345678901234567890, "s":"\\u00e9/"}]'
    with queue(ok()) as (q, handler):
        q.send_batch([OutgoingMessage(body)])
    assert body in handler.requests[0].content


prices = st.floats(min_value=1e-9, max_value=1e12, allow_subnormal=False)


@given(st.lists(st.tuples(prices, prices, st.none() | prices), min_size=1, max_size=10))
def test_what_a_worker_makes_of_a_body_and_writes_again_holds_the_same_candles(values: list[Any]) -> None:
    """JavaScript reads numbers as doubles and writes whole ones without a fraction: nothing of a candle is lost."""
    candles = [
        Candle(
            "BTC-USDC", 1_699_999_200 - i * 3600, "1h", min(a, b), max(a, b), min(a, b), max(a, b), v, None, "binance"
        )
        for i, (a, b, v) in enumerate(values)
    ]
    (body, _), *_ = pack(candles)
    rewritten = json.dumps(
        json.loads(body, parse_int=float), default=str, separators=(",", ":")
    ).encode()  # every number a double …
    shortened = json.dumps(
        json.loads(rewritten, parse_float=lambda t: int(float(t)) if float(t).is_integer() else float(t))
    ).encode()  # … and whole ones written short
    assert decode(shortened, taken_ms=1_700_010_000_000).candles == candles


def test_a_batch_whose_reply_was_lost_is_sent_again_because_twice_is_better_than_never() -> None:
    with queue(LOST, ok()) as (q, handler):
        q.send_batch([OutgoingMessage(b"1")])
    assert len(handler.requests) == 2


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], BatchCountOutOfBounds),
        ([OutgoingMessage(b"1")] * 101, BatchCountOutOfBounds),
        ([OutgoingMessage(b'"' + b"x" * 128_000 + b'"')], MessageTooLarge),
        ([OutgoingMessage(b'"' + b"x" * 100_000 + b'"')] * 3, BatchTooLarge),
        ([OutgoingMessage(b"1", delay_seconds=86_401)], DelayOutOfBounds),
        ([OutgoingMessage(b"1"), OutgoingMessage(b"not json")], InvalidMessage),
        ([OutgoingMessage(b"\xff", "text")], InvalidMessage),
        ([OutgoingMessage(b"\xff", "bytes")], InvalidMessage),
    ],
)
def test_what_the_api_would_refuse_is_refused_before_a_request(messages: list[OutgoingMessage], error: type) -> None:
    with queue() as (q, handler), pytest.raises(error):
        q.send_batch(messages)
    assert handler.requests == []


# Pulling.


def test_a_pull_names_its_size_and_how_long_the_messages_are_hidden() -> None:
    with queue(pulled(message_document(1, attempts=2))) as (q, handler):
        [message] = q.lease(100, visibility_timeout_ms=45_000)
    assert handler.paths == [f"POST /queues/{QUEUE_ID}/messages/pull"]
    assert handler.bodies == [{"batch_size": 100, "visibility_timeout_ms": 45_000}]
    assert (message.id, message.lease_id, message.attempts) == (f"{1:032x}", "lease-1", 2)
    assert (message.body, message.content_type, message.timestamp_ms) == (b'{"n":1}', "json", 1_700_000_000_000)


@pytest.mark.parametrize(
    ("kind", "sent", "body"),
    [
        ("json", base64.b64encode(b'[{"a":1e-8}]').decode(), b'[{"a":1e-8}]'),
        ("json", '[{"a":1e-8}]', b'[{"a":1e-8}]'),
        ("json", [{"a": 1e-8}], b'[{"a":1e-8}]'),
        ("json", base64.b64encode(b"1234").decode(), b"1234"),
        ("json", "1234", b"1234"),
        ("json", "not json, not base64!", b"not json, not base64!"),
        ("text", "W10=", b"W10="),
        ("bytes", "AP8=", b"\x00\xff"),
    ],
    ids=["base64", "plain", "a value", "base64 of a number", "a plain number", "neither", "text", "bytes"],
)
def test_a_body_is_read_in_base64_or_plain(kind: str, sent: Any, body: bytes) -> None:
    with queue(pulled(message_document(1, sent, metadata={"CF-Content-Type": kind}))) as (q, _):
        assert q.lease(10)[0].body == body


@pytest.mark.parametrize("strange", [None, {}, {"messages": None}, {"messages": [{"no": "id"}]}, {"messages": ["x"]}])
def test_a_reply_that_is_no_pull_is_not_taken_for_an_empty_queue(strange: Any) -> None:
    with queue(ok(strange)) as (q, _), pytest.raises(QueueError, match="as documented"):
        q.lease(10)


def test_pulls_and_acks_do_not_draw_on_the_accounts_1200_requests_but_stay_below_5000_messages_a_second() -> None:
    clock = ManualClock()
    answers = [pulled() for _ in range(51)] + [settled(acks=1) for _ in range(51)]
    with queue(*answers, clock=clock) as (q, _):
        for _ in range(50):
            q.lease(100)
        assert clock.monotonic() == 0.0
        q.lease(100)
        assert clock.monotonic() == 1.0
        for _ in range(51):
            q.settle(Settlement(acks=["x"]))
        assert clock.monotonic() == 1.0


def test_a_paused_queue_and_one_without_a_pull_consumer_are_told_with_the_command_that_helps() -> None:
    with queue(refused(10252, "queue_delivery_paused", 409)) as (q, _), pytest.raises(QueuePaused) as paused:
        q.lease(10)
    assert paused.value.hint == f"Resume it: coinswarm queues resume-delivery {NAME} --remote"
    with queue(refused(10405, "Method not allowed", 405)) as (q, _), pytest.raises(HttpPullDisabled) as disabled:
        q.lease(10)
    assert f"coinswarm queues consumer http add {NAME} --dead-letter-queue historical-data-dlq --remote" in (
        disabled.value.hint or ""
    )
    worker = consumer_document(type="worker", script="historical")
    with queue(refused(10026, "no", 405), consumers=[worker]) as (q, _), pytest.raises(HttpPullDisabled) as taken:
        q.lease(10)
    assert f"coinswarm queues consumer remove {NAME} historical --remote && " in (taken.value.hint or "")


def test_a_full_queue_and_a_used_up_plan_are_not_tried_again_but_an_overloaded_one_is() -> None:
    one = [OutgoingMessage(b"1")]
    with queue(refused(10251, "QueueStorageLimitExceeded", 429)) as (q, _), pytest.raises(QueueStorageLimit):
        q.send_batch(one)
    with queue(refused(10253, "FreeTierLimitExceeded", 429)) as (q, _), pytest.raises(QueuePlanLimit, match=NAME):
        q.send_batch(one)
    with queue(refused(10250, "QueueOverloaded", 429), ok()) as (q, _):
        q.send_batch(one)
    with queue(*[refused(10250, "QueueOverloaded", 429)] * 5) as (q, _), pytest.raises(QueueOverloaded):
        q.send_batch(one)


def test_a_queue_that_was_deleted_meanwhile_is_told() -> None:
    with queue(refused(10104, "QueueNotFound", 404)) as (q, _), pytest.raises(QueueNotFound, match=f"{NAME} is gone"):
        q.lease(10)


# Settling.


def test_acks_and_retries_are_one_request() -> None:
    with queue(settled(2, 2)) as (q, handler):
        done = q.settle(Settlement(acks=["a", "b"], retries=[Retry("c", 30), Retry("d")]))
    assert handler.paths == [f"POST /queues/{QUEUE_ID}/messages/ack"]
    expected = [{"lease_id": "c", "delay_seconds": 30}, {"lease_id": "d"}]
    assert handler.bodies == [{"acks": [{"lease_id": "a"}, {"lease_id": "b"}], "retries": expected}]
    assert (done.acked, done.retried, done.stale) == (2, 2, ())


def test_nothing_to_settle_is_no_request() -> None:
    with queue() as (q, _):
        assert q.settle(Settlement()).acked == 0


@pytest.mark.parametrize("warnings", [{"lease-2": "expired"}, ["lease-2 is unknown"]], ids=["a map", "a list"])
def test_a_lease_that_settles_nothing_any_more_is_stale_and_not_counted(warnings: Any) -> None:
    with queue(settled(1, 0, warnings)) as (q, _):
        done = q.settle(Settlement(acks=["lease-1", "lease-2"]))
    assert (done.acked, done.stale) == (1, ("lease-2",))


def test_a_release_is_a_retry_without_delay() -> None:
    with queue(settled(0, 1)) as (q, handler):
        assert q.settle(Settlement(releases=["a"])).released == 1
    assert handler.bodies[0]["retries"] == [{"lease_id": "a", "delay_seconds": 0}]


def test_a_retry_of_the_last_delivery_is_a_dead_letter_and_without_a_dead_letter_queue_a_loss() -> None:
    documents = [message_document(1, attempts=4), message_document(2, attempts=3)]
    both = Settlement(retries=[Retry("lease-1"), Retry("lease-2")])
    with queue(pulled(*documents), settled(0, 2)) as (q, _):
        q.lease(10)
        done = q.settle(both)
    assert (done.retried, done.dead_lettered, done.dropped) == (1, 1, 0)
    with queue(pulled(*documents), settled(0, 2), consumers=[consumer_document(dead_letter_queue="")]) as (q, _):
        q.lease(10)
        done = q.settle(both)
    assert (done.retried, done.dead_lettered, done.dropped) == (1, 0, 1)


# Dead letters.


def dead_letter_queue() -> httpx.Response:
    return ok([queue_document(DEAD, DEAD_ID, consumers=[])])


def test_a_dead_letter_is_first_sent_to_the_dead_letter_queue_with_its_story_and_then_acked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = b'[{"low": 0.0,  "x":1e-8}]'
    text = message_document(2, "plain", metadata={"CF-Content-Type": "text"})
    first = message_document(1, base64.b64encode(body).decode())
    with queue(pulled(first, text), dead_letter_queue(), ok(), settled(3)) as (q, handler):
        q.lease(10)
        letters = [DeadLetter("lease-1", "row 0: low is not above zero"), DeadLetter("lease-2", "not JSON")]
        with caplog.at_level(logging.WARNING):
            done = q.settle(Settlement(acks=["a"], dead_letters=letters))
    assert handler.paths[2:] == [f"POST /queues/{DEAD_ID}/messages/batch", f"POST /queues/{QUEUE_ID}/messages/ack"]
    first_sent, second_sent = (message["body"] for message in handler.bodies[2]["messages"])
    assert first_sent["body"].encode() == body
    story = first_sent["coinswarm_dead_letter"]
    assert (story["source"], story["reason"], story["attempts"]) == (NAME, "row 0: low is not above zero", 1)
    assert (story["sent_ms"], story["content_type"]) == (1_700_000_000_000, "json")
    assert (second_sent["body"], second_sent["coinswarm_dead_letter"]["content_type"]) == ("plain", "text")
    assert [a["lease_id"] for a in handler.bodies[3]["acks"]] == ["a", "lease-1", "lease-2"]
    assert (done.acked, done.dead_lettered, done.retried) == (1, 2, 0)
    assert "low is not above zero" in caplog.text


@pytest.mark.parametrize(
    "answers",
    [
        [dead_letter_queue(), refused(10251, "QueueStorageLimitExceeded", 429)],
        [ok([])],
        [refused(10000, "Authentication error", 403)],
    ],
    ids=["full", "not there", "not allowed"],
)
def test_a_dead_letter_that_cannot_be_sent_is_retried_and_never_acked(answers: list[httpx.Response]) -> None:
    with queue(pulled(message_document(1)), *answers, settled(1, 1)) as (q, handler):
        q.lease(10)
        done = q.settle(Settlement(acks=["a"], dead_letters=[DeadLetter("lease-1", "poison")]))
    last = handler.bodies[-1]
    assert last == {"acks": [{"lease_id": "a"}], "retries": [{"lease_id": "lease-1"}]}
    assert (done.acked, done.dead_lettered, done.retried) == (1, 0, 1)


def test_a_dead_letter_whose_ack_fails_is_in_both_queues_and_never_in_none() -> None:
    lost = [httpx.Response(503)] * 5
    with queue(pulled(message_document(1)), dead_letter_queue(), ok(), *lost, ok(), settled(1)) as (q, handler):
        q.lease(10)
        poison = Settlement(dead_letters=[DeadLetter("lease-1", "poison")])
        with pytest.raises(ApiUnavailable):
            q.settle(poison)
        assert q.settle(poison).dead_lettered == 1
    sent = [path for path in handler.paths if path == f"POST /queues/{DEAD_ID}/messages/batch"]
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("document", "key", "wrapped"),
    [
        (message_document(1, "AP8=", metadata={"CF-Content-Type": "bytes"}), "body_base64", "AP8="),
        (message_document(1, "not json, not base64!"), "body", "not json, not base64!"),
    ],
)
def test_a_body_that_http_cannot_carry_is_dead_lettered_in_its_wrapping(
    document: dict[str, Any], key: str, wrapped: str
) -> None:
    with queue(pulled(document), dead_letter_queue(), ok(), settled(1)) as (q, handler):
        q.lease(10)
        assert q.settle(Settlement(dead_letters=[DeadLetter("lease-1", "poison")])).dead_lettered == 1
    assert handler.bodies[2]["messages"][0]["body"][key] == wrapped


def test_a_body_that_leaves_no_room_for_its_story_goes_bare_or_is_left_for_cloudflare_to_move() -> None:
    large = b'"' + b"x" * 127_800 + b'"'
    documents = [
        message_document(1, base64.b64encode(large).decode()),
        message_document(2, base64.b64encode(large).decode(), metadata={"CF-Content-Type": "bytes"}),
    ]
    with queue(pulled(*documents), dead_letter_queue(), ok(), settled(1, 1)) as (q, handler):
        q.lease(10)
        done = q.settle(Settlement(dead_letters=[DeadLetter(f"lease-{n}", "poison") for n in (1, 2)]))
    assert (done.dead_lettered, done.retried) == (1, 1)
    assert handler.bodies[2]["messages"][0]["body"] == "x" * 127_800
    assert handler.bodies[-1]["retries"] == [{"lease_id": "lease-2"}]


def test_without_a_dead_letter_queue_poison_is_retried_and_the_log_says_what_will_become_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = (pulled(message_document(1)), settled(0, 1))
    with queue(*answers, consumers=[consumer_document(dead_letter_queue="")]) as (q, _):
        q.lease(10)
        assert q.settle(Settlement(dead_letters=[DeadLetter("lease-1", "poison")])).retried == 1
    assert f"{NAME} has no dead-letter queue" in caplog.text


def test_large_dead_letters_go_in_parts_that_fit_a_request() -> None:
    large = base64.b64encode(b'"' + b"x" * 120_000 + b'"').decode()
    documents = [message_document(n, large) for n in range(5)]
    with queue(pulled(*documents), dead_letter_queue(), ok(), ok(), ok(), settled(5)) as (q, handler):
        q.lease(10)
        letters = [DeadLetter(f"lease-{n}", "poison") for n in range(5)]
        assert q.settle(Settlement(dead_letters=letters)).dead_lettered == 5
    assert [len(b["messages"]) for b in handler.bodies[2:5]] == [2, 2, 1]


def test_bodies_of_leases_long_over_are_forgotten() -> None:
    clock = ManualClock()
    with queue(pulled(message_document(1)), pulled(), settled(0, 1), clock=clock) as (q, _):
        q.lease(10, visibility_timeout_ms=1_000)
        clock.advance(3.0)
        q.lease(10)
        assert q.settle(Settlement(dead_letters=[DeadLetter("lease-1", "poison")])).retried == 1


# Looking.


def metrics(backlog: int) -> httpx.Response:
    return ok({"backlog_count": backlog, "backlog_bytes": 10 * backlog, "oldest_message_timestamp_ms": 5})


def test_metrics_are_the_backlog() -> None:
    with queue(metrics(7)) as (q, handler):
        found = q.metrics()
    assert handler.paths == [f"GET /queues/{QUEUE_ID}/metrics"]
    assert (found.backlog, found.bytes, found.oldest_message_timestamp_ms) == (7, 70, 5)


def test_what_left_by_itself_cloudflare_does_not_tell_and_nobody_is_asked() -> None:
    with queue() as (q, _):
        assert q.departures() == Departures()


def test_one_looks_again_at_once_until_a_pull_is_empty_and_then_ever_less_often() -> None:
    clock = ManualClock()
    empty = [pulled(), metrics(3)] * 7
    with queue(*empty, pulled(message_document(1)), pulled(), metrics(0), clock=clock) as (q, _):
        assert q.wait_hint_ms() == 0
        waits = []
        for _ in range(7):
            q.lease(10)
            hint = q.wait_hint_ms()
            assert hint is not None
            waits.append(hint)
            clock.advance(hint / 1000)
        assert waits == [1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 30_000]
        q.lease(10)
        assert q.wait_hint_ms() == 0
        q.lease(10)
        assert q.wait_hint_ms() is None


@pytest.mark.parametrize(("backlog", "hint"), [(3, 750), (0, None)])
def test_before_the_time_named_nobody_is_asked_again(backlog: int, hint: int | None) -> None:
    """An idle consumer looks twice a second; each look would be a billed pull and one of the 1,200 requests."""
    clock = ManualClock()
    with queue(pulled(), metrics(backlog), pulled(message_document(1)), clock=clock) as (q, handler):
        q.lease(10)
        q.wait_hint_ms()
        clock.advance(0.25)
        assert (q.lease(10), q.wait_hint_ms()) == ([], hint)
        assert len(handler.requests) == 2
        clock.advance(0.75)
        assert len(q.lease(10)) == 1


def test_what_was_just_sent_or_given_back_is_looked_for_at_once() -> None:
    for answer, act in (
        (ok(), lambda q: q.send_batch([OutgoingMessage(b"1")])),
        (settled(0, 1), lambda q: q.settle(Settlement(retries=[Retry("a")]))),
    ):
        with queue(pulled(), metrics(1), answer, pulled(message_document(1))) as (q, _):
            q.lease(10)
            q.wait_hint_ms()
            act(q)
            assert q.wait_hint_ms() == 0
            assert len(q.lease(10)) == 1


def test_peeking_takes_no_lease() -> None:
    peeked = {k: v for k, v in message_document(1).items() if k != "lease_id"} | {"ref": "r"}
    with queue(ok({"messages": [peeked]})) as (q, handler):
        assert [(m.body, m.lease_id) for m in q.peek(3)] == [(b'{"n":1}', "")]
    assert (handler.paths, handler.bodies) == ([f"POST /queues/{QUEUE_ID}/messages/peek"], [{"batch_size": 3}])


def test_a_purge_is_waited_for_and_counts_the_backlog_before_it() -> None:
    running, done = ok({"started_at": "x", "completed": "false"}), ok({"started_at": "x", "completed": "true"})
    clock = ManualClock()
    with queue(metrics(12), ok({}), running, running, done, clock=clock) as (q, handler):
        assert q.purge() == 12
    assert handler.bodies[1] == {"delete_messages_permanently": True}
    assert clock.slept.count(1.0) == 2


# The account's queues.


def test_queues_are_listed_with_settings_consumer_and_producers() -> None:
    handler = InTurn(ok([queue_document()]), ok([]))
    [info] = CloudflareQueueStore(api_to(handler)).queues()
    assert (info.queue_id, info.name, info.producers) == (QUEUE_ID, NAME, ("importer",))
    assert info.created_on_ms == 1_767_225_600_500
    assert info.settings == QueueSettings()
    assert info.consumers[0].settings == ConsumerSettings(
        type="http_pull", dead_letter_queue=DEAD, batch_size=100, max_retries=3, visibility_timeout_ms=30_000
    )


def test_another_queue_is_never_taken_for_the_one_asked_for() -> None:
    handler = InTurn(ok([queue_document("other", "1" * 32)]), ok([queue_document()]))
    assert CloudflareQueueStore(api_to(handler)).info(NAME).queue_id == QUEUE_ID
    assert handler.paths == [f"GET /queues?name={NAME}&page={n}" for n in (1, 2)]
    with pytest.raises(QueueNotFound, match=f'"{NAME}" does not exist') as caught:
        CloudflareQueueStore(api_to(lambda _: ok([queue_document("other")]))).info(NAME)
    assert f"coinswarm queues create {NAME} --remote" in (caught.value.hint or "")


def test_a_queue_is_created_with_its_settings_and_paused_by_an_update() -> None:
    settings = QueueSettings(delivery_delay=5, delivery_paused=True)
    handler = InTurn(ok(queue_document()), ok([queue_document()]), ok(), ok([queue_document()]))
    CloudflareQueueStore(api_to(handler)).create(NAME, settings)
    wanted = {"delivery_delay": 5, "message_retention_period": 345_600}
    assert handler.bodies[0] == {"queue_name": NAME, "settings": wanted}
    assert handler.paths[2] == f"PATCH /queues/{QUEUE_ID}"
    assert handler.bodies[2] == {"queue_name": NAME, "settings": wanted | {"delivery_paused": True}}


def test_a_bad_name_is_refused_before_a_request() -> None:
    with pytest.raises(InvalidQueueName):
        CloudflareQueueStore(api_to(InTurn())).create("Under_score")


def test_a_queue_is_renamed_and_deleted_by_its_id() -> None:
    found = ok([queue_document()])
    handler = InTurn(found, ok(), ok([queue_document("new")]))
    store = CloudflareQueueStore(api_to(handler))
    assert store.update(NAME, QueueSettings(), new_name="new").name == "new"
    assert handler.bodies[1]["queue_name"] == "new"
    handler = InTurn(found, ok())
    CloudflareQueueStore(api_to(handler)).delete(NAME)
    assert handler.paths[1] == f"DELETE /queues/{QUEUE_ID}"


def test_a_consumer_is_added_replaced_and_removed() -> None:
    found, made = ok([queue_document()]), ok(consumer_document())
    settings = ConsumerSettings(type="http_pull", dead_letter_queue=DEAD, batch_size=50)
    handler = InTurn(found, made, found, made, found, ok())
    store = CloudflareQueueStore(api_to(handler))
    assert store.add_consumer(NAME, settings).consumer_id == "c1"
    store.update_consumer(NAME, "c1", replace(settings, batch_size=60))
    store.remove_consumer(NAME, "c1")
    path = f"/queues/{QUEUE_ID}/consumers"
    assert handler.paths[1::2] == [f"POST {path}", f"PUT {path}/c1", f"DELETE {path}/c1"]
    assert handler.bodies[1]["type"] == "http_pull"
    assert handler.bodies[1]["settings"]["batch_size"] == 50
    assert handler.bodies[3]["settings"]["batch_size"] == 60


def test_a_second_consumer_is_the_apis_to_refuse() -> None:
    handler = InTurn(ok([queue_document()]), refused(11004, "workers.api.error.consumer_exists", 409))
    with pytest.raises(ConsumerExists):
        CloudflareQueueStore(api_to(handler)).add_consumer(NAME, ConsumerSettings(type="http_pull"))
