"""Faults on request: what a client meets, exactly as ordered, and the same each time."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from coinswarm.clock import ManualClock
from coinswarm.errors import UsageError
from coinswarm.simulator import SOURCES, Faults, Simulator, SyntheticMarket
from coinswarm.simulator.faults import FINAL, KINDS, LOSSY, RECOVERABLE, FaultPlan
from tests.support.simulated import NOW, PAGES, raw, recorded

MARKET = SyntheticMarket(7)


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(MARKET, clock=ManualClock(NOW * 1000)) as simulator:
        yield simulator


def rows(body: Any) -> list[Any]:
    """The rows of any source's page."""
    if isinstance(body, list):
        return body
    if "Data" in body:
        found: list[Any] = body["Data"]["Data"]
        return found
    return next(value for value in body["result"].values() if isinstance(value, list))


def stamp(row: Any) -> int:
    opened: int = row["time"] if isinstance(row, dict) else row[0]
    return opened


def page(sim: Simulator, source: str) -> list[Any]:
    return rows(raw(sim, source, PAGES[source]).json())


def test_a_script_is_followed_request_by_request_and_then_all_is_well(sim: Simulator) -> None:
    sim.faults = Faults(script={"binance": ["ok", "429", "503", "451"]})
    statuses = [raw(sim, "binance", PAGES["binance"]).status_code for _ in range(6)]
    assert raw(sim, "kraken", PAGES["kraken"]).status_code == 200
    assert [seen.fault for seen in sim.requests[-7:]] == ["ok", "429", "503", "451", "ok", "ok", "ok"]
    assert statuses == [200, 429, 503, 451, 200, 200]


def test_a_common_script_counts_the_requests_of_all_sources(sim: Simulator) -> None:
    sim.faults = Faults(script={"*": ["500", "ok", "502"]})
    order = ["binance", "kraken", "coinbase", "binance"]
    assert [raw(sim, each, PAGES[each]).status_code for each in order] == [500, 200, 502, 200]


def test_a_script_counts_pages_of_candles_only(sim: Simulator) -> None:
    sim.faults = Faults(script={"binance": ["429"]})
    assert raw(sim, "binance", "/api/v3/time").status_code == 200
    assert raw(sim, "binance", PAGES["binance"]).status_code == 429


def test_rates_are_kept_and_the_same_seed_chooses_the_same_requests() -> None:
    def chosen(seed: int) -> list[str]:
        plan = FaultPlan(Faults(rates={"429": 0.1, "cut": 0.2, "kraken/error": 0.3}, seed=seed))
        return [plan.next("binance", 0)[1] for _ in range(2000)]

    counts = Counter(chosen(1))
    assert counts["429"] == pytest.approx(200, abs=50)
    assert counts["cut"] == pytest.approx(400, abs=70)
    assert counts["error"] == 0
    assert chosen(1) == chosen(1) != chosen(2)


