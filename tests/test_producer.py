"""Paging backwards through a source into the queue: what is queued, what is counted, and how a run ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Span, Timeframe
from coinswarm.clock import ManualClock
from coinswarm.errors import (
    FetchFailed,
    QuotaExhausted,
    RateLimited,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    StorageFull,
    UnknownPair,
    UnsupportedTimeframe,
    UsageError,
)
from coinswarm.fetchers.base import Page
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchReport, FetchRequest
from coinswarm.interrupt import Interrupted
from coinswarm.payload import decode
from tests.support.memory_queue import MemoryQueue
from tests.support.scripted_fetcher import (
    NEWEST_CLOSED,
    NOW,
    STEP,
    ScriptedFetcher,
    candle,
    failing_at,
    hours,
)

BTC = Pair("BTC", "USDC")


def clock() -> ManualClock:
    return ManualClock(NOW * 1000)


def fetch(
    fetcher: ScriptedFetcher,
    queue: MemoryQueue | None = None,
    *,
    timeframe: Timeframe = Timeframe.H1,
    **changes: object,
) -> tuple[FetchReport, list[int]]:
    queue = queue or MemoryQueue(clock())
    request = FetchRequest(BTC, timeframe, **changes)  # type: ignore[arg-type]
    report = collect(fetcher, queue, request, clock=queue.clock)
    return report, queued_opens(queue)


def queued(queue: MemoryQueue) -> list[Candle]:
    return [c for group in queue.sent_batches for body in group for c in decode(body, taken_ms=NOW * 1000).candles]


def queued_opens(queue: MemoryQueue) -> list[int]:
    return [c.timestamp for c in queued(queue)]


def test_a_page_of_closed_candles_is_queued_oldest_first_ten_a_message() -> None:
    queue = MemoryQueue(clock())
    report, opens = fetch(ScriptedFetcher(hours(5000)), queue)
    assert report.message == "Queued 2000 candles for BTC-USDC in 200 messages"
    assert opens == [NEWEST_CLOSED - i * STEP for i in reversed(range(2000))]
    assert [len(group) for group in queue.sent_batches] == [100, 100]
    assert report.as_json() == {
        "source": "scripted",
        "symbol": "BTC-USDC",
        "timeframe": "1h",
        "inserted": 2000,
        "messages": 200,
        "message": "Queued 2000 candles for BTC-USDC in 200 messages",
        "oldest": NEWEST_CLOSED - 1999 * STEP,
        "newest": NEWEST_CLOSED,
        "next_toTs": NEWEST_CLOSED - 2000 * STEP,
        "next_trigger": "coinswarm fetch BTC-USDC --source scripted --timeframe 1h --to-ts "
        f"{NEWEST_CLOSED - 2000 * STEP}",
        "skipped": {"unfinished": 0, "before_listing": 0, "invalid": 0, "duplicate": 0, "outside": 0},
        "examples": [],
        "gaps": [],
        "missing": 0,
        "requests": 2,
        "pages": 1,
        "dry_run": False,
        "notes": [],
        "incomplete": None,
        "interrupted": False,
    }


def test_the_first_request_asks_for_the_newest_bucket_that_is_closed() -> None:
    fetcher = ScriptedFetcher(hours(30))
    fetch(fetcher, limit=10)
    assert [(r.to_ts, r.limit) for r in fetcher.asked] == [(NEWEST_CLOSED, 10)]


def test_a_page_is_gathered_with_as_many_requests_as_the_source_needs() -> None:
    fetcher = ScriptedFetcher(hours(5000), most=300)
    report, opens = fetch(fetcher, limit=1000)
    assert [r.limit for r in fetcher.asked] == [300, 300, 300, 100]
    assert len(opens) == 1000
    assert report.requests == 4


def test_several_pages_go_backwards_without_a_seam() -> None:
    report, opens = fetch(ScriptedFetcher(hours(5000), most=300), limit=500, pages=3)
    assert sorted(opens) == [NEWEST_CLOSED - i * STEP for i in reversed(range(1500))]
    assert opens[0] == NEWEST_CLOSED - 499 * STEP
    assert opens[500] == NEWEST_CLOSED - 999 * STEP
    assert report.gaps == []


def test_all_goes_on_until_the_source_proves_that_nothing_is_older() -> None:
    report, opens = fetch(ScriptedFetcher(hours(4321)), pages=None)
    assert len(opens) == 4321
    assert report.next_to_ts is None
    assert report.next_trigger is None
    assert report.as_json()["next_toTs"] is None


def test_a_short_page_is_no_proof() -> None:
    def cut_short(page: Page) -> Page:
        kept = page.candles[-3:]
        return Page(kept, covers_from=kept[0].timestamp, exhausted=page.exhausted) if kept else page

    report, opens = fetch(ScriptedFetcher(hours(20), alter=cut_short), pages=None)
    assert len(opens) == 20
    assert report.next_to_ts is None


def test_an_empty_page_is_no_proof_and_the_time_it_covers_is_left_behind() -> None:
    market = hours(10) + hours(10, newest=NEWEST_CLOSED - 1000 * STEP)

    def windows(page: Page) -> Page:
        """As Coinbase: a reply speaks for a window of 100 hours, traded or not."""
        upto = fetcher.asked[-1].to_ts
        first = upto - 99 * STEP
        inside = [c for c in market if first <= c.timestamp <= upto]
        return Page(inside, covers_from=first, exhausted=upto < market[0].timestamp)

    market.sort(key=lambda c: c.timestamp)
    fetcher = ScriptedFetcher(market, most=100, alter=windows)
    report, opens = fetch(fetcher, pages=None)
    assert sorted(opens) == [c.timestamp for c in market]
    assert report.gaps == [Span(NEWEST_CLOSED - 999 * STEP, NEWEST_CLOSED - 10 * STEP)]
    assert report.missing == 990


def test_gaps_are_reported_within_and_across_pages_ascending() -> None:
    holes = {3, 4, 5, 12, 20}
    market = [c for i, c in enumerate(reversed(hours(30))) if i not in holes][::-1]
    report, _ = fetch(ScriptedFetcher(market, most=5), limit=10, pages=None)
    at = [NEWEST_CLOSED - i * STEP for i in range(30)]
    assert report.as_json()["gaps"] == [[at[20], at[20]], [at[12], at[12]], [at[5], at[3]]]


def test_since_ends_the_run_and_older_rows_are_counted_outside() -> None:
    since = NEWEST_CLOSED - 24 * STEP
    report, opens = fetch(ScriptedFetcher(hours(100), extra=3), since=since, pages=None)
    assert opens == [NEWEST_CLOSED - i * STEP for i in reversed(range(25))]
    assert report.skipped.outside == 3
    assert report.next_to_ts == since - STEP
    assert report.next_trigger is not None
    assert "--since" not in report.next_trigger
    assert report.incomplete is None


def test_the_running_candle_is_dropped_on_every_page() -> None:
    running = candle(NOW // STEP * STEP, close=123.0)
    report, opens = fetch(ScriptedFetcher(hours(30), most=10, running=running), limit=10, pages=3)
    assert running.timestamp not in opens
    assert len(opens) == 30
    assert report.skipped.unfinished == 3


def test_a_candle_that_closed_while_the_request_was_under_way_is_not_trusted() -> None:
    time = ManualClock((NOW // STEP * STEP + STEP) * 1000 - 100)
    running = candle(NOW // STEP * STEP)

    def slow(page: Page) -> Page:
        time.advance(5)
        return page

    queue = MemoryQueue(time)
    report, opens = fetch(ScriptedFetcher(hours(3), running=running, alter=slow), queue, limit=3)
    assert opens == [NEWEST_CLOSED - i * STEP for i in (2, 1, 0)]
    assert report.skipped.unfinished == 1


def test_the_sources_clock_guards_against_a_local_clock_ahead() -> None:
    time = ManualClock((NOW + STEP) * 1000)
    running_there = candle(NOW // STEP * STEP)
    fetcher = ScriptedFetcher([*hours(5), running_there], alter=lambda page: replace(page, as_of=float(NOW)))
    queue = MemoryQueue(time)
    report, opens = fetch(fetcher, queue, limit=6)
    assert running_there.timestamp not in opens
    assert report.skipped.unfinished == 1


def test_what_kraken_has_not_committed_is_unfinished() -> None:
    fetcher = ScriptedFetcher(hours(5), alter=lambda page: replace(page, committed_to=NEWEST_CLOSED - STEP))
    report, opens = fetch(fetcher, limit=5)
    assert NEWEST_CLOSED not in opens
    assert report.skipped.unfinished == 1


def test_zero_rows_before_the_listing_are_counted_and_never_queued() -> None:
    zeros = [candle(NEWEST_CLOSED - i * STEP, open=0.0, high=0.0, low=0.0, close=0.0) for i in range(9, 4, -1)]
    report, opens = fetch(ScriptedFetcher(zeros + hours(5)), limit=10)
    assert len(opens) == 5
    assert report.skipped.before_listing == 5


def test_invalid_rows_are_counted_and_the_first_are_named() -> None:
    market = hours(20)
    for i in range(7):
        market[i] = candle(market[i].timestamp, close=500.0)
    fetcher = ScriptedFetcher(market, alter=lambda page: replace(page, malformed=["row 3: 'n/a' is not a number"]))
    report, opens = fetch(fetcher, limit=20, pages=1, since=market[0].timestamp)
    assert len(opens) == 13
    assert report.skipped.invalid == 8
    assert len(report.skipped.examples) == 5
    assert report.skipped.examples[0] == "row 3: 'n/a' is not a number"
    assert "close must lie between low and high" in report.skipped.examples[1]


def test_a_misaligned_candle_is_invalid_and_its_bucket_a_gap() -> None:
    market = hours(5)
    market[2] = candle(market[2].timestamp + 1694)
    report, opens = fetch(ScriptedFetcher(market), limit=5, since=market[0].timestamp)
    assert len(opens) == 4
    assert "grid" in report.skipped.examples[0]
    assert report.missing == 1


def test_overlapping_pages_and_repeated_rows_are_queued_once() -> None:
    def stutter(page: Page) -> Page:
        return replace(page, candles=sorted([*page.candles, *page.candles[:1]], key=lambda c: c.timestamp))

    report, opens = fetch(ScriptedFetcher(hours(20), most=10, overlap=2, alter=stutter), limit=10, pages=2)
    assert sorted(opens) == [c.timestamp for c in hours(20)]
    assert report.skipped.duplicate == 4  # two repeated rows, two rows of the page before


def test_rows_newer_than_to_ts_are_outside() -> None:
    report, opens = fetch(ScriptedFetcher(hours(20), overlap=3), limit=5, to_ts=NEWEST_CLOSED - 10 * STEP)
    assert opens[-1] == NEWEST_CLOSED - 10 * STEP
    assert report.skipped.outside == 3


def test_an_unaligned_to_ts_means_the_bucket_that_holds_it() -> None:
    _, opens = fetch(ScriptedFetcher(hours(20)), limit=1, to_ts=NEWEST_CLOSED - 10 * STEP + 1234)
    assert opens == [NEWEST_CLOSED - 10 * STEP]


def test_stray_rows_from_before_the_covered_window_do_not_hide_what_lies_between() -> None:
    market = hours(40)

    def stray(page: Page) -> Page:
        return replace(page, candles=[market[0], *page.candles]) if len(fetcher.asked) == 1 else page

    fetcher = ScriptedFetcher(market, most=10, alter=stray)
    report, opens = fetch(fetcher, limit=40)
    assert sorted(opens) == [c.timestamp for c in market]
    assert report.skipped.outside == 1


def test_candles_of_another_length_than_their_label_are_refused() -> None:
    four_days = [candle(NEWEST_CLOSED // 86_400 * 86_400 - i * 4 * 86_400, timeframe="1d") for i in range(91, 0, -1)]
    with pytest.raises(SourceError, match="labelled 1d come 345600 s apart instead of 86400 s") as caught:
        fetch(ScriptedFetcher(four_days), timeframe=Timeframe.D1)
    assert caught.value.report.skipped.invalid == 91
    assert caught.value.report.queued == 0


def test_a_thin_market_is_not_taken_for_one_of_another_length() -> None:
    thin = [c for i, c in enumerate(hours(300)) if i % 7 in (0, 3)]
    report, opens = fetch(ScriptedFetcher(thin), pages=None)
    assert len(opens) == len(thin)
    assert report.skipped.invalid == 0


def test_a_cursor_that_does_not_move_fails_the_run_instead_of_looping() -> None:
    newest = hours(10)
    fetcher = ScriptedFetcher(newest, alter=lambda page: Page(newest, covers_from=newest[0].timestamp))
    with pytest.raises(FetchFailed, match="the cursor does not move") as caught:
        fetch(fetcher, pages=None)
    assert caught.value.report.queued == 10
    assert len(fetcher.asked) == 2


def test_a_run_without_end_is_stopped_by_the_request_guard() -> None:
    fetcher = ScriptedFetcher([], alter=lambda page: Page([], covers_from=fetcher.asked[-1].to_ts))
    request = FetchRequest(BTC, Timeframe.M1, pages=None)
    with pytest.raises(SourceError, match="no end after 50 requests"):
        collect(fetcher, MemoryQueue(clock()), request, clock=clock(), max_requests=50)
    assert len(fetcher.asked) == 50


def test_nothing_is_older_than_bitcoin() -> None:
    fetcher = ScriptedFetcher([], alter=lambda page: Page([], covers_from=fetcher.asked[-1].to_ts - 300 * 604_800))
    report, opens = fetch(fetcher, timeframe=Timeframe.W1, pages=None)
    assert opens == []
    assert report.next_to_ts is None


def test_a_request_that_is_broken_off_ends_the_run_with_what_was_fetched_before_it() -> None:
    broken_off = 0

    @contextmanager
    def waiting() -> Iterator[None]:
        nonlocal broken_off
        if len(fetcher.asked) == 3:
            broken_off += 1
            raise Interrupted
        yield

    fetcher, queue = ScriptedFetcher(hours(5000)), MemoryQueue(clock())
    request = FetchRequest(BTC, Timeframe.H1, pages=None)
    report = collect(fetcher, queue, request, clock=clock(), waiting=waiting)
    assert broken_off == 1
    assert report.interrupted
    assert (report.queued, report.pages, report.requests) == (3000, 1, 3)
    assert len(queued_opens(queue)) == 3000
    assert report.next_to_ts == NEWEST_CLOSED - 3000 * STEP
    assert report.next_trigger is not None
    assert report.next_trigger.endswith(f"--to-ts {report.next_to_ts} --all")


def test_a_failed_page_keeps_what_was_fetched_before_it_and_says_how_to_go_on() -> None:
    market = hours(5000)
    error = SourceUnavailable("scripted", "did not answer within 30 s", hint="Is it down?")
    queue = MemoryQueue(clock())
    with pytest.raises(FetchFailed) as caught:
        fetch(ScriptedFetcher(market, before=failing_at(4, error)), queue, pages=3)
    assert len(queued_opens(queue)) == 3000
    failure = caught.value
    resume = NEWEST_CLOSED - 3000 * STEP
    assert failure.resume_to_ts == resume
    assert failure.message == (
        "scripted: did not answer within 30 s. Queued 3000 candles for BTC-USDC in 300 messages before that."
    )
    command = f"coinswarm fetch BTC-USDC --source scripted --timeframe 1h --to-ts {resume} --pages 2"
    assert failure.hint == f"Is it down?\nContinue with: {command}"
    assert failure.__cause__ is error
    assert failure.report.requests == 4
    assert failure.as_json()["report"]["inserted"] == 3000
    # and going on there leaves neither hole nor overlap
    _, rest = fetch(ScriptedFetcher(market), to_ts=resume)
    assert sorted(rest + queued_opens(queue))[-5000:] == [c.timestamp for c in market]


def test_a_refusal_before_anything_was_queued_stays_itself() -> None:
    with pytest.raises(UnknownPair, match="no such pair") as caught:
        fetch(ScriptedFetcher([], before=failing_at(1, UnknownPair("scripted", "no such pair"))))
    assert caught.value.report.requests == 1


@pytest.mark.parametrize("error", [UnknownPair("scripted", "no such pair"), UnsupportedTimeframe("scripted", "no 1h")])
def test_what_can_never_be_had_has_no_command_that_continues(error: SourceError) -> None:
    with pytest.raises(type(error)) as caught:
        fetch(ScriptedFetcher([], before=failing_at(1, error)))
    report = caught.value.as_json()["report"]
    assert (report["next_toTs"], report["next_trigger"]) == (None, None)


@pytest.mark.parametrize("error", [QuotaExhausted("scripted", "used up"), SourceRefused("scripted", "wants a key")])
def test_what_can_be_had_another_day_or_with_a_key_says_how_to_go_on(error: SourceError) -> None:
    with pytest.raises(type(error)) as caught:
        fetch(ScriptedFetcher([], before=failing_at(1, error)))
    assert caught.value.as_json()["report"]["next_trigger"].startswith("coinswarm fetch BTC-USDC")


def test_an_outage_before_anything_was_queued_repeats_the_same_command() -> None:
    error = RateLimited("scripted", "asks to wait", retry_after=600)
    with pytest.raises(FetchFailed, match=r"asks to wait\. Nothing was queued\.") as caught:
        fetch(ScriptedFetcher([], before=failing_at(1, error)))
    assert caught.value.resume_to_ts == NEWEST_CLOSED


def test_a_queue_that_is_full_says_exactly_what_is_in_it() -> None:
    queue = MemoryQueue(clock())
    queue.fail_send_after = (3, StorageFull("the disk is full"))
    with pytest.raises(FetchFailed, match="Queued 3000 candles for BTC-USDC in 300 messages before that") as caught:
        fetch(ScriptedFetcher(hours(5000)), queue, pages=2)
    report = caught.value.report
    opens = queued_opens(queue)
    assert (report.queued, report.oldest, report.newest) == (len(opens), min(opens), max(opens))
    # the page that was cut in two is taken again from its newest candle: twice is harmless, never is not
    assert caught.value.resume_to_ts == NEWEST_CLOSED - 2000 * STEP
    assert isinstance(caught.value.__cause__, StorageFull)
    assert caught.value.hint == (
        "Free some space; the candles that were not queued are fetched again by the command below.\n"
        f"Continue with: {report.next_trigger}"
    )


def test_a_commit_that_fails_leaves_nothing_of_it_in_the_report() -> None:
    class FullAtTheEnd(MemoryQueue):
        @contextmanager
        def transaction(self) -> Iterator[None]:
            yield
            if len(self.sent_batches) > 2:
                raise StorageFull("the disk is full")

    with pytest.raises(FetchFailed, match="Queued 2000 candles for BTC-USDC in 200 messages before that") as caught:
        fetch(ScriptedFetcher(hours(5000)), FullAtTheEnd(clock()), pages=2)
    assert caught.value.resume_to_ts == NEWEST_CLOSED - 2000 * STEP


def test_a_dry_run_counts_and_queues_nothing() -> None:
    queue = MemoryQueue(clock())
    report, opens = fetch(ScriptedFetcher(hours(5000)), queue, dry_run=True)
    assert opens == []
    assert report.queued == 2000
    assert report.message == "Would queue 2000 candles for BTC-USDC in 200 messages"


def test_a_request_to_stop_queues_what_is_fetched_and_leaves_a_way_to_go_on() -> None:
    fetcher = ScriptedFetcher(hours(5000))
    queue = MemoryQueue(clock())
    request = FetchRequest(BTC, Timeframe.H1, pages=None)
    report = collect(fetcher, queue, request, clock=clock(), stop=lambda: len(fetcher.asked) >= 3)
    assert report.interrupted
    assert len(queued_opens(queue)) == 3000
    assert report.next_to_ts == NEWEST_CLOSED - 3000 * STEP
    assert report.next_trigger == (
        f"coinswarm fetch BTC-USDC --source scripted --timeframe 1h --to-ts {report.next_to_ts} --all"
    )


def test_every_page_is_announced() -> None:
    heard: list[tuple[int, int | None]] = []
    collect(
        ScriptedFetcher(hours(100)),
        MemoryQueue(clock()),
        FetchRequest(BTC, Timeframe.H1, limit=30, pages=None),
        clock=clock(),
        on_page=lambda report: heard.append((report.queued, report.next_to_ts)),
    )
    assert [count for count, _ in heard] == [30, 60, 90, 100]
    assert heard[0][1] == NEWEST_CLOSED - 30 * STEP


def test_a_limit_of_history_makes_a_since_before_it_incomplete() -> None:
    kept = hours(720)
    note = "kraken keeps only the newest 720 candles"

    def everything(page: Page) -> Page:
        return Page(kept, covers_from=kept[0].timestamp, exhausted=True, note=note)

    report, opens = fetch(ScriptedFetcher(kept, alter=everything), since=NEWEST_CLOSED - 2000 * STEP, pages=None)
    assert len(opens) == 720
    assert report.incomplete == (
        "kraken keeps only the newest 720 candles; nothing before 2023-10-15T22:00:00Z can be had"
    )
    assert report.notes == [note]

    within, _ = fetch(ScriptedFetcher(kept, alter=everything), since=NEWEST_CLOSED - 100 * STEP, pages=None)
    assert within.incomplete is None

    too_old, opens = fetch(ScriptedFetcher(kept, alter=everything), to_ts=NEWEST_CLOSED - 5000 * STEP)
    assert opens == []
    assert too_old.incomplete is not None
    assert too_old.skipped.outside == 720


def test_a_source_without_a_single_candle_up_to_now_is_never_no_data() -> None:
    report, opens = fetch(ScriptedFetcher([]))
    assert (opens, report.next_to_ts) == ([], None)
    assert report.incomplete == (
        "scripted lists BTC-USDC, but sends no closed candle of it up to now: try again later, or take another --source"
    )
    assert report.as_json()["incomplete"] == report.incomplete


def test_nothing_before_a_time_that_was_asked_for_may_be_true_and_is_said() -> None:
    report, opens = fetch(ScriptedFetcher(hours(10)), to_ts=NEWEST_CLOSED - 10 * STEP)
    assert (opens, report.next_to_ts, report.incomplete) == ([], None, None)
    (note,) = report.notes
    assert note == (
        "scripted lists BTC-USDC, but sends no closed candle of it up to 2023-11-14T11:00:00Z: "
        "right if trading began later, else try again"
    )


def test_large_messages_are_sent_in_groups_the_queue_takes() -> None:
    queue = MemoryQueue(clock())
    report, opens = fetch(ScriptedFetcher(hours(3000)), queue, limit=3000, rows_per_message=200)
    assert len(opens) == 3000
    assert report.messages == 15
    assert len(queue.sent_batches) > 1  # MemoryQueue refuses more than 256,000 bytes at once


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 0}, "--limit must be at least 1"),
        ({"pages": 0}, "--pages must be at least 1"),
        ({"rows_per_message": 0}, "--rows-per-message must be at least 1"),
        ({"to_ts": NOW * 1000}, "not a time in unix seconds"),
        ({"since": -1}, "not a time in unix seconds"),
        ({"to_ts": NOW + 10}, "--to-ts 1700000010 .* lies in the future"),
        ({"since": NOW + 10}, "--since 1700000010 .* lies in the future"),
        ({"to_ts": NOW - 7200, "since": NOW - 3600}, "is later than --to-ts"),
        ({"to_ts": 1_000_000}, "older than any candle"),
    ],
)
def test_times_and_counts_that_cannot_be_meant_are_refused(changes: dict[str, object], message: str) -> None:
    fetcher = ScriptedFetcher(hours(3))
    with pytest.raises(UsageError, match=message):
        fetch(fetcher, **changes)
    assert fetcher.asked == []


def test_weeks_that_open_on_thursday_are_taken_as_they_come() -> None:
    thursday = 1_698_883_200
    weeks = [candle(thursday - i * 604_800, timeframe="1w") for i in reversed(range(30))]
    report, opens = fetch(ScriptedFetcher(weeks, most=10), timeframe=Timeframe.W1, pages=None)
    assert sorted(opens) == [c.timestamp for c in weeks]
    assert report.gaps == []


@st.composite
def markets(draw: st.DrawFn) -> list[Candle]:
    """Up to 80 hours with holes, broken rows and zero rows."""
    market = []
    for opens in range(NEWEST_CLOSED - 79 * STEP, NEWEST_CLOSED + 1, STEP):
        kind = draw(st.sampled_from(["sound"] * 6 + ["absent", "broken", "zero", "off grid"]))
        if kind == "sound":
            market.append(candle(opens))
        elif kind == "broken":
            market.append(candle(opens, close=draw(st.sampled_from([500.0, -1.0, float("nan")]))))
        elif kind == "zero":
            market.append(candle(opens, open=0.0, high=0.0, low=0.0, close=0.0))
        elif kind == "off grid":
            market.append(candle(opens + 17))
    return market


@settings(max_examples=150, deadline=None)
@given(
    market=markets(),
    most=st.integers(1, 30),
    overlap=st.integers(0, 3),
    extra=st.integers(0, 3),
    running=st.booleans(),
    limit=st.integers(1, 40),
    pages=st.none() | st.integers(1, 4),
    since=st.none() | st.integers(NEWEST_CLOSED - 90 * STEP, NEWEST_CLOSED),
    to_ts=st.none() | st.integers(NEWEST_CLOSED - 85 * STEP, NOW),
)
def test_whatever_the_source_does_every_row_is_queued_once_or_counted(
    market: list[Candle],
    most: int,
    overlap: int,
    extra: int,
    running: bool,
    limit: int,
    pages: int | None,
    since: int | None,
    to_ts: int | None,
) -> None:
    if since is not None and to_ts is not None and since > to_ts:
        since = to_ts
    now_open = candle(NOW // STEP * STEP) if running else None
    fetcher = ScriptedFetcher(market, most=most, overlap=overlap, extra=extra, running=now_open)
    queue = MemoryQueue(clock())
    request = FetchRequest(BTC, Timeframe.H1, limit=limit, pages=pages, since=since, to_ts=to_ts)
    report = collect(fetcher, queue, request, clock=clock())

    opens = queued_opens(queue)
    skipped = report.skipped
    counted = skipped.unfinished + skipped.before_listing + skipped.invalid + skipped.duplicate + skipped.outside
    assert report.queued == len(opens) == len(set(opens))
    assert report.queued + counted == fetcher.rows_sent

    top = min(NEWEST_CLOSED, to_ts if to_ts is not None else NOW)
    sound = [c.timestamp for c in market if candle(c.timestamp) == c and c.timestamp % STEP == 0]
    wanted = [t for t in sound if (since or 0) <= t <= top]
    assert sorted(opens) == (wanted if pages is None else wanted[-limit * pages :])
    for page in range(0, len(opens), limit):
        assert all(a < b for a, b in pairwise(opens[page : page + limit]))
    if report.next_to_ts is not None and opens:
        assert report.next_to_ts < min(opens)
        assert not [t for t in wanted if report.next_to_ts < t < min(opens)]
    between = set(range(min(opens), max(opens), STEP)) - set(opens) if opens else set()
    assert {t for gap in report.gaps for t in range(gap.first, gap.last + 1, STEP)} == between
