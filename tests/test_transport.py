"""HTTP to an exchange: what is waited for, what is tried again, what is said, and what never leaves the process."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.clock import ManualClock, SystemClock
from coinswarm.errors import (
    QuotaExhausted,
    RateLimited,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    UnknownPair,
    UsageError,
)
from coinswarm.transport import RateLimiter, Reply, RetryPolicy, Transport, http_client
from tests.support.http import NOW, manual_clock, raw_server

Handler = Callable[[httpx.Request], httpx.Response]
HTML = b"<!DOCTYPE html><html><title>Attention Required!</title></html>"


def take_json(reply: Reply) -> Any:
    reply.require_json("binance")
    return reply.value


def http_date(timestamp: float) -> str:
    return format_datetime(datetime.fromtimestamp(timestamp, UTC), usegmt=True)


def to(
    handler: Handler,
    *,
    clock: ManualClock | None = None,
    base_url: str = "https://exchange.test",
    headers: dict[str, str] | None = None,
    policy: RetryPolicy | None = None,
    limiter: RateLimiter | None = None,
) -> Transport:
    """A transport to `handler`, without jitter."""
    clock = clock or manual_clock()
    return Transport(
        "binance",
        base_url,
        client=httpx.Client(transport=httpx.MockTransport(handler)),
        limiter=limiter or RateLimiter(1000.0, 1000.0, clock),
        clock=clock,
        headers=headers,
        policy=policy,
        jitter=lambda: 0.0,
    )


def in_turn(*answers: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """A handler that gives the answers one after the other, and the requests it got."""
    left = list(answers)
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler, requests


def ok(value: Any = "fine") -> httpx.Response:
    return httpx.Response(200, content=json.dumps(value))


# Pace


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 3)), max_size=60),
)
def test_no_window_of_time_sees_more_than_the_burst_and_what_the_rate_brings(
    rate: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limiter = RateLimiter(rate, burst, clock)
    passed: list[tuple[float, int]] = []
    for idle, cost in steps:
        clock.advance(idle)
        limiter.acquire(cost)
        passed.append((clock.monotonic(), cost))
    for index, (start, _) in enumerate(passed):
        total = 0
        for moment, cost in passed[index:]:
            total += cost
            # A request dearer than the burst waits for the difference, so it can be no rarer than its own cost.
            assert total <= max(burst, passed[index][1]) + rate * (moment - start) + 1e-6


def test_an_idle_limiter_lets_its_burst_through_at_once_and_then_keeps_the_rate() -> None:
    clock = ManualClock()
    limiter = RateLimiter(4.0, 20.0, clock)
    clock.advance(3600)
    begun = clock.monotonic()
    for _ in range(20):
        limiter.acquire()
    assert clock.monotonic() == begun
    for _ in range(8):
        limiter.acquire()
    assert clock.monotonic() - begun == pytest.approx(2.0)


def test_threads_share_one_allowance() -> None:
    limiter = RateLimiter(500.0, 5.0, SystemClock())
    begun = time.monotonic()
    threads = [threading.Thread(target=lambda: [limiter.acquire() for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun >= (40 - 5) / 500


def test_one_thread_told_to_wait_holds_all_of_them() -> None:
    clock = ManualClock()
    limiter = RateLimiter(10.0, 10.0, clock)
    limiter.hold(30.0)
    limiter.hold(5.0)
    limiter.acquire()
    assert clock.monotonic() == 30.0


def test_each_request_pays_its_cost_retries_included() -> None:
    clock = manual_clock()
    handler, _ = in_turn(httpx.Response(500), ok())
    limiter = RateLimiter(1.0, 2.0, clock)
    to(handler, clock=clock, limiter=limiter, policy=RetryPolicy(first_wait=0.0)).get("/x", {}, take_json)
    begun = clock.monotonic()
    limiter.acquire()
    assert clock.monotonic() - begun == pytest.approx(1.0)


# What is tried again


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 408])
def test_a_fault_of_the_server_is_tried_again_with_doubling_waits(status: int) -> None:
    clock = manual_clock()
    handler, requests = in_turn(*[httpx.Response(status, content=HTML)] * 4, ok())
    assert to(handler, clock=clock).get("/x", {}, take_json) == "fine"
    assert len(requests) == 5
    assert clock.slept == [0.5, 1.0, 2.0, 4.0]


def test_jitter_makes_waits_longer_and_never_shorter() -> None:
    error = SourceUnavailable("binance", "x")
    assert RetryPolicy().wait(error, 3, 0.0) == 2.0
    assert RetryPolicy().wait(error, 3, 1.0) == 2.5
    limited = RateLimited("binance", "x", retry_after=27.0)
    assert RetryPolicy().wait(limited, 1, 0.0) == 27.0
    assert RetryPolicy().wait(limited, 1, 1.0) == 28.0


def test_it_gives_up_after_six_attempts_and_says_so() -> None:
    handler, requests = in_turn(*[httpx.Response(502, content=HTML)] * 6)
    with pytest.raises(SourceUnavailable, match=r"HTTP 502: an HTML page\) \(tried 6 times\)"):
        to(handler).get("/x", {}, take_json)
    assert len(requests) == 6


def test_an_error_inside_a_body_with_http_200_is_tried_again_too() -> None:
    handler, requests = in_turn(ok({"error": ["EService:Busy"]}), ok("fine"))

    def read(reply: Reply) -> Any:
        if isinstance(reply.value, dict):
            raise SourceUnavailable("kraken", "busy")
        return reply.value

    assert to(handler).get("/x", {}, read) == "fine"
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, SourceError, "refused the request"),
        (401, SourceRefused, "wants an API key"),
        (403, SourceRefused, "refuses this address"),
        (404, SourceError, "refused the request"),
        (451, SourceRefused, "does not serve this country"),
        (302, SourceError, "redirects to https://login.test/, which is not followed"),
    ],
)
def test_what_is_permanent_is_asked_once_and_explained(status: int, error: type[SourceError], words: str) -> None:
    answer = httpx.Response(status, json={"msg": "because"}, headers={"Location": "https://login.test/"})
    handler, requests = in_turn(answer)
    with pytest.raises(error, match=words) as caught:
        to(handler).get("/x", {}, take_json)
    assert not caught.value.retryable
    assert "because" in caught.value.message or status == 302
    assert len(requests) == 1


def test_an_error_the_exchange_module_calls_permanent_is_not_tried_again() -> None:
    handler, requests = in_turn(httpx.Response(500))

    def read(reply: Reply) -> None:
        raise UnknownPair("binance", "does not list it")

    with pytest.raises(UnknownPair, match=r"does not list it$"):
        to(handler).get("/x", {}, read)
    assert len(requests) == 1


def test_a_mistake_of_ours_is_not_mistaken_for_the_networks() -> None:
    handler, requests = in_turn(ok())
    with pytest.raises(ZeroDivisionError):
        to(handler).get("/x", {}, lambda reply: 1 / 0)
    assert len(requests) == 1


def test_ctrl_c_goes_through_at_once() -> None:
    calls = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to(handler).get("/x", {}, take_json)
    assert calls == 1


def test_each_wait_is_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    handler, _ = in_turn(httpx.Response(500), ok())
    with caplog.at_level(logging.WARNING, logger="coinswarm"):
        to(handler).get("/x", {}, take_json)
    assert "trying again in 0.5 s (1 of 6)" in caplog.text


# What is waited for


@pytest.mark.parametrize("status", [429, 418, 503])
def test_retry_after_in_seconds_is_obeyed(status: int) -> None:
    clock = manual_clock()
    handler, _ = in_turn(httpx.Response(status, headers={"Retry-After": "27"}), ok())
    assert to(handler, clock=clock).get("/x", {}, take_json) == "fine"
    assert sum(clock.slept) == 27.0


def test_retry_after_as_a_date_counts_from_the_sources_own_clock() -> None:
    clock = manual_clock()
    their_now = NOW - 5_000
    limited = httpx.Response(
        429, headers={"Retry-After": http_date(their_now + 90), "Date": http_date(their_now)}, content=HTML
    )
    handler, _ = in_turn(limited, ok())
    to(handler, clock=clock).get("/x", {}, take_json)
    assert sum(clock.slept) == 90.0


def test_without_their_date_a_retry_after_date_counts_from_ours() -> None:
    clock = manual_clock()
    handler, _ = in_turn(httpx.Response(429, headers={"Retry-After": http_date(NOW + 40)}), ok())
    to(handler, clock=clock).get("/x", {}, take_json)
    assert sum(clock.slept) == pytest.approx(40.0)


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "", "٣", "Tue, 99 Foo 2026 10:00:00 GMT"])
def test_a_retry_after_that_says_nothing_leaves_it_to_the_back_off(text: str) -> None:
    clock = manual_clock()
    limited = httpx.Response(429, headers={"Retry-After": text.encode()})
    handler, _ = in_turn(limited, limited, ok())
    to(handler, clock=clock).get("/x", {}, take_json)
    assert clock.slept == [2.0, 4.0]


def test_a_moment_that_has_passed_already_is_no_wait() -> None:
    clock = manual_clock()
    handler, _ = in_turn(httpx.Response(429, headers={"Retry-After": http_date(NOW - 60)}), ok())
    to(handler, clock=clock).get("/x", {}, take_json)
    assert sum(clock.slept) == 0.5


def test_the_waits_after_a_rate_limit_without_retry_after_outlast_a_minute() -> None:
    clock = manual_clock()
    handler, _ = in_turn(*[httpx.Response(429, content=HTML)] * 6)
    with pytest.raises(RateLimited, match="an HTML page"):
        to(handler, clock=clock).get("/x", {}, take_json)
    assert sum(clock.slept) > 60


def test_hours_are_not_waited_for_but_named() -> None:
    clock = manual_clock()
    handler, requests = in_turn(
        httpx.Response(418, headers={"Retry-After": "10800"}, json={"code": -1003, "msg": "IP banned"})
    )
    with pytest.raises(QuotaExhausted, match=r"IP banned.*silence for 180 minutes") as caught:
        to(handler, clock=clock).get("/x", {}, take_json)
    assert "in 180 minutes, not before" in (caught.value.hint or "")
    assert (clock.slept, len(requests)) == ([], 1)


def test_no_attempt_begins_after_the_deadline() -> None:
    clock = manual_clock()
    handler, requests = in_turn(*[httpx.Response(429, headers={"Retry-After": "500"})] * 6)
    with pytest.raises(RateLimited, match="tried 2 times"):
        to(handler, clock=clock).get("/x", {}, take_json)
    assert len(requests) == 2
    assert clock.monotonic() < RetryPolicy().deadline


def test_a_rate_limit_found_inside_the_body_takes_the_headers_word_for_how_long() -> None:
    clock = manual_clock()
    handler, _ = in_turn(httpx.Response(200, json={"Type": 99}, headers={"Retry-After": "9"}), ok())

    def read(reply: Reply) -> Any:
        if isinstance(reply.value, dict):
            raise RateLimited("cryptocompare", "asks to wait")
        return reply.value

    to(handler, clock=clock).get("/x", {}, read)
    assert sum(clock.slept) == 9.0


# The network


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def over_the_wire(url: str, *, clock: ManualClock | None = None, attempts: int = 1, client: Any = None) -> Transport:
    clock = clock or manual_clock()
    return Transport(
        "binance",
        url,
        client=client,
        limiter=RateLimiter(1000.0, 1000.0, clock),
        clock=clock,
        policy=RetryPolicy(attempts=attempts),
    )


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=0.3) as made:
        yield made


def test_nobody_there_is_said_with_the_address_and_what_to_do(client: httpx.Client) -> None:
    port = refused_port()
    with pytest.raises(SourceUnavailable, match=f"nothing answers at 127.0.0.1:{port}") as caught:
        over_the_wire(f"http://127.0.0.1:{port}", client=client).get("/x", {}, take_json)
    assert "coinswarm demo" in (caught.value.hint or "")


def test_a_stalled_server_is_given_up(client: httpx.Client) -> None:
    def stall(connection: socket.socket) -> None:
        connection.recv(1)  # until the client hangs up

    with raw_server(stall) as url, pytest.raises(SourceUnavailable, match="stopped answering"):
        over_the_wire(url, client=client).get("/x", {}, take_json)


def test_a_server_that_stalls_within_the_body_is_given_up(client: httpx.Client) -> None:
    def stall(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[[1,")
        connection.recv(1)

    with raw_server(stall) as url, pytest.raises(SourceUnavailable, match="stopped answering"):
        over_the_wire(url, client=client).get("/x", {}, take_json)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[[1,2",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[[1,2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n[[1,2",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
    ids=["nothing", "headers cut", "body cut", "chunks cut", "not gzip", "not HTTP"],
)
def test_a_reply_that_breaks_off_is_never_half_a_page(sent: bytes, client: httpx.Client) -> None:
    server = raw_server(lambda connection: connection.sendall(sent))
    with server as url, pytest.raises(SourceUnavailable, match="broke off"):
        over_the_wire(url, client=client).get("/x", {}, take_json)


def test_a_cut_reply_is_fetched_again(client: httpx.Client) -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]"]
    with raw_server(lambda connection: connection.sendall(answers.pop(0))) as url:
        assert over_the_wire(url, attempts=2, client=client).get("/x", {}, take_json) == [1]


def test_a_json_body_cut_without_a_length_is_not_taken_for_whole(client: httpx.Client) -> None:
    server = raw_server(lambda connection: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n[[1,2],[3"))
    with server as url, pytest.raises(SourceUnavailable, match="other than JSON"):
        over_the_wire(url, client=client).get("/x", {}, take_json)


class Trickle(httpx.SyncByteStream):
    """A byte every ten seconds, without end."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.clock.advance(10)
            self.sent += 1
            yield b" "


