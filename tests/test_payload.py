"""The message body: what producers write and what the consumer takes from them."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.candles import Candle, as_values
from coinswarm.errors import InvalidPayload
from coinswarm.payload import BODY_BYTES, ROWS_PER_MESSAGE, decode, decode_together, pack

SENT_MS = 1_700_010_000_000

prices = st.floats(min_value=1e-9, max_value=1e9)
volumes = st.none() | st.floats(min_value=0, max_value=1e12)


@st.composite
def sound_candles(draw: st.DrawFn) -> Candle:
    low, a, b, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    hour = draw(st.integers(min_value=350_000, max_value=472_000))
    return Candle("BTC-USDC", hour * 3600, "1h", a, high, low, b, draw(volumes), draw(volumes), "binance")


def candle(**changes: object) -> dict[str, object]:
    return {
        "symbol": "BTC-USDC",
        "timestamp": 1_700_000_000 // 3600 * 3600,
        "timeframe": "1h",
        "open": 100.0,
        "high": 110.0,
        "low": 90.0,
        "close": 105.0,
        "volumeFrom": 1.5,
        "volumeTo": None,
        "source": "binance",
    } | changes


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def test_ten_rows_a_message_follow_from_d1s_hundred_parameters() -> None:
    assert ROWS_PER_MESSAGE == 10


@given(st.lists(sound_candles(), min_size=1, max_size=37), st.integers(min_value=1, max_value=12))
def test_packing_and_decoding_change_nothing(candles: list[Candle], rows: int) -> None:
    bodies = list(pack(candles, rows))
    assert [count for _, count in bodies] == [rows] * (len(candles) // rows) + (
        [len(candles) % rows] if len(candles) % rows else []
    )
    back = [c for text, _ in bodies for c in decode(text, taken_ms=SENT_MS).candles]
    assert back == candles


def test_the_byte_budget_beats_the_row_count() -> None:
    long_named = [
        Candle("X" * 20_000, 1_699_999_200 + i * 3600, "1h", 1.0, 1.0, 1.0, 1.0, None, None, "manual")
        for i in range(10)
    ]
    bodies = list(pack(long_named))
    assert sum(count for _, count in bodies) == 10
    assert len(bodies) == 2
    assert all(len(text) <= BODY_BYTES for text, _ in bodies)


def test_a_candle_that_fits_no_message_is_refused() -> None:
    with pytest.raises(InvalidPayload, match="alone is larger"):
        list(pack([Candle("X" * 130_000, 1_699_999_200, "1h", 1.0, 1.0, 1.0, 1.0, None, None, "manual")]))


@pytest.mark.parametrize(
    "value",
    [[candle()], candle(), json.dumps([candle()]), json.dumps(candle())],
    ids=["array", "object", "string of an array", "string of an object"],
)
def test_all_forms_in_the_field_are_taken(value: object) -> None:
    decoded = decode(body(value), taken_ms=SENT_MS)
    assert (len(decoded.candles), decoded.faults) == (1, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the body is empty"),
        (b"not json", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "an empty array"),
        (b"12", "a JSON int"),
        (b"null", "a JSON NoneType"),
        (b'"nonsense"', "not JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_poison(text: bytes, message: str) -> None:
    with pytest.raises(InvalidPayload, match=message):
        decode(text, taken_ms=SENT_MS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"low": 0}, "above zero"),
        ({"close": 111.0}, "between low and high"),
        ({"open": 89.0}, "between low and high"),
        ({"timestamp": 1_699_999_201}, "grid"),
        ({"timestamp": 1_699_999_200_000}, "milliseconds"),
        ({"timestamp": 1_699_999_200_000_000}, "microseconds"),
        ({"timestamp": -3600}, "unix seconds"),
        ({"timestamp": 1_700_010_000}, "still running"),
        ({"timeframe": "hour"}, "unknown timeframe"),
        ({"volumeFrom": -1.0}, "volumeFrom"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": "BTC\x1b[31m"}, "symbol"),
        ({"source": " binance"}, "source"),
        ({"close": "105"}, r"Expected `float`"),
        ({"close": None}, r"Expected `float`"),
        ({"timestamp": 1.5}, r"Expected `int`"),
    ],
)
def test_a_bad_row_is_named_and_takes_no_good_row_along(change: dict[str, object], reason: str) -> None:
    decoded = decode(body([candle(), candle(**change), candle(source="kraken")]), taken_ms=SENT_MS)
    assert [c.source for c in decoded.candles] == ["binance", "kraken"]
    assert len(decoded.faults) == 1
    assert decoded.faults[0].startswith("row 1: ")
    assert re.search(reason, decoded.faults[0])


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("close", "1e400", "prices must be finite"),
        ("volumeFrom", "-1e999", "volumeFrom must be finite"),
        ("timestamp", "1e400", "Expected `int`"),
        ("symbol", r'"BTC-\ud800"', "symbol and source must be printable"),
        ("timeframe", r'"\udfff"', "unknown timeframe"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_number_or_text_that_only_json_can_hold_takes_no_good_row_along(
    name: str, text: str, reason: str, wrapped: bool
) -> None:
    sent = body([candle(), candle(**{name: "HERE"}), candle(source="kraken")]).replace(b'"HERE"', text.encode())
    decoded = decode(json.dumps(sent.decode()).encode() if wrapped else sent, taken_ms=SENT_MS)
    assert [c.source for c in decoded.candles] == ["binance", "kraken"]
    assert len(decoded.faults) == 1
    assert decoded.faults[0].startswith(f"row 1: {reason}")
    decoded.faults[0].encode()  # is stored as the reason


def test_what_a_field_nobody_reads_holds_is_no_fault() -> None:
    sent = body([candle(note="HERE")]).replace(b'"HERE"', rb'["\ud800", 1e400]')
    assert decode(sent, taken_ms=SENT_MS).faults == []


@pytest.mark.parametrize("text", [b"[NaN]", b"[Infinity]", b"[1e400,]", b'["\xed\xa0\x80"]', b"\xef\xbb\xbf[1e400]"])
def test_what_is_no_json_is_none_for_either_parser(text: bytes) -> None:
    with pytest.raises(InvalidPayload, match="the body is not JSON"):
        decode(text, taken_ms=SENT_MS)


@pytest.mark.parametrize("missing", ["symbol", "timeframe", "volumeFrom", "source"])
def test_a_missing_field_is_a_fault_never_a_guess(missing: str) -> None:
    row = candle()
    del row[missing]
    decoded = decode(body([row]), taken_ms=SENT_MS)
    assert decoded.candles == []
    assert missing in decoded.faults[0]


def test_any_source_is_taken() -> None:
    assert decode(body([candle(source="manual")]), taken_ms=SENT_MS).candles[0].source == "manual"


def test_a_week_may_open_on_monday_or_thursday() -> None:
    for opens in (1_698_624_000, 1_698_883_200):
        decoded = decode(body([candle(timeframe="1w", timestamp=opens)]), taken_ms=SENT_MS)
        assert decoded.faults == []


@given(st.binary(max_size=300))
def test_no_body_whatever_makes_the_decoder_fail_otherwise(text: bytes) -> None:
    try:
        decoded = decode(text, taken_ms=SENT_MS)
    except InvalidPayload:
        return
    assert decoded.received > 0


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0])
candles_of_any_kind = st.builds(
    Candle,
    symbol=st.sampled_from(["BTC-USDC"] * 3 + ["", " X", "a\nb", "é"]),
    timestamp=st.sampled_from([1_699_999_200, 1_698_624_000, 1_698_883_200, 1_699_999_201])
    | st.integers(min_value=-(10**16), max_value=10**16),
    timeframe=st.sampled_from(["1h", "1d", "1w", "day"]),
    open=numbers,
    high=numbers,
    low=numbers,
    close=numbers,
    volume_from=st.none() | numbers,
    volume_to=st.none() | numbers,
    source=st.sampled_from(["kraken"] * 3 + ["", "x "]),
)


@given(st.lists(st.lists(sound_candles() | candles_of_any_kind, min_size=1, max_size=3), max_size=3))
def test_decoding_together_agrees_with_decoding_one_by_one(messages: list[list[Candle]]) -> None:
    bodies = [msgspec.json.encode(candles) for candles in messages]
    alone = [decode(text, taken_ms=SENT_MS) for text in bodies]
    together = decode_together(bodies, taken_ms=SENT_MS)
    if any(decoded.faults for decoded in alone):
        assert together is None
    else:
        assert together == as_values(c for decoded in alone for c in decoded.candles)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"no", b"{}", b'"[]"', body(candle()), body([candle(close="105")]), body([candle(), None])]
)
def test_what_needs_a_closer_look_is_not_decoded_together(text: bytes) -> None:
    assert decode_together([body([candle()]), text], taken_ms=SENT_MS) is None


def test_decoding_together_takes_a_candle_from_the_second_it_closes() -> None:
    closes_ms = (1_699_999_200 + 3600) * 1000
    assert decode_together([body([candle()])], taken_ms=closes_ms) is not None
    assert decode_together([body([candle()])], taken_ms=closes_ms - 1) is None
