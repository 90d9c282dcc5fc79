"""Candles to message bodies and back: the contract between every producer and every consumer.

A JSON array of objects `symbol, timestamp (s), timeframe, open, high, low, close, volumeFrom, volumeTo, source`.
The decoder also takes one object, and a JSON string that holds either: all three occur among the Workers in the field.
Unknown fields are passed over, missing ones are faults; `volumeFrom` and `volumeTo` may be null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from operator import le, mod
from typing import Annotated, Any, Final, Literal

import msgspec

from coinswarm.candles import (
    COLUMNS,
    EARLIEST,
    GRID,
    LATEST,
    SECONDS,
    Candle,
    Values,
    as_values,
    columns,
    fault,
    is_clean,
)
from coinswarm.errors import InvalidPayload
from coinswarm.limits import D1, QUEUES

ROWS_PER_MESSAGE: Final = D1.bound_parameters // len(COLUMNS)
"""10 rows × 10 columns = D1's 100 parameters: one message fills one statement."""
BODY_BYTES: Final = QUEUES.message_bytes - QUEUES.metadata_bytes

_price = Annotated[float, msgspec.Meta(gt=0)]
_volume = Annotated[float, msgspec.Meta(ge=0)] | None
_rules: Final[dict[str, Any]] = {
    "timestamp": Annotated[int, msgspec.Meta(ge=EARLIEST, lt=LATEST)],
    "timeframe": Literal[tuple(SECONDS)],
    "open": _price,
    "high": _price,
    "low": _price,
    "close": _price,
    "volume_from": _volume,
    "volume_to": _volume,
}
_Bounded = msgspec.defstruct(
    "_Bounded",
    [(name, _rules.get(name, str)) for name in COLUMNS],
    frozen=True,
    gc=False,
    rename=dict(zip(Candle.__struct_fields__, Candle.__struct_encode_fields__, strict=True)),
)
"""A candle whose single fields are sound: msgspec sees to that while it decodes, at no cost."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Candle])
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoders raise for a body that cannot be read: no JSON or not ours, no UTF-8, nested too deeply."""
_bounded_decoder = msgspec.json.Decoder(list[_Bounded])  # type: ignore[valid-type]  # a class made at run time


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
        body = _encoder.encode(chunk)
        if len(body) <= BODY_BYTES:
            yield body, len(chunk)
        elif len(chunk) > 1:
            yield from pack(chunk, len(chunk) // 2)
        else:
            raise InvalidPayload(f"one candle of {chunk[0].symbol[:40]} alone is larger than a message may be")


def decode(body: bytes, *, taken_ms: int) -> Decoded:
    """The candles of one message body; `taken_ms` is when it was sent, so that candles then still running are refused.

    Raises `InvalidPayload` if the body as a whole cannot be read. Single rows that cannot are `faults`.
    """
    taken = taken_ms / 1000
    try:
        candles = _decoder.decode(body)
    except _UNREADABLE:
        return _decode_row_by_row(body, taken)
    if not candles:
        raise InvalidPayload("the body is an empty array")
    return _sort_out(enumerate(candles), taken)


def decode_together(bodies: Iterable[bytes], *, taken_ms: int) -> Values | None:
    """The candles of all `bodies` in order, if each is an array of nothing but sound candles; else None.

    Some ten times as quick as `decode`, which is what to turn to after None. `taken_ms` is the earliest sending.
    """
    candles: list[Any] = []
    try:
        for body in bodies:
            before = len(candles)
            candles += _bounded_decoder.decode(body)
            if len(candles) == before:
                return None
    except _UNREADABLE:
        return None
    values = as_values(candles)
    return values if _fit_together(values, taken_ms / 1000) else None


def _fit_together(values: Values, taken: float) -> bool:
    """What is left to check of bounded candles, by columns."""
    if not values:
        return True
    symbols, opens, timeframes, first, high, low, last, _, _, sources = columns(values)
    frames = _distinct(timeframes)
    grids = repeat(GRID[timeframes[0]]) if len(frames) == 1 else map(GRID.__getitem__, timeframes)
    return (
        not any(map(mod, opens, grids))
        and max(opens) + max(map(SECONDS.__getitem__, frames)) <= taken
        and all(map(le, low, first))
        and all(map(le, first, high))
        and all(map(le, low, last))
        and all(map(le, last, high))
        and all(map(is_clean, _distinct(symbols) | _distinct(sources)))
    )


def _distinct(names: list[str]) -> set[str]:
    """A batch is mostly of one series, and to count one name is quicker than to hash them all."""
    return {names[0]} if names.count(names[0]) == len(names) else set(names)


def _decode_row_by_row(body: bytes, taken: float) -> Decoded:
    rows = raw_rows(body)
    if not rows:
        raise InvalidPayload("the body is an empty array")
    return _sort_out(enumerate(rows), taken)


def raw_rows(body: bytes) -> list[Any]:
    """What a body holds, row by row and whatever it is. Raises `InvalidPayload` for a body that holds no rows."""
    try:
        value = _any_json(body)
        if isinstance(value, str):
            value = _any_json(value)
    except _UNREADABLE as error:
        raise InvalidPayload(f"the body is not JSON: {error}" if body else "the body is empty") from None
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return value
    raise InvalidPayload(f"the body is a JSON {type(value).__name__}, not an array or object of candles")


def _any_json(text: bytes | str) -> Any:
    """Also JSON that msgspec refuses as a whole for one number beyond any double or half a surrogate pair.

    Both are what `JSON.stringify` may write, and a fault of their row alone.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        try:
            return json.loads(text if isinstance(text, str) else text.decode(), parse_constant=_refuse)
        except ValueError:
            pass
        raise


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


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