def test_a_body_that_trickles_for_ever_is_cut_off() -> None:
    clock = manual_clock()
    stream = Trickle(clock)
    handler, _ = in_turn(httpx.Response(200, stream=stream))
    with pytest.raises(SourceUnavailable, match="still sending after 60 s and was cut off"):
        to(handler, clock=clock, policy=RetryPolicy(attempts=1)).get("/x", {}, take_json)
    assert stream.sent == 7


def test_a_body_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coinswarm.transport.client.BODY_BYTES", 1_000_000)
    handler, requests = in_turn(httpx.Response(200, content=b" " * 1_000_001))
    with pytest.raises(SourceError, match="more than 1 MB"):
        to(handler).get("/x", {}, take_json)
    assert len(requests) == 1


def connect_error(cause: Exception) -> httpx.ConnectError:
    error = httpx.ConnectError(str(cause))
    error.__cause__ = cause
    return error


def test_no_network_is_told_from_a_server_that_is_down() -> None:
    offline = connect_error(socket.gaierror(-3, "Temporary failure in name resolution"))
    handler, _ = in_turn(offline)
    with pytest.raises(SourceUnavailable, match=r"no network, or no such host: exchange\.test") as caught:
        to(handler, policy=RetryPolicy(attempts=1)).get("/x", {}, take_json)
    assert "proxy settings" in (caught.value.hint or "")