def test_new_faults_at_run_time_begin_their_count_anew(sim: Simulator) -> None:
    sim.faults = Faults(script={"*": ["503"]})
    base = sim.url("binance").removesuffix("/binance")
    assert raw(sim, "binance", PAGES["binance"]).status_code == 503
    posted = httpx.post(f"{base}/_faults", json={"script": {"binance": ["ok", "418"]}, "retry_after": 77})
    assert posted.status_code == 200
    assert [raw(sim, "binance", PAGES["binance"]).status_code for _ in range(3)] == [200, 418, 200]
    assert httpx.get(f"{base}/_faults").json() == posted.json()
    sim.faults = Faults(rates={"500": 1.0})
    assert raw(sim, "binance", PAGES["binance"]).status_code == 500


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"rates": {"earthquake": 0.1}}, "unknown fault 'earthquake'"),
        ({"rates": {"429": 0.7, "cut": 0.7}}, "the rates of all faults together are 1.4"),
        ({"rates": {"429": -0.1}}, "the rates of all faults together are -0.1"),
        ({"script": {"binance": ["ok", "600"]}}, "unknown fault '600'"),
    ],
)
def test_orders_that_make_no_sense_are_refused(sim: Simulator, order: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Faults(**order)
    sim.faults = Faults()
    reply = httpx.post(sim.url("binance").replace("/binance", "/_faults"), json=order)
    assert (reply.status_code, complaint in reply.json()["error"]) == (400, True)
    garbage = httpx.post(sim.url("binance").replace("/binance", "/_faults"), content=b"{")
    assert garbage.status_code == 400
    assert sim.faults == Faults()


def test_rates_are_read_from_the_command_lines_words() -> None:
    assert Faults.parse(["429:0.1", "kraken/error:0.2"], seed=7) == Faults({"429": 0.1, "kraken/error": 0.2}, seed=7)
    with pytest.raises(UsageError, match="'429' is no fault with its rate"):
        Faults.parse(["429"])


def test_every_kind_is_either_recoverable_or_lossy_or_final() -> None:
    assert len(KINDS) == len(RECOVERABLE) + len(LOSSY) + len(FINAL)


# --- HTTP errors

TELLING_429 = {
    "binance": {
        "code": -1003,
        "msg": "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket "
        "Streams for live updates to avoid polling the API.",
    },
    "coinbase": {"message": "Public rate limit exceeded"},
    "coingecko": {
        "status": {
            "error_code": 429,
            "error_message": "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to "
            "subscribe to our API plans for higher rate limits.",
        }
    },
}


@pytest.mark.parametrize("source", SOURCES)
def test_too_many_requests_come_with_and_without_retry_after_and_as_html(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["429", "429-bare", "429-html"]}, retry_after=27)
    told, bare, html = (raw(sim, source, PAGES[source]) for _ in range(3))
    assert [reply.status_code for reply in (told, bare, html)] == [429] * 3
    assert told.headers["Retry-After"] == "27"
    assert "Retry-After" not in bare.headers
    assert told.content == bare.content
    if source in TELLING_429:
        assert told.json() == TELLING_429[source]
    assert html.headers["content-type"].startswith("text/html")
    assert html.text.startswith("<!DOCTYPE html>")


def test_who_does_not_wait_is_banned_if_so_ordered() -> None:
    clock = ManualClock(NOW * 1000)
    faults = Faults(script={"binance": ["429"]}, retry_after=10, ban_impatient=True)
    with Simulator(MARKET, faults=faults, clock=clock) as sim:

        def ask_after(seconds: float) -> int:
            clock.advance(seconds)
            return raw(sim, "binance", PAGES["binance"]).status_code

        assert [ask_after(0), ask_after(9), ask_after(9), ask_after(10), ask_after(0)] == [429, 418, 418, 200, 200]


def test_binances_ban_tells_its_end(sim: Simulator) -> None:
    sim.faults = Faults(script={"binance": ["418"]}, retry_after=120)
    reply = raw(sim, "binance", PAGES["binance"])
    assert (reply.status_code, reply.headers["retry-after"]) == (418, "120")
    assert f"IP banned until {(NOW + 120) * 1000}." in reply.json()["msg"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", ["401", "403", "451", "500", "502", "503", "520"])
def test_every_source_has_each_status(sim: Simulator, source: str, kind: str) -> None:
    sim.faults = Faults(script={source: [kind]})
    first, second = (raw(sim, source, PAGES[source]) for _ in range(2))
    assert (first.status_code, second.status_code) == (int(kind), 200)
    assert first.content


def test_an_html_page_may_come_with_status_200(sim: Simulator) -> None:
    sim.faults = Faults(script={"coinbase": ["html"]})
    reply = raw(sim, "coinbase", PAGES["coinbase"])
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=UTF-8")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("source", "path", "kind", "status", "quoted"),
    [
        ("cryptocompare", None, "401", 401, "API key required"),
        ("binance", None, "429", 429, "Too much request weight"),
        ("binance", None, "451", 451, "restricted location"),
        ("binance", "/api/v3/klines?symbol=NOPE&interval=1h", "ok", 400, "Invalid symbol."),
        ("binance", "/api/v3/klines?symbol=BTCUSDT&interval=1H", "ok", 400, "Invalid interval."),
        ("coingecko", None, "429", 429, "exceeded the Rate Limit"),
        ("coingecko", "/coins/bitcoin/ohlc?days=1", "ok", 422, "Missing parameter vs_currency"),
        ("coingecko", "/coins/bitcoin/ohlc", "ok", 500, "Internal Server Error"),
        ("kraken", "/0/public/OHLC?pair=NOPE", "ok", 200, "Unknown asset pair"),
        ("coinbase", "/products/NO-PE/candles", "ok", 404, "NotFound"),
        ("coinbase", None, "429", 429, "Public rate limit exceeded"),
        ("coinbase", "/products/BTC-USD/candles?granularity=60&start=0&end=99999", "ok", 400, "exceeds 300"),
    ],
)
def test_error_bodies_are_word_for_word_those_that_were_quoted(
    sim: Simulator, source: str, path: str | None, kind: str, status: int, quoted: str
) -> None:
    theirs = next(
        entry
        for entry in recorded("error_payloads.json")
        if entry["api"].startswith(source) and entry["status"] == status and quoted in str(entry["body"])
    )
    sim.faults = Faults(script={source: [kind]})
    reply = raw(sim, source, path or PAGES[source])
    assert (reply.status_code, reply.json()) == (status, theirs["body"])


