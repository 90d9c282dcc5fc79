"""What is wrong with single rows of `price_data`, as SQL: a million rows are one pass inside SQLite.

The rules are those of `candles.fault`; `tests/test_fsck.py` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from coinswarm.candles import COLUMNS, EARLIEST, GRID, LATEST, SECONDS
from coinswarm.fsck.findings import Move, Rule

TABLE: Final = "price_data"
KEY: Final = ("symbol", "timestamp", "timeframe", "source")
_TEXTS: Final = ("symbol", "timeframe", "source")
_PRICES: Final = ("open", "high", "low", "close")
_VOLUMES: Final = ("volume_from", "volume_to")
_LARGEST: Final = "1.7976931348623157e308"
_WRITTEN: Final = "created_at"
"""When the original system stored a row; coinswarm's own table has no such column."""

_IN_SECONDS: Final = f"(timestamp >= {EARLIEST} AND timestamp < {LATEST})"
_SMALLER_UNITS: Final = ((1_000, "milliseconds"), (1_000_000, "microseconds"))


def rules(columns: Collection[str], *, now_s: int, has_key: bool) -> Iterator[Rule]:
    """The rules that a table with these columns can be held to. `now_s`: unix seconds."""
    present = [column for column in COLUMNS if column in columns]
    sound = f"NOT ({_wrong_types(present)})" if present else "1"
    if present:
        yield _rule("types", "values of the wrong type, such as text for a price", _wrong_types(present), present)
    numbers = [column for column in (*_PRICES, *_VOLUMES) if column in columns]
    if numbers:
        infinite = " OR ".join(f"abs({column}) > {_LARGEST}" for column in numbers)
        yield _rule("not-finite", "infinite prices or volumes", f"{sound} AND ({infinite})", present)
    if set(_PRICES) <= set(columns):
        broken = (
            "min(open, high, low, close) <= 0 OR NOT (low <= open AND open <= high AND low <= close AND close <= high)"
        )
        yield _rule(
            "prices",
            "prices that are not above zero, or open and close not between low and high",
            f"{sound} AND ({broken})",
            present,
        )
    negative = " OR ".join(f"{column} < 0" for column in _VOLUMES if column in columns)
    if negative:
        yield _rule("volumes", "volumes below zero", f"{sound} AND ({negative})", present)
    if "timestamp" in columns:
        yield from _time_rules(columns, present, now_s, has_key=has_key)


def suspicious(columns: Mapping[str, str], *, now_s: int) -> str:
    """A condition that every row breaking a rule fulfils, at a fraction of the cost of asking all rules.

    SQLite orders numbers before text and text before blobs, so being between bounds says that a value is a number.
    That holds where the columns are not declared as text; elsewhere every row is asked all rules.
    """
    numbers = (*_PRICES, *_VOLUMES, "timestamp")
    if not set(COLUMNS) <= set(columns) or any(_is_text(columns[column]) for column in numbers):
        return "1"
    sane = [f"{column} >= '' AND {column} < x''" for column in _TEXTS]
    sane.append(f"low > 0 AND low <= open AND open <= high AND low <= close AND close <= high AND high <= {_LARGEST}")
    sane += [f"ifnull({column}, 0) BETWEEN 0 AND {_LARGEST}" for column in _VOLUMES]
    sane.append(f"typeof(timestamp) = 'integer' AND {_IN_SECONDS} AND timestamp % {_by_timeframe(GRID, 1)} = 0")
    closes = f"timestamp + {_by_timeframe(SECONDS, 0)}"
    sane.append(f"{closes} <= {f'min({now_s}, {_seconds(_WRITTEN)})' if _WRITTEN in columns else now_s}")
    flat = "" if _WRITTEN in columns else " OR high = low"
    return f"NOT ifnull({' AND '.join(sane)}, 0){flat}"


def _is_text(declared: str) -> bool:
    return any(part in declared.upper() for part in ("CHAR", "CLOB", "TEXT"))


def _wrong_types(present: Collection[str]) -> str:
    allowed = dict.fromkeys(_TEXTS, "'text'") | {"timestamp": "'integer'"}
    allowed |= dict.fromkeys(_PRICES, "'real', 'integer'") | dict.fromkeys(_VOLUMES, "'real', 'integer', 'null'")
    return " OR ".join(f"typeof({column}) NOT IN ({allowed[column]})" for column in present)