def test_a_certificate_that_cannot_be_verified_is_not_tried_again() -> None:
    handler, requests = in_turn(connect_error(ssl.SSLCertVerificationError("self-signed")))
    with pytest.raises(SourceError, match=r"certificate of exchange\.test cannot be verified") as caught:
        to(handler).get("/x", {}, take_json)
    assert "SSL_CERT_FILE" in (caught.value.hint or "")
    assert len(requests) == 1


def test_loopback_is_reached_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{refused_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        raw_server(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as url,
        http_client() as client,
    ):
        assert over_the_wire(url, client=client).get("/x", {}, take_json) == {}
        with pytest.raises(SourceUnavailable):
            over_the_wire("http://exchange.invalid", client=client).get("/x", {}, take_json)


# Bodies


@pytest.mark.parametrize(
    ("content", "words"),
    [(HTML, "an HTML page"), (b"", "an empty body"), (b"  ", "an empty body"), (b"OK", "OK"), (b"\xff\xfe", "\ufffd")],
)
def test_a_success_that_is_not_json_is_no_success(content: bytes, words: str) -> None:
    handler, requests = in_turn(*[httpx.Response(200, content=content)] * 2)
    with pytest.raises(SourceUnavailable, match=f"other than JSON: .*{words}"):
        to(handler, policy=RetryPolicy(attempts=2)).get("/x", {}, take_json)
    assert len(requests) == 2


def test_a_null_is_json() -> None:
    handler, _ = in_turn(httpx.Response(200, content=b"null"))
    assert to(handler).get("/x", {}, take_json) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"code": -1121, "msg": "Invalid symbol."}, "Invalid symbol."),
        ({"message": "NotFound"}, "NotFound"),
        ({"error": "coin not found"}, "coin not found"),
        ({"error": ["EQuery:Unknown asset pair"]}, "EQuery:Unknown asset pair"),
        ({"Response": "Error", "Message": "over", "Data": {}}, "over"),
        ({"Err": {"message": "API key required"}}, "API key required"),
        ({"status": {"error_code": 429, "error_message": "Rate"}}, "Rate"),
        ({"error": {"status": {"error_code": 10012, "error_message": "range"}}}, "range"),
        ({"status": 500, "error": "Internal Server Error"}, "Internal Server Error"),
        ({"strange": 1}, '{"strange": 1}'),
    ],
)
def test_the_message_is_found_in_every_exchanges_error_shape(value: Any, said: str) -> None:
    assert Reply.of(400, json.dumps(value).encode()).said == said