@pytest.mark.real_data
def test_cryptocompares_rate_limit_is_built_like_the_one_that_was_quoted(sim: Simulator) -> None:
    theirs = next(
        entry["body"] for entry in recorded("error_payloads.json") if "over your rate limit" in str(entry["body"])
    )
    sim.faults = Faults(script={"cryptocompare": ["error"]})
    ours = raw(sim, "cryptocompare", PAGES["cryptocompare"]).json()
    assert list(ours) == list(theirs)
    assert {**ours, "RateLimit": None} == {**theirs, "RateLimit": None}
    for part in ("calls_made", "max_calls"):
        assert list(ours["RateLimit"][part]) == list(theirs["RateLimit"][part])


# --- Errors inside HTTP 200


def test_each_source_has_its_own_way_of_failing_inside_http_200(sim: Simulator) -> None:
    sim.faults = Faults(rates={"error": 1.0})
    bodies = {source: raw(sim, source, PAGES[source]) for source in SOURCES}
    assert {reply.status_code for reply in bodies.values()} == {200}
    assert (bodies["cryptocompare"].json()["Response"], bodies["cryptocompare"].json()["Type"]) == ("Error", 99)
    assert list(bodies["kraken"].json()) == ["error"]
    assert bodies["binance"].json()["code"] == -1001
    assert bodies["coingecko"].json()["status"]["error_code"] == 429
    assert list(bodies["coinbase"].json()) == ["message"]


def test_kraken_is_busy_in_several_words(sim: Simulator) -> None:
    sim.faults = Faults(rates={"error": 1.0})
    words = {raw(sim, "kraken", PAGES["kraken"]).json()["error"][0] for _ in range(8)}
    assert words == {
        "EAPI:Rate limit exceeded",
        "EGeneral:Too many requests",
        "EService:Unavailable",
        "EService:Busy",
    }


def test_cryptocompares_overrun_of_a_second_and_of_a_day_can_be_told_apart(sim: Simulator) -> None:
    sim.faults = Faults(script={"cryptocompare": ["error", "quota"]})
    second, day = (raw(sim, "cryptocompare", PAGES["cryptocompare"]).json()["RateLimit"] for _ in range(2))
    assert [span for span, most in second["max_calls"].items() if second["calls_made"][span] > most] == ["second"]
    assert [span for span, most in day["max_calls"].items() if day["calls_made"][span] > most] == ["day"]


def test_a_success_may_come_without_its_data(sim: Simulator) -> None:
    sim.faults = Faults(rates={"no-result": 1.0})
    bodies = {source: raw(sim, source, PAGES[source]).json() for source in SOURCES}
    assert bodies["kraken"] == {"error": []}
    assert bodies["cryptocompare"]["Response"] == "Success"
    assert "Data" not in bodies["cryptocompare"]
    assert bodies["binance"] == bodies["coingecko"] == bodies["coinbase"] == {}


# --- The connection


@pytest.mark.parametrize("source", SOURCES)
def test_a_cut_body_is_shorter_than_announced(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["cut"]})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        raw(sim, source, PAGES[source])
    assert raw(sim, source, PAGES[source]).status_code == 200


def test_a_stalled_reply_comes_after_the_limit(sim: Simulator) -> None:
    sim.faults = Faults(script={"binance": ["stall"]}, stall_seconds=0.2)
    began = time.monotonic()
    assert len(page(sim, "binance")) == 50
    assert time.monotonic() - began >= 0.2


