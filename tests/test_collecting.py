"""One run of the plan: who is asked, what is queued, and what is told of a source that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from coinswarm import fetchers
from coinswarm.clock import ManualClock
from coinswarm.collecting.report import PlanFailed
from coinswarm.collecting.run import collect_plan
from coinswarm.config.plan import Plan, messages_per_run
from coinswarm.errors import QueueStorageLimit, SourceRefused, SourceUnavailable, UnknownPair
from coinswarm.fetchers.base import Fetcher
from coinswarm.payload import decode
from coinswarm.simulator import Faults, Simulator, SyntheticMarket
from coinswarm.transport import http_client
from tests.support.market_fetcher import MarketFetcher, exchanges
from tests.support.memory_queue import MemoryQueue

NOW_MS = 1_700_000_123_000
"""22:15:23: the half hour from 21:30 has closed, that from 22:00 runs."""
NEWEST = 1_699_997_400
"""21:30."""
SMALL = Plan(tokens=("BTC", "ETH"), candles=3)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture
def market() -> SyntheticMarket:
    return SyntheticMarket()


def bodies(queue: MemoryQueue) -> list[bytes]:
    return [body for batch in queue.sent_batches for body in batch]


def queued(queue: MemoryQueue) -> list[tuple[str, str, int]]:
    found = [candle for body in bodies(queue) for candle in decode(body, taken_ms=NOW_MS).candles]
    return [(candle.source, candle.symbol, candle.timestamp) for candle in found]


def test_the_built_in_plan_queues_195_candles_in_20_messages(clock: ManualClock, market: SyntheticMarket) -> None:
    queue = MemoryQueue(clock)
    report = collect_plan(Plan(), queue, exchanges(market, clock), clock)
    assert report.ok
    assert report.error() is None
    assert report.message == "Queued 195 candles in 20 messages"
    assert (report.candles, report.messages) == (195, messages_per_run(Plan()))
    assert len(bodies(queue)) == 20
    assert len(set(queued(queue))) == 195
    assert (report.oldest, report.newest) == (NEWEST - 4 * 1800, NEWEST)


def test_only_the_newest_closed_candles_of_every_series_are_queued(clock: ManualClock, market: SyntheticMarket) -> None:
    queue = MemoryQueue(clock)
    collect_plan(SMALL, queue, exchanges(market, clock), clock)
    opens = (NEWEST - 3600, NEWEST - 1800, NEWEST)
    expected = [(series.source, series.pair.symbol, t) for series in SMALL.series for t in opens]
    assert queued(queue) == expected


def test_a_run_for_an_earlier_fire_takes_what_had_closed_then(clock: ManualClock, market: SyntheticMarket) -> None:
    queue = MemoryQueue(clock)
    report = collect_plan(SMALL, queue, exchanges(market, clock), clock, at_ms=NOW_MS - 86_400_000)
    assert report.newest == NEWEST - 86_400


def test_one_source_down_stops_no_other_and_fails_the_run(clock: ManualClock, market: SyntheticMarket) -> None:
    queue = MemoryQueue(clock)
    down = {"cryptocompare": SourceUnavailable("cryptocompare", "did not answer")}
    report = collect_plan(Plan(), queue, exchanges(market, clock, down), clock)
    assert (report.candles, report.messages) == (130, 13)
    assert not report.ok
    status = report.sources["cryptocompare"]
    assert (status.ok, status.collected, status.failed, status.candles) == (False, 0, 13, 0)
    assert status.failures == [
        "BTC-USD 30m: did not answer",
        "ETH-USD 30m: did not answer",
        "11 more series: not asked for, as the source is failing",
    ]
    assert all(report.sources[source].ok for source in ("binance", "coingecko"))
    error = report.error()
    assert isinstance(error, PlanFailed)
    assert error.message == (
        "Queued 130 candles in 13 messages; failed: cryptocompare. First: cryptocompare: BTC-USD 30m: did not answer"
    )
    assert report.as_json()["error"] == error.as_json()["error"]


def test_a_source_that_refuses_this_client_is_asked_once_and_one_that_lacks_a_pair_for_all(
    clock: ManualClock, market: SyntheticMarket
) -> None:
    broken = {
        "binance": SourceRefused("binance", "not from your country"),
        "coingecko": UnknownPair("coingecko", "unknown"),
    }
    opened = {source: MarketFetcher(source, market, clock, broken.get(source)) for source in Plan().sources}

    class Opened:
        def __init__(self, source: str) -> None:
            self.source = source

        def __enter__(self) -> MarketFetcher:
            return opened[self.source]

        def __exit__(self, *_: object) -> None:
            pass

    report = collect_plan(Plan(), MemoryQueue(clock), Opened, clock)
    assert {source: len(fetcher.asked) for source, fetcher in opened.items()} == {
        "binance": 1,
        "cryptocompare": 13,
        "coingecko": 13,
    }
    assert report.failed == ["binance", "coingecko"]


def test_a_source_that_sends_nothing_has_failed(clock: ManualClock) -> None:
    late = SyntheticMarket(listed={"BTC-USDT": NOW_MS // 1000})
    report = collect_plan(Plan(tokens=("BTC", "ETH")), MemoryQueue(clock), exchanges(late, clock), clock)
    assert report.sources["binance"].failures == ["BTC-USDT 30m: sent no candle that closed by 2023-11-14T22:15:23Z"]


def test_when_the_queue_takes_nothing_the_run_ends_with_the_report_so_far(
    clock: ManualClock, market: SyntheticMarket
) -> None:
    queue = MemoryQueue(clock)
    queue.fail_send_after = 1, QueueStorageLimit("the disk is full")
    with pytest.raises(QueueStorageLimit) as caught:
        collect_plan(Plan(), queue, exchanges(market, clock), clock)
    assert (caught.value.report.candles, caught.value.report.messages) == (60, 6)


def test_a_stop_leaves_what_was_fetched_in_the_queue(clock: ManualClock, market: SyntheticMarket) -> None:
    queue = MemoryQueue(clock)
    stops = iter([False] * 6 + [True] * 100)
    report = collect_plan(SMALL, queue, exchanges(market, clock), clock, stop=lambda: next(stops))
    assert report.interrupted
    assert not report.ok
    assert report.candles == len(queued(queue)) > 0


def test_over_http_a_source_whose_every_reply_is_an_error_is_told_of_and_the_others_are_complete(
    clock: ManualClock,
) -> None:
    queue = MemoryQueue(clock)
    exchange_clock = ManualClock(NOW_MS)
    with Simulator(clock=exchange_clock, faults=Faults(rates={"binance/503": 1.0})) as simulator:

        @contextmanager
        def over_http(source: str) -> Iterator[Fetcher]:
            with http_client() as client:
                yield fetchers.build(source, client=client, clock=clock, base_url=simulator.url(source))

        report = collect_plan(SMALL, queue, over_http, clock, at_ms=NOW_MS)
        clean = collect_plan(replace(SMALL, sources={"kraken": "USD"}), queue, over_http, clock, at_ms=NOW_MS)
    assert report.failed == ["binance"]
    assert "tried 6 times" in report.sources["binance"].failures[0]
    assert {source: status.candles for source, status in report.sources.items()} == {
        "binance": 0,
        "cryptocompare": 6,
        "coingecko": 6,
    }
    assert clean.ok