@given(
    st.integers(200, 599),
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["Date", "Age", "Retry-After", "Cache-Control", "Location"]), st.binary(max_size=30)
    ),
)
def test_no_reply_whatever_makes_it_fail_otherwise(status: int, content: bytes, headers: dict[str, bytes]) -> None:
    reply = Reply.of(status, content, httpx.Headers(headers), now=NOW)
    with suppress(SourceError):
        reply.require_json("binance")


# Whose clock


@pytest.mark.parametrize(
    ("headers", "age"),
    [
        ({}, 0),
        ({"Age": "12"}, 12),
        ({"Age": "12", "Cache-Control": "public, max-age=30"}, 12),
        ({"Cache-Control": "public, max-age=30"}, 30),
        ({"Cache-Control": "no-cache, no-store, max-age=30"}, 0),
        ({"Cache-Control": "private, max-age=30"}, 0),
        ({"Age": "old"}, 0),
    ],
)
def test_a_reply_speaks_for_its_date_less_its_age_in_caches(headers: dict[str, str], age: int) -> None:
    assert Reply.of(200, b"[]", headers | {"Date": http_date(NOW)}).as_of == NOW - age


@pytest.mark.parametrize("date", [None, "yesterday", "Tue, 01 Sep 2026 99:00:00 GMT"])
def test_without_a_date_it_speaks_for_no_moment(date: str | None) -> None:
    assert Reply.of(200, b"[]", {} if date is None else {"Date": date}).as_of is None


