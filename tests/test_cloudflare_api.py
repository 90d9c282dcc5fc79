"""The client of Cloudflare's API: what it sends, how it keeps within the rate, what it tries again and what it says."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque

import httpx
import pytest

from coinswarm.clock import ManualClock, SystemClock
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config.masking import Secret
from coinswarm.errors import (
    AccountForbidden,
    ApiError,
    ApiUnavailable,
    CloudflareError,
    NotRouted,
    TooManyRequests,
    Unauthorized,
    UsageError,
)
from coinswarm.transport.window import WindowLimiter
from tests.support.cloudflare import ACCOUNT, BASE, TOKEN, InTurn, api_to, ok, refused

SOMEWHERE = httpx.Request("POST", BASE)


class Account:
    """Counts requests as Cloudflare does, over a window that slides, and refuses the one too many."""

    def __init__(self, clock: ManualClock | SystemClock, limit: int, seconds: float, latency: float = 0.0) -> None:
        self.clock, self.limit, self.seconds, self.latency = clock, limit, seconds, latency
        self.arrivals: deque[float] = deque()
        self.served = self.refused = self.most_in_a_window = 0
        self.lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.clock.sleep(self.latency)
        with self.lock:
            now = self.clock.monotonic()
            while self.arrivals and self.arrivals[0] <= now - self.seconds:
                self.arrivals.popleft()
            if len(self.arrivals) >= self.limit:
                self.refused += 1
                return refused(971, "Please wait and consider throttling your request speed", 429)
            self.arrivals.append(now)
            self.served += 1
            self.most_in_a_window = max(self.most_in_a_window, len(self.arrivals))
        self.clock.sleep(self.latency)
        return ok()


def test_a_request_carries_the_token_in_its_header_and_the_body_as_json() -> None:
    handler = InTurn(ok({"a": 1}))
    reply = api_to(handler).call("POST", "/accounts/x/queues", body={"queue_name": "q"}, params={"page": 2})
    request = handler.requests[0]
    assert reply.result == {"a": 1}
    assert str(request.url) == f"{BASE}/accounts/x/queues?page=2"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("coinswarm/")
    assert handler.bodies == [{"queue_name": "q"}]


def test_an_account_id_cannot_leave_its_place_in_the_path() -> None:
    client = httpx.Client(transport=httpx.MockTransport(lambda _: ok()))
    api = CloudflareApi("../user?", Secret(TOKEN), client=client, clock=ManualClock())
    assert api.account == "/accounts/..%2Fuser%3F"


# The rate.


def test_twelve_hundred_requests_go_out_at_once_and_the_next_one_after_the_window() -> None:
    clock = ManualClock()
    account = Account(clock, 1200, 300.0)
    api = api_to(account, clock=clock)
    for _ in range(1200):
        api.call("GET", "/user")
    assert clock.slept.count(0.0) == len(clock.slept)
    api.call("GET", "/user")
    assert (account.served, account.refused) == (1201, 0)
    assert 300.0 <= clock.monotonic() <= 302.0


def test_over_many_windows_exactly_the_allowed_requests_go_out_and_none_is_refused() -> None:
    clock = ManualClock()
    account = Account(clock, 1200, 300.0, latency=0.05)
    api = api_to(account, clock=clock)
    while clock.monotonic() < 1_800:
        api.call("GET", "/user")
    assert account.refused == 0
    assert account.most_in_a_window == 1200
    windows = clock.monotonic() / (300.0 + 1.0)
    assert account.served >= 1200 * int(windows)


def test_threads_share_the_allowance_and_none_of_them_is_refused() -> None:
    clock = SystemClock()
    account = Account(clock, 20, 0.4, latency=0.005)
    api = api_to(account, clock=clock, requests=20, window_seconds=0.41)
    threads = [threading.Thread(target=lambda: [api.call("GET", "/user") for _ in range(20)]) for _ in range(5)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (account.served, account.refused) == (100, 0)
    assert account.most_in_a_window == 20
    assert time.monotonic() - begun < 0.43 * 5 + 0.5


def test_a_slow_reply_counts_from_its_end_because_the_server_may_have_counted_it_late() -> None:
    clock = ManualClock()
    limiter = WindowLimiter(1, 10.0, clock)
    with limiter.slot():
        clock.advance(4.0)
    with limiter.slot():
        assert clock.monotonic() == 14.0


def test_a_cost_beyond_the_limit_goes_alone_rather_than_never() -> None:
    clock = ManualClock()
    limiter = WindowLimiter(10, 1.0, clock)
    with limiter.slot(cost=25):
        pass
    with limiter.slot():
        assert clock.monotonic() == 1.0


def test_calls_with_a_limiter_of_their_own_do_not_draw_on_the_accounts() -> None:
    clock = ManualClock()
    api = api_to(lambda _: ok(), clock=clock, requests=1)
    own = WindowLimiter(5_000, 1.0, clock)
    for _ in range(50):
        api.call("POST", "/pull", limiter=own, cost=100, repeatable=True)
    api.call("GET", "/user")
    assert clock.monotonic() == 0.0
    api.call("POST", "/pull", limiter=own, cost=100, repeatable=True)
    assert clock.monotonic() == 1.0


def test_after_a_429_everybody_waits_as_long_as_it_says() -> None:
    clock = ManualClock()
    handler = InTurn(refused(10429, "slow down", 429, headers={"Retry-After": "300"}), ok("a"), ok("b"))
    api = api_to(handler, clock=clock)
    assert api.call("POST", "/d1", repeatable=False).result == "a"
    assert 300.0 <= clock.monotonic() < 301.0
    assert api.call("GET", "/user").result == "b"


def test_another_thread_does_not_ask_while_the_first_was_told_to_wait() -> None:
    clock = ManualClock()
    limiter = WindowLimiter(100, 300.0, clock)
    limiter.hold(42.0)
    with limiter.slot():
        assert clock.monotonic() == 42.0


def test_a_wait_beyond_patience_ends_the_command_with_the_reason() -> None:
    handler = InTurn(refused(971, "throttled", 429, headers={"Retry-After": "86400"}))
    with pytest.raises(ApiError, match="asks to wait for 1440 minutes") as caught:
        api_to(handler).call("GET", "/user")
    assert caught.value.http_status == 429
    assert not caught.value.retryable


def test_what_others_used_of_the_allowance_is_heeded_from_the_replies() -> None:
    clock = ManualClock()
    said = {"Ratelimit": '"burst";r=900;t=10, "default";r=2;t=30'}
    api = api_to(InTurn(ok(headers=said), ok(), ok(), ok(), ok()), clock=clock)
    for _ in range(3):
        api.call("GET", "/user")
    assert clock.monotonic() == 0.0
    api.call("GET", "/user")
    assert clock.monotonic() == 31.0


@pytest.mark.parametrize("said", ["", "nonsense", '"default";r=-1;t=x', '"default";r=5'])
def test_a_rate_header_that_says_nothing_changes_nothing(said: str) -> None:
    clock = ManualClock()
    api = api_to(lambda _: ok(headers={"Ratelimit": said}), clock=clock)
    for _ in range(10):
        api.call("GET", "/user")
    assert clock.monotonic() == 0.0


# What is tried again.


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ReadTimeout("", request=SOMEWHERE),
        httpx.ReadError("reset", request=SOMEWHERE),
        httpx.RemoteProtocolError("Server disconnected", request=SOMEWHERE),
        httpx.Response(502, html="<html>Bad gateway</html>"),
        refused(15000, "UnknownInternalError", 500),
    ],
    ids=["no answer", "reset", "cut off", "an HTML page", "an internal error"],
)
def test_a_fault_after_sending_is_tried_again_only_where_that_does_no_harm(fault: httpx.Response | Exception) -> None:
    handler = InTurn(fault, ok("second"))
    assert api_to(handler).call("POST", "/x", repeatable=True).result == "second"

    handler = InTurn(fault, ok("second"))
    with pytest.raises(ApiUnavailable, match="whether the request was carried out is not known"):
        api_to(handler).call("POST", "/x", body={}, repeatable=False)
    assert len(handler.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectError("refused", request=SOMEWHERE),
        httpx.ConnectTimeout("", request=SOMEWHERE),
        refused(10429, "wait", 429),
    ],
    ids=["refused", "no connection", "throttled"],
)
def test_what_was_certainly_not_carried_out_is_always_tried_again(fault: httpx.Response | Exception) -> None:
    handler = InTurn(fault, fault, ok("third"))
    assert api_to(handler).call("POST", "/x", repeatable=False).result == "third"


def test_after_five_attempts_it_ends_and_says_so() -> None:
    clock = ManualClock()
    handler = InTurn(*[httpx.Response(503)] * 5)
    with pytest.raises(ApiUnavailable, match=r"HTTP 503.*\(tried 5 times\)"):
        api_to(handler, clock=clock).call("GET", "/user")
    assert [round(s, 3) for s in clock.slept] == [0.5, 1.0, 2.0, 4.0]


def test_a_refusal_is_not_tried_again() -> None:
    handler = InTurn(refused(7400, "Invalid property: name => Required"))
    with pytest.raises(CloudflareError, match="Invalid property"):
        api_to(handler).call("GET", "/x")


# What it says.


def test_no_network_is_told_with_the_host() -> None:
    handler = InTurn(*[httpx.ConnectError("All connection attempts failed", request=SOMEWHERE)] * 5)
    with pytest.raises(ApiUnavailable, match=r"cannot connect to api\.cloudflare\.test: All connection") as caught:
        api_to(handler).call("GET", "/user")
    assert caught.value.hint == "Check the network connection."


@pytest.mark.parametrize(
    ("reply", "error", "hint"),
    [
        (refused(10000, "Authentication error", 401), Unauthorized, r"permission D1: Edit for account 0123"),
        (refused(10000, "Authentication error", 403), Unauthorized, r"permission D1: Edit for account 0123"),
        (refused(7403, "The given account is not valid", 403), AccountForbidden, r"CLOUDFLARE_API_TOKEN"),
        (httpx.Response(403, html="<html>blocked</html>"), AccountForbidden, r"CLOUDFLARE_API_TOKEN"),
        (refused(7003, "Could not route to /x", 404), NotRouted, r"CLOUDFLARE_ACCOUNT_ID \(0123.*cloudflare\.test"),
    ],
    ids=["401", "403 authentication", "403 account", "403 page", "404 route"],
)
def test_a_refusal_says_what_to_look_at(reply: httpx.Response, error: type[CloudflareError], hint: str) -> None:
    with pytest.raises(error) as caught:
        api_to(InTurn(reply)).call("POST", f"/accounts/{ACCOUNT}/d1/database", repeatable=False)
    assert caught.value.hint is not None
    assert re.search(hint, caught.value.hint)


def test_a_redirect_is_not_followed_because_the_token_would_travel_along() -> None:
    handler = InTurn(httpx.Response(302, headers={"location": "https://login.hotel.test/"}))
    with pytest.raises(ApiError, match=r"redirects to https://login\.hotel\.test/, which is not followed"):
        api_to(handler).call("GET", "/user")


def test_a_reply_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coinswarm.cloudflare.BODY_BYTES", 1_000)
    handler = InTurn(httpx.Response(200, content=b"x" * 5_000))
    with pytest.raises(ApiError, match="in one reply"):
        api_to(handler).call("GET", "/user")


def test_the_token_is_nowhere_but_in_the_header(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [refused(15000, f"bad header Bearer {TOKEN}", 500)] * 5
    api = api_to(InTurn(*answers))
    with pytest.raises(ApiUnavailable) as caught:
        api.call("GET", "/user")
    said = f"{caught.value} {caught.value!r} {caught.value.as_json()} {api!r} {caplog.text}"
    assert "bad header Bearer ***" in said
    assert TOKEN not in said
    assert all(TOKEN not in str(value) for value in vars(api).values())


@pytest.mark.parametrize("token", ["", "two words", "line\n", "tök"])
def test_a_token_that_cannot_be_one_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        CloudflareApi(ACCOUNT, Secret(token), client=httpx.Client(), clock=ManualClock())
    assert not token or token not in caught.value.message
    assert "CLOUDFLARE_API_TOKEN" in (caught.value.hint or "")


@pytest.mark.parametrize("url", ["ftp://x", "not a url", "https://me:pw@api.test/client/v4", "https://api.test/?a=b"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="base URL for Cloudflare's API"):
        api_to(lambda _: ok(), base_url=url)


# Lists.


def test_a_list_is_read_to_its_total() -> None:
    info = {"page": 1, "per_page": 2, "count": 2, "total_count": 3}
    handler = InTurn(ok([1, 2], result_info=info), ok([3], result_info=info | {"page": 2, "count": 1}))
    assert list(api_to(handler).pages("/queues")) == [1, 2, 3]
    assert [str(r.url).rpartition("?")[2] for r in handler.requests] == ["page=1", "page=2"]


def test_a_list_without_a_total_is_read_to_its_empty_page() -> None:
    assert list(api_to(InTurn(ok([1]), ok([2]), ok([]))).pages("/queues")) == [1, 2]


def test_a_server_that_ignores_the_page_is_asked_twice_and_not_for_ever() -> None:
    assert list(api_to(lambda _: ok([1, 2])).pages("/queues")) == [1, 2]


def test_too_many_requests_is_what_remains_when_the_block_does_not_end() -> None:
    with pytest.raises(TooManyRequests):
        api_to(lambda _: refused(971, "throttled", 429)).call("GET", "/user")
