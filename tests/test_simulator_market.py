"""The markets behind the simulated exchanges: made of arithmetic, and out of candle files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinswarm.candles import Candle, Pair, Span, Timeframe, fault
from coinswarm.errors import UsageError
from coinswarm.simulator import FileMarket, MarketCandle, SyntheticMarket
from coinswarm.simulator.assets import PAIRS, kraken_name
from coinswarm.simulator.market import EPOCH, MONDAY, aggregate, buckets, newest, oldest

REAL = Path(__file__).parent.parent / "../shared/data/market"
BTC_USD = Pair("BTC", "USD")
START = 1_650_000_000
plain = SyntheticMarket(7)
lively = SyntheticMarket(7, idle=0.2, halts=[Span(START + 10 * 3600, START + 40 * 3600)])

timeframes = st.sampled_from(list(Timeframe))
pairs = st.sampled_from(PAIRS)
moments = st.integers(min_value=1_500_000_000, max_value=1_900_000_000)


def closed_range(market: SyntheticMarket, pair: Pair, timeframe: Timeframe, count: int = 200) -> list[MarketCandle]:
    return market.candles(pair, timeframe, START, START + count * timeframe.seconds)


@given(pairs, timeframes, moments)
def test_every_synthetic_candle_is_sound(pair: Pair, timeframe: Timeframe, moment: int) -> None:
    for candle in lively.candles(pair, timeframe, moment, moment + 3 * timeframe.seconds):
        stored = Candle(pair.symbol, candle.timestamp, timeframe.value, *candle[1:7], "test")
        assert fault(stored) is None
        assert (candle.volume == 0) == (candle.trades == 0) == (candle.quote_volume == 0)


@given(pairs, timeframes, moments, st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60)
def test_a_candle_does_not_depend_on_what_is_asked_with_it(
    pair: Pair, timeframe: Timeframe, moment: int, before: int, after: int
) -> None:
    opened = timeframe.floor(moment)
    page = lively.candles(pair, timeframe, opened - before * timeframe.seconds, opened + after * timeframe.seconds)
    alone = lively.candle(pair, timeframe, opened)
    assert [c for c in page if c.timestamp == opened] == ([alone] if alone else [])


@pytest.mark.parametrize("market", [plain, lively])
@pytest.mark.parametrize("timeframe", Timeframe)
def test_a_candle_opens_where_the_one_before_closed(market: SyntheticMarket, timeframe: Timeframe) -> None:
    candles = closed_range(market, BTC_USD, timeframe)
    neighbours = [(a, b) for a, b in itertools.pairwise(candles) if b.timestamp - a.timestamp == timeframe.seconds]
    assert len(neighbours) > 70
    assert all(before.close == after.open for before, after in neighbours)


def test_the_timeframes_lie_on_one_path() -> None:
    hour = plain.candle(BTC_USD, Timeframe.H1, START // 3600 * 3600)
    assert hour is not None
    minutes = plain.candles(BTC_USD, Timeframe.M1, hour.timestamp, hour.timestamp + 3599)
    assert len(minutes) == 60
    assert (minutes[0].open, minutes[-1].close) == (hour.open, hour.close)


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    assert closed_range(SyntheticMarket(7), BTC_USD, Timeframe.H1) == closed_range(plain, BTC_USD, Timeframe.H1)
    assert closed_range(SyntheticMarket(8), BTC_USD, Timeframe.H1) != closed_range(plain, BTC_USD, Timeframe.H1)


def test_dollars_and_dollar_tokens_have_prices_of_their_own_that_lie_close_together() -> None:
    in_dollars, in_tokens = (closed_range(plain, Pair("BTC", quote), Timeframe.H1)[0].open for quote in ("USD", "USDT"))
    assert in_dollars != in_tokens
    assert in_dollars == pytest.approx(in_tokens, rel=0.01)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.symbol)
def test_prices_written_with_the_pairs_decimals_are_the_same_numbers(pair: Pair) -> None:
    digits = plain.decimals(pair)
    for candle in plain.candles(pair, Timeframe.D1, START, START + 400 * 86_400):
        for price in candle[1:5]:
            assert float(f"{price:.{digits}f}") == price
        for volume in candle[5:7]:
            assert float(f"{volume:.8f}") == volume


def test_nothing_exists_before_the_listing() -> None:
    market = SyntheticMarket(listed={"SOL-USDC": START})
    pair = Pair("SOL", "USDC")
    assert market.listed_at(pair) == START
    assert market.candles(pair, Timeframe.H1, 0, START - 1) == []
    first = market.candles(pair, Timeframe.H1, 0, START + 86_400)[0]
    assert first.timestamp == -(-START // 3600) * 3600


def test_idle_buckets_are_flat_and_without_volume_and_about_as_many_as_ordered() -> None:
    candles = closed_range(lively, Pair("ETH", "USD"), Timeframe.H1, 5000)
    idle = [c for c in candles if c.trades == 0]
    assert len(idle) / len(candles) == pytest.approx(0.2, abs=0.03)
    assert all(c.open == c.high == c.low == c.close and c.volume == 0 == c.quote_volume for c in idle)


def test_only_buckets_wholly_inside_a_halt_are_missing() -> None:
    opens = {c.timestamp for c in closed_range(lively, BTC_USD, Timeframe.H1)}
    first, last = START // 3600 * 3600 + 11 * 3600, START // 3600 * 3600 + 39 * 3600
    assert opens.isdisjoint(range(first, last + 1, 3600))
    assert {first - 3600, last + 3600} <= opens


def test_weeks_open_where_the_asker_says() -> None:
    for anchor in (EPOCH, MONDAY):
        weeks = plain.candles(BTC_USD, Timeframe.W1, START, START + 90 * 86_400, week_anchor=anchor)
        assert {week.timestamp % 604_800 for week in weeks} == {anchor}


def test_a_pair_listed_by_hand_must_be_known() -> None:
    with pytest.raises(UsageError, match="not traded here: BTC-SOL"):
        SyntheticMarket(listed={"BTC-SOL": START})


@pytest.mark.parametrize("idle", [-0.1, 1.0])
def test_an_impossible_share_of_idle_buckets_is_refused(idle: float) -> None:
    with pytest.raises(UsageError, match="the share of idle buckets is"):
        SyntheticMarket(idle=idle)


def test_longer_candles_hold_their_children() -> None:
    days = plain.candles(BTC_USD, Timeframe.D1, START, START + 12 * 86_400)
    whole = aggregate(days, 4 * 86_400)
    for long in whole:
        parts = [c for c in days if long.timestamp <= c.timestamp < long.timestamp + 4 * 86_400]
        assert (long.open, long.close) == (parts[0].open, parts[-1].close)
        assert (long.high, long.low) == (max(c.high for c in parts), min(c.low for c in parts))
        assert long.volume == pytest.approx(sum(c.volume for c in parts))
        assert long.trades == sum(c.trades for c in parts)


def test_lengths_that_no_timeframe_has_are_put_together() -> None:
    two_minutes = buckets(plain, BTC_USD, 120, START, START + 1200)
    assert [c.timestamp % 120 for c in two_minutes] == [0] * len(two_minutes)
    assert len(two_minutes) == 11
    assert buckets(plain, BTC_USD, 3600, START, START + 7200) == plain.candles(
        BTC_USD, Timeframe.H1, START, START + 7200
    )
    with pytest.raises(ValueError, match="not whole minutes"):
        buckets(plain, BTC_USD, 90, START, START + 1200)


def test_newest_and_oldest_step_over_a_halt() -> None:
    halted = SyntheticMarket(halts=[Span(START, START + 5000 * 3600)])
    after = START + 5010 * 3600
    found = newest(halted, BTC_USD, 3600, after, 30)
    assert len(found) == 30
    assert found[0].timestamp < START < found[-1].timestamp <= after
    assert oldest(halted, BTC_USD, 3600, found[0].timestamp, after, 30) == found


def test_newest_and_oldest_end_at_the_listing_and_at_the_bound() -> None:
    listed = plain.listed_at(BTC_USD)
    assert len(newest(plain, BTC_USD, 3600, listed + 7200, 10)) == 3
    assert len(oldest(plain, BTC_USD, 3600, 0, listed + 7200, 10)) == 3


KRAKEN_CSV = "1381093200,122.0,122.0,122.0,122.0,0.1,1\n1381176000,123.61,123.7,123.5,123.65,0.1,2\n"
DOWNLOAD_CSV = """https://www.CryptoDataDownload.com
Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount
1779235200000,2026-05-20,BTCUSDT,76834.36,77853.04,76516.74,77552.23,11296.26307,873091271.471635,2437754
1779148800000,2026-05-19,BTCUSDT,77001.88,77414.62,76144.71,76834.36,11024.85978,846904378.3078035,2315121
"""


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_krakens_dump_tells_pair_and_timeframe_by_its_name(tmp_path: Path) -> None:
    market = FileMarket.load(written(tmp_path, "XBTUSD_60.csv", KRAKEN_CSV))
    assert market.pairs == (BTC_USD,)
    assert market.decimals(BTC_USD) == 2
    assert (market.listed_at(BTC_USD), market.ends_at(BTC_USD)) == (1_381_093_200, 1_381_179_600)
    assert market.candles(BTC_USD, Timeframe.H1, 0, 2**33) == [
        MarketCandle(1_381_093_200, 122.0, 122.0, 122.0, 122.0, 0.1, 12.2, 1),
        MarketCandle(1_381_176_000, 123.61, 123.7, 123.5, 123.65, 0.1, 12.3615, 2),
    ]


def test_a_download_is_read_from_its_header_newest_first_in_milliseconds(tmp_path: Path) -> None:
    market = FileMarket.load(written(tmp_path, "Binance_BTCUSDT_d.csv", DOWNLOAD_CSV))
    assert market.candles(Pair("BTC", "USDT"), Timeframe.D1, 0, 2**33) == [
        MarketCandle(
            1_779_148_800, 77001.88, 77414.62, 76144.71, 76834.36, 11024.85978, round(846904378.3078035, 8), 2_315_121
        ),
        MarketCandle(1_779_235_200, 76834.36, 77853.04, 76516.74, 77552.23, 11296.26307, 873091271.471635, 2_437_754),
    ]


def test_pair_and_timeframe_may_be_told_for_a_file_of_any_name(tmp_path: Path) -> None:
    path = written(tmp_path, "mine.csv", KRAKEN_CSV)
    market = FileMarket.load(path, pair=BTC_USD, timeframe=Timeframe.H1)
    assert len(market.candles(BTC_USD, Timeframe.H1, 0, 2**33)) == 2
    with pytest.raises(UsageError, match="does not tell its pair and timeframe"):
        FileMarket.load(path)


@pytest.mark.parametrize(
    ("name", "pair", "timeframe"),
    [
        ("XDGUSD_1440", Pair("DOGE", "USD"), Timeframe.D1),
        ("ETHXBT_5", Pair("ETH", "BTC"), Timeframe.M5),
        ("SOLUSDC_240", Pair("SOL", "USDC"), Timeframe.H4),
        ("Gemini_BTCUSD_1h", BTC_USD, Timeframe.H1),
        ("Binance_ETHUSDT_minute", Pair("ETH", "USDT"), Timeframe.M1),
    ],
)
def test_file_names_in_both_manners_are_understood(tmp_path: Path, name: str, pair: Pair, timeframe: Timeframe) -> None:
    path = written(tmp_path, f"{name}.csv", "1381104000,122.0,122.0,122.0,122.0,0.1,1\n")
    assert len(FileMarket.load(path).candles(pair, timeframe, 0, 2**33)) == 1


def test_longer_timeframes_come_out_of_the_files_own_and_shorter_ones_are_empty(tmp_path: Path) -> None:
    market = FileMarket.load(written(tmp_path, "XBTUSD_60.csv", KRAKEN_CSV))
    days = market.candles(BTC_USD, Timeframe.D1, 0, 2**33)
    assert [day.timestamp for day in days] == [1_381_017_600, 1_381_104_000]
    assert market.candles(BTC_USD, Timeframe.M1, 0, 2**33) == []
    week = market.candles(BTC_USD, Timeframe.W1, 0, 2**33, week_anchor=EPOCH)
    assert [w.timestamp for w in week] == [1_380_758_400]
    assert week[0].volume == 0.2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (KRAKEN_CSV + "1381179600,1,2\n", r"line 3: '1381179600,1,2' is not a candle"),
        (KRAKEN_CSV + "1381179600,abc,1,1,1,1,1\n", r"line 3: .*could not convert"),
        (KRAKEN_CSV + "1381179600,5,4,3,4,1,1\n", r"line 3: open and close must lie between low and high"),
        (KRAKEN_CSV + "1381179601,4,4,4,4,1,1\n", r"line 3: timestamp 1381179601 is not on the 1h grid"),
        (KRAKEN_CSV + "1381176000,4,4,4,4,1,1\n", r"holds the candle of 1381176000 twice"),
        ("", r"holds no candles"),
        ("a,b,c\n1,2,3\n", r"the header 'a,b,c' names no column of BTC-USD for close, high, low, open, time, volume"),
    ],
)
def test_a_file_that_is_not_sound_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        FileMarket.load(written(tmp_path, "XBTUSD_60.csv", text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"XBTUSD_60.csv cannot be read: No such file"):
        FileMarket.load(tmp_path / "XBTUSD_60.csv")
    (tmp_path / "XBTUSD_60.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="it is not text"):
        FileMarket.load(tmp_path / "XBTUSD_60.csv")


def test_two_files_of_the_same_series_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "XBTUSD_60.csv", KRAKEN_CSV)
    with pytest.raises(UsageError, match="BTC-USD 1h, as another file does"):
        FileMarket.load(path, path)


@pytest.mark.real_data
def test_krakens_ten_years_of_hours_are_all_there() -> None:
    path = REAL / "kraken/XBTUSD_60.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    candles = FileMarket.load(path).candles(BTC_USD, Timeframe.H1, 0, 2**33)
    lines = path.read_text().splitlines()
    assert len(candles) == len(lines) == 70_253
    for candle, line in zip(candles, lines, strict=True):
        stamp, *numbers, trades = line.split(",")
        assert (candle.timestamp, candle.trades) == (int(stamp), int(trades))
        assert list(candle[1:6]) == [float(number) for number in numbers]


def test_no_two_pairs_run_together_into_one_name() -> None:
    assert len({pair.base + pair.quote for pair in PAIRS}) == len(PAIRS)
    names = [name for pair in PAIRS for name in set(kraken_name(pair))]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("BTC-USD", ("XBTUSD", "XXBTZUSD", "XBT/USD")),
        ("ETH-EUR", ("ETHEUR", "XETHZEUR", "ETH/EUR")),
        ("ETH-BTC", ("ETHXBT", "XETHXXBT", "ETH/XBT")),
        ("BTC-USDT", ("XBTUSDT", "XBTUSDT", "XBT/USDT")),
        ("DOGE-USD", ("XDGUSD", "XDGUSD", "XDG/USD")),
        ("DOGE-BTC", ("XDGXBT", "XXDGXXBT", "XDG/XBT")),
        ("ADA-EUR", ("ADAEUR", "ADAEUR", "ADA/EUR")),
        ("SOL-USD", ("SOLUSD", "SOLUSD", "SOL/USD")),
    ],
)
def test_kraken_has_three_names_for_a_pair(symbol: str, names: tuple[str, str, str]) -> None:
    assert kraken_name(Pair.parse(symbol)) == names


@pytest.mark.real_data
def test_krakens_names_are_those_of_its_own_list() -> None:
    path = REAL / "kraken/asset_pairs_xchange.json"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    listed = {entry["altname"]: key for key, entry in json.loads(path.read_text())["result"].items()}
    compared = [
        (kraken_name(pair), listed[kraken_name(pair).altname]) for pair in PAIRS if kraken_name(pair).altname in listed
    ]
    assert len(compared) > 15
    assert all(name.key == key for name, key in compared)