# Secrets


KEY = "s3cr3t-k3y-0123456789"


def test_a_key_travels_in_its_header_and_nowhere_else() -> None:
    handler, requests = in_turn(ok())
    transport = to(handler, headers={"authorization": f"Apikey {KEY}"})
    transport.get("/x", {"fsym": "BTC"}, take_json)
    (request,) = requests
    assert request.headers["authorization"] == f"Apikey {KEY}"
    assert KEY not in str(request.url)
    assert KEY not in repr(transport)


@pytest.mark.parametrize("status", [200, 401, 429, 500])
def test_a_key_the_source_repeats_is_struck_from_the_error_and_the_log(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    handler, _ = in_turn(*[httpx.Response(status, content=f"your key {KEY} is bad")] * 6)
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as caught:
        to(handler, headers={"authorization": f"Apikey {KEY}"}).get("/x", {}, take_json)
    assert "your key *** is bad" in caught.value.message
    assert KEY not in str(caught.value) + repr(caught.value) + str(caught.value.as_json())
    assert KEY not in caplog.text


def test_a_sources_words_cannot_drive_the_terminal() -> None:
    handler, _ = in_turn(httpx.Response(400, json={"msg": "a\x1b[2Jb\n\nc" + "d" * 1000}))
    with pytest.raises(SourceError) as caught:
        to(handler).get("/x", {}, take_json)
    assert "a?[2Jb c" in caught.value.message
    assert len(caught.value.message) <= 400
    assert caught.value.message.isprintable()


# Addresses


def test_the_documented_path_is_appended_to_the_base_url() -> None:
    handler, requests = in_turn(ok())
    to(handler, base_url="http://127.0.0.1:9000/binance/").get("/api/v3/klines", {"symbol": "BTCUSDT"}, take_json)
    assert str(requests[0].url) == "http://127.0.0.1:9000/binance/api/v3/klines?symbol=BTCUSDT"
    assert requests[0].headers["user-agent"].startswith("coinswarm/")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://exchange.test", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("exchange.test", "http:// or https://"),
        ("https://", "http:// or https://"),
        ("", "http:// or https://"),
        ("http://exchange.test:port", "not a URL"),
        ("https://me:secret@exchange.test", "no user, password"),
        ("https://exchange.test?api_key=secret", "no user, password"),
        ("https://exchange.test#x", "no user, password"),
    ],
)
def test_a_base_url_that_is_not_plain_http_is_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        to(lambda request: ok(), base_url=url)
    assert "secret" not in caught.value.message