def _time_rules(columns: Collection[str], present: list[str], now_s: int, *, has_key: bool) -> Iterator[Rule]:
    whole = "typeof(timestamp) = 'integer'"
    smaller = " OR ".join(_within(factor) for factor, _ in _SMALLER_UNITS)
    yield _rule(
        "timestamps",
        "timestamps before 2009 or after the year 3000 in any unit",
        f"{whole} AND NOT ({_IN_SECONDS} OR {smaller})",
        present,
    )
    twin = _twin(has_key=has_key) if set(KEY) <= set(columns) else "0"
    yield _rule(
        "twins",
        "candles stored twice: in seconds, and again in milli- or microseconds",
        f"{whole} AND ({smaller}) AND {twin}",
        present,
    )
    yield _rule(
        "milliseconds",
        "candles stored in milli- or microseconds only; in seconds there is none",
        f"{whole} AND ({smaller}) AND NOT {twin}",
        present,
        advice="After the repair fetch them again: coinswarm fetch PAIR --source SOURCE --timeframe T --since TIME",
    )
    if "timeframe" not in columns:
        return
    grid = _by_timeframe(GRID)
    yield _rule(
        "misaligned",
        "timestamps off the grid of their timeframe, such as an hour's candle that opens at 10:07",
        f"{whole} AND {_IN_SECONDS} AND timestamp % {grid} <> 0",
        present,
    )
    closes = f"timestamp + {_by_timeframe(SECONDS)}"
    early = f"{closes} > {now_s}"
    if _WRITTEN in columns:
        early += f" OR {closes} > {_seconds(_WRITTEN)}"
    yield _rule(
        "frozen",
        "candles stored before they closed: their values are those of a moment, frozen for ever",
        f"{whole} AND {_IN_SECONDS} AND ({early})",
        [*present, _WRITTEN] if _WRITTEN in columns else present,
        advice="After the repair fetch them again: coinswarm fetch PAIR --source SOURCE --timeframe T --since TIME",
    )
    if _WRITTEN not in columns and {*_PRICES, "volume_from"} <= set(columns):
        yield Rule(
            "flat",
            "candles of an hour or more with volume and one single price: perhaps stored just after they opened",
            TABLE,
            f"open = high AND high = low AND low = close AND volume_from > 0 AND {_by_timeframe(SECONDS)} >= 3600",
            tuple(present),
            advice="Compare some with the exchange. Thinly traded pairs have such candles for good.",
            severity="warning",
        )


def _rule(kind: str, what: str, where: str, columns: Collection[str], advice: str | None = None) -> Rule:
    return Rule(kind, what, TABLE, where, tuple(columns), Move(TABLE, where), advice)


def _within(factor: int) -> str:
    return f"(timestamp >= {EARLIEST * factor} AND timestamp < {LATEST * factor})"


def _twin(*, has_key: bool) -> str:
    """Whether the same candle is there in seconds; without an index to look it up in, by one list of all keys."""
    seconds = f"CASE WHEN timestamp < {LATEST * 1_000} THEN timestamp / 1000 ELSE timestamp / 1000000 END"
    if has_key:
        same = " AND ".join(f"other.{column} = {TABLE}.{column}" for column in ("symbol", "timeframe", "source"))
        moment = seconds.replace("timestamp", f"{TABLE}.timestamp")
        return f"EXISTS (SELECT 1 FROM {TABLE} AS other WHERE {same} AND other.timestamp = {moment})"
    return (
        f"(symbol, timeframe, source, {seconds}) IN "
        f"(SELECT symbol, timeframe, source, timestamp FROM {TABLE} WHERE timestamp < {LATEST})"
    )


def _by_timeframe(seconds: Mapping[str, int], otherwise: int | None = None) -> str:
    """NULL, unless said otherwise, for a timeframe that is none of ours, and with it every comparison."""
    usual_first = sorted(seconds, key=lambda timeframe: timeframe not in ("1h", "1d", "1m", "15m"))
    cases = " ".join(f"WHEN '{timeframe}' THEN {seconds[timeframe]}" for timeframe in usual_first)
    return f"CASE timeframe {cases} ELSE {'NULL' if otherwise is None else otherwise} END"


def _seconds(column: str) -> str:
    """A time in unix seconds, kept as seconds, milliseconds or as SQLite's CURRENT_TIMESTAMP writes it."""
    return (
        f"CASE WHEN typeof({column}) = 'text' THEN CAST(strftime('%s', {column}) AS INTEGER)"
        f" WHEN {column} >= {EARLIEST * 1_000} THEN {column} / 1000 ELSE {column} END"
    )