def test_a_client_can_lose_its_patience_with_a_stalled_or_slow_reply() -> None:
    with Simulator(MARKET, faults=Faults(script={"binance": ["stall", "slow"]}), clock=ManualClock(NOW * 1000)) as sim:
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(sim.url("binance") + PAGES["binance"], timeout=0.2, trust_env=False)
        assert len(page(sim, "binance")) == 50
        began = time.monotonic()
    assert time.monotonic() - began < 2, "held replies do not hold the shutdown"


def test_a_slow_body_is_whole_in_the_end(sim: Simulator) -> None:
    sim.faults = Faults(script={"binance": ["slow", "ok"]}, stall_seconds=0.05)
    assert page(sim, "binance")[:-1] == page(sim, "binance")[:-1]


# --- Rows


@pytest.mark.parametrize("source", SOURCES)
def test_some_rows_come_twice(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["duplicate"]})
    doubled, sound = page(sim, source), page(sim, source)
    assert {stamp(row) for row in doubled} == {stamp(row) for row in sound}
    assert len(doubled) == len(sound) + -(-len(sound) // 10)


@pytest.mark.parametrize("source", [source for source in SOURCES if source not in ("kraken", "coingecko")])
def test_a_page_overlaps_the_one_before_it(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["overlap"]})
    long, sound = (sorted(stamp(row) for row in page(sim, source)) for _ in range(2))
    assert long[3:] == sound
    assert long[3] - long[2] == sound[1] - sound[0]


@pytest.mark.parametrize("source", ["kraken", "coingecko"])
def test_nothing_overlaps_a_page_that_is_all_the_source_has(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["overlap"]})
    long, sound = ([stamp(row) for row in page(sim, source)] for _ in range(2))
    assert long == sound


def test_kraken_overlaps_what_was_asked_for_since_a_time(sim: Simulator) -> None:
    since = NOW // 3600 * 3600 - 20 * 3600
    sim.faults = Faults(script={"kraken": ["overlap"]})
    replies = [raw(sim, "kraken", f"{PAGES['kraken']}&since={since}").json() for _ in range(2)]
    long, sound = ([stamp(row) for row in rows(reply)] for reply in replies)
    assert long == [since - 7200, since - 3600, since, *sound]


@pytest.mark.parametrize("source", SOURCES)
def test_a_page_is_empty_though_there_was_trading(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["empty"]})
    assert page(sim, source) == []
    assert len(page(sim, source)) > 40


@pytest.mark.parametrize("source", SOURCES)
def test_one_row_stands_off_the_grid(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["misaligned"]})
    odd = [stamp(row) for row in page(sim, source)]
    unit = 1000 if min(odd) > 10**11 else 1
    assert sum(moment // unit % 1800 != 0 for moment in odd) == 1


@pytest.mark.parametrize("source", SOURCES)
def test_stamps_are_microseconds(sim: Simulator, source: str) -> None:
    sim.faults = Faults(script={source: ["us"]})
    micros, sound = ([stamp(row) for row in page(sim, source)] for _ in range(2))
    unit = 1000 if sound[0] > 10**11 else 1
    assert micros == [moment * 1_000_000 // unit for moment in sound]


def test_the_last_row_closes_above_its_high(sim: Simulator) -> None:
    sim.faults = Faults(script={"binance": ["stub"]})
    *sound, last = page(sim, "binance")
    assert float(last[4]) > float(last[2])
    assert all(float(row[4]) <= float(row[2]) for row in sound)


def test_a_client_that_simply_tries_again_gets_every_page_in_spite_of_mild_faults(sim: Simulator) -> None:
    before = len(sim.requests)
    sim.faults = Faults.mild(0.7, seed=3)
    found: dict[int, Any] = {}
    for number in range(20):
        end = (NOW - 86_400 - number * 50 * 3600) * 1000
        for _ in range(20):
            try:
                reply = raw(sim, "binance", PAGES["binance"] + f"&endTime={end}")
                body = reply.json()
            except (httpx.RemoteProtocolError, ValueError):
                continue
            if reply.status_code == 200 and isinstance(body, list):
                found |= {row[0]: row for row in body}
                break
    assert {seen.fault for seen in sim.requests[before:]} >= {"ok", "429", "cut", "html", "error"}
    opens = sorted(found)
    assert len(opens) >= 1000
    assert {later - earlier for earlier, later in itertools.pairwise(opens)} == {3_600_000}
