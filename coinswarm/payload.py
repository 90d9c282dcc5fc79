"""Candles to message bodies and back: the contract between every producer and every consumer.

A JSON array of objects `symbol, timestamp (s), timeframe, open, high, low, close, volumeFrom, volumeTo, source`.
The decoder also takes one object, and a JSON string that holds either: all three occur among the Workers in the field.
Unknown fields are passed over, missing ones are faults; `volumeFrom` and `volumeTo` may be null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec

from coinswarm.candles import COLUMNS, Candle, all_sound, fault
from coinswarm.errors import InvalidPayload
from coinswarm.limits import D1, QUEUES

ROWS_PER_MESSAGE: Final = D1.bound_parameters // len(COLUMNS)
"""10 rows × 10 columns = D1's 100 parameters: one message fills one statement."""
BODY_BYTES: Final = QUEUES.message_bytes - QUEUES.metadata_bytes

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Candle])


@dataclass(slots=True)
class Decoded:
    """What a body held: sound candles, and a reason for every row that is not one."""

    candles: list[Candle]
    faults: list[str] = field(default_factory=list)

    @property
    def received(self) -> int:
        return len(self.candles) + len(self.faults)


def pack(candles: Iterable[Candle], rows_per_message: int = ROWS_PER_MESSAGE) -> Iterator[tuple[bytes, int]]:
    """Message bodies of up to `rows_per_message` candles each, with the number of candles in each.

    Order is kept. A body never exceeds the 128,000 bytes of a message: candles that would make one are parted.
    Raises `InvalidPayload` if one candle alone is too large.
    """
    remaining = iter(candles)
    while chunk := list(islice(remaining, rows_per_message)):
        yield from _fitting(chunk)


def _fitting(candles: list[Candle]) -> Iterator[tuple[bytes, int]]:
    body = _encoder.encode(candles)
    if len(body) <= BODY_BYTES:
        yield body, len(candles)
        return
    if len(candles) == 1:
        raise InvalidPayload(f"one candle of {candles[0].symbol[:40]} alone is larger than a message may be")
    half = len(candles) // 2
    yield from _fitting(candles[:half])
    yield from _fitting(candles[half:])


def decode(body: bytes, *, taken_ms: int) -> Decoded:
    """The candles of one message body; `taken_ms` is when it was sent, so that candles then still running are refused.

    Raises `InvalidPayload` if the body as a whole cannot be read. Single rows that cannot are `faults`.
    """
    taken = taken_ms / 1000
    try:
        candles = _decoder.decode(body)
    except msgspec.MsgspecError:
        return _decode_row_by_row(body, taken)
    if candles and all_sound(candles, taken):
        return Decoded(candles)
    if not candles:
        raise InvalidPayload("the body is an empty array")
    return _sort_out(((index, candle) for index, candle in enumerate(candles)), taken)


def _decode_row_by_row(body: bytes, taken: float) -> Decoded:
    rows = _rows(body)
    if not rows:
        raise InvalidPayload("the body is an empty array")
    return _sort_out(enumerate(rows), taken)


def _rows(body: bytes) -> list[Any]:
    try:
        value = msgspec.json.decode(body)
        if isinstance(value, str):
            value = msgspec.json.decode(value)
    except msgspec.MsgspecError as error:
        raise InvalidPayload(f"the body is not JSON: {error}" if body else "the body is empty") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise InvalidPayload(f"the body is not JSON: {error}") from None
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return value
    raise InvalidPayload(f"the body is a JSON {type(value).__name__}, not an array or object of candles")


def _sort_out(rows: Iterable[tuple[int, Any]], taken: float) -> Decoded:
    decoded = Decoded([])
    for index, row in rows:
        try:
            candle = row if isinstance(row, Candle) else msgspec.convert(row, Candle)
        except msgspec.ValidationError as error:
            decoded.faults.append(f"row {index}: {error}")
            continue
        reason = fault(candle, closed_before=taken)
        if reason is None:
            decoded.candles.append(candle)
        else:
            decoded.faults.append(f"row {index}: {reason}")
    return decoded
