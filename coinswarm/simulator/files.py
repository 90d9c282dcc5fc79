"""Markets out of candle files: what was recorded is served again, in every exchange's wire format.

Two layouts are read: Kraken's OHLCVT dumps (`unix,open,high,low,close,volume,trades`, no header,
https://support.kraken.com/hc/en-us/articles/360047124832) and CryptoDataDownload's (a line with its address, a header,
newest first, milliseconds). Buckets that are not in the file do not exist in the market.
"""

from __future__ import annotations

import csv
import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coinswarm.candles import Candle, Pair, Timeframe, fault
from coinswarm.errors import UsageError
from coinswarm.simulator.assets import QUOTES
from coinswarm.simulator.market import EPOCH, MONDAY, VOLUME_DECIMALS, MarketCandle, aggregate

_KRAKEN_NAME: Final = re.compile(r"(?P<pair>[A-Z0-9]{5,12})_(?P<timeframe>\d{1,4})")
_DOWNLOAD_NAME: Final = re.compile(r"[A-Za-z]+_(?P<pair>[A-Z0-9]{5,12})_(?P<timeframe>[a-z0-9]+)")
_TIMEFRAME_WORDS: Final = {"d": "1d", "day": "1d", "h": "1h", "1hr": "1h", "hour": "1h", "m": "1m", "minute": "1m"}
_ALIASES: Final = {"XBT": "BTC", "XDG": "DOGE"}


class FileMarket:
    """The candles of one or several files. Longer timeframes are put together from the file's own; shorter are empty.

    Numbers stay as they are in the file. A file without quote volumes gets volume × the mean of the four prices, to 8
    decimals: some exchanges must send one.
    """

    def __init__(self, series: Mapping[tuple[Pair, Timeframe], Sequence[MarketCandle]]) -> None:
        self._series: dict[tuple[Pair, Timeframe, int], _Series] = {}
        for (pair, timeframe), candles in series.items():
            if not candles:
                raise UsageError(f"no candles of {pair.symbol} {timeframe.value}", hint="Give a file that holds some.")
            anchor = candles[0].timestamp if timeframe is Timeframe.W1 else EPOCH
            self._series[pair, timeframe, anchor % Timeframe.W1.seconds] = _Series(list(candles))
        self._own = {(pair, timeframe): found for (pair, timeframe, _), found in self._series.items()}
        self._decimals = {pair: _decimals(c for (p, _), c in series.items() if p == pair) for pair, _ in series}

    @classmethod
    def load(cls, *paths: Path, pair: Pair | None = None, timeframe: Timeframe | None = None) -> FileMarket:
        """Reads the files; `pair` and `timeframe` stand in the file name (`XBTUSD_60.csv`) or are given here.

        Raises `UsageError` naming the file and line of what cannot be read.
        """
        series: dict[tuple[Pair, Timeframe], Sequence[MarketCandle]] = {}
        for path in paths:
            named = (pair, timeframe) if pair and timeframe else _from_name(path, pair, timeframe)
            if named in series:
                raise UsageError(
                    f"{path} holds {named[0].symbol} {named[1].value}, as another file does", hint="Give it only once."
                )
            series[named] = read(path, *named)
        return cls(series)

    @property
    def pairs(self) -> Sequence[Pair]:
        return tuple(self._decimals)

    def listed_at(self, pair: Pair) -> int:
        return min(series.opens[0] for (p, _), series in self._own.items() if p == pair)

    def ends_at(self, pair: Pair) -> int:
        """Unix seconds at which the last candle in the files is over."""
        return max(s.opens[-1] + timeframe.seconds for (p, timeframe), s in self._own.items() if p == pair)

    def decimals(self, pair: Pair) -> int:
        return self._decimals[pair]

    def candles(
        self, pair: Pair, timeframe: Timeframe, first: int, last: int, *, week_anchor: int = MONDAY
    ) -> list[MarketCandle]:
        series = self._of(pair, timeframe, week_anchor if timeframe is Timeframe.W1 else EPOCH)
        return series.between(first, last) if series else []

    def _of(self, pair: Pair, timeframe: Timeframe, anchor: int) -> _Series | None:
        key = (pair, timeframe, anchor % Timeframe.W1.seconds)
        if key not in self._series:
            parts = [t for p, t in self._own if p == pair and t is not Timeframe.W1 and t.seconds < timeframe.seconds]
            parts = [t for t in parts if timeframe.seconds % t.seconds == 0]
            if not parts:
                return None
            finest = self._own[pair, max(parts, key=lambda part: part.seconds)]
            self._series[key] = _Series(aggregate(finest.candles, timeframe.seconds, anchor=anchor))
        return self._series[key]


class _Series:
    """Ascending candles and their opens, for bisection."""

    def __init__(self, candles: list[MarketCandle]) -> None:
        self.candles = candles
        self.opens = [candle.timestamp for candle in candles]

    def between(self, first: int, last: int) -> list[MarketCandle]:
        return self.candles[bisect_left(self.opens, first) : bisect_right(self.opens, last)]


def read(path: Path, pair: Pair, timeframe: Timeframe) -> list[MarketCandle]:
    """The candles of one file, ascending. Raises `UsageError` naming the first line that holds no sound candle."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            candles = list(_rows(path, lines, pair, timeframe))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"{path} cannot be read: {reason}", hint="Give a CSV file of candles.") from None
    candles.sort()
    for earlier, later in itertools.pairwise(candles):
        if earlier.timestamp == later.timestamp:
            raise UsageError(
                f"{path} holds the candle of {later.timestamp} twice", hint="Remove one of them: which is true?"
            )
    if not candles:
        raise UsageError(f"{path} holds no candles", hint="Give a CSV file of candles.")
    return candles


def _rows(path: Path, lines: Iterator[str], pair: Pair, timeframe: Timeframe) -> Iterator[MarketCandle]:
    columns: _Columns | None = None
    reader = csv.reader(lines)
    for row in reader:
        if not row or (reader.line_num == 1 and row[0].startswith("http")):
            continue
        if columns is None:
            columns = _Columns.of(row, pair)
            if not row[0].strip().replace(".", "").isdigit():
                continue
        try:
            candle = columns.candle(row)
        except (ValueError, IndexError, OverflowError) as error:
            raise UsageError(
                f"{path}, line {reader.line_num}: {','.join(row)[:80]!r} is not a candle ({error})",
                hint="Lines read unix,open,high,low,close,volume[,quote volume][,trades].",
            ) from None
        reason = fault(Candle(pair.symbol, candle.timestamp, timeframe.value, *candle[1:7], "file"), closed_before=None)
        if reason:
            raise UsageError(f"{path}, line {reader.line_num}: {reason}", hint="Correct or remove the line.")
        yield candle


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column holds what."""

    time: int = 0
    open: int = 1
    high: int = 2
    low: int = 3
    close: int = 4
    volume: int = 5
    quote_volume: int | None = None
    trades: int | None = 6

    @classmethod
    def of(cls, header: Sequence[str], pair: Pair) -> _Columns:
        """From a header's words; without a header, Kraken's order."""
        words = [word.strip().lower() for word in header]
        if words[0].replace(".", "").isdigit():
            return cls(trades=6 if len(words) > 6 else None)

        def find(*names: str) -> int | None:
            return next((index for index, word in enumerate(words) if word in names), None)

        names = {name: (name,) for name in ("open", "high", "low", "close")} | {
            "time": ("unix", "timestamp", "time"),
            "volume": ("volume", f"volume {pair.base.lower()}"),
        }
        found = {name: index for name, aliases in names.items() if (index := find(*aliases)) is not None}
        if missing := sorted(names.keys() - found.keys()):
            raise UsageError(
                f"the header {','.join(header)[:120]!r} names no column of {pair.symbol} for {', '.join(missing)}",
                hint="Check that --pair is what the file holds.",
            )
        found_trades = find("tradecount", "trade count", "trades")
        return cls(**found, quote_volume=find(f"volume {pair.quote.lower()}"), trades=found_trades)

    def candle(self, row: Sequence[str]) -> MarketCandle:
        stamp = int(float(row[self.time]))
        while stamp >= 100_000_000_000:  # ms or µs
            stamp //= 1000
        opened, high, low, close, volume = (
            float(row[index]) for index in (self.open, self.high, self.low, self.close, self.volume)
        )
        typical = (opened + high + low + close) / 4
        quote_volume = (
            round(volume * typical, VOLUME_DECIMALS) if self.quote_volume is None else float(row[self.quote_volume])
        )
        trades = int(float(row[self.trades] or 0)) if self.trades is not None else int(volume > 0)
        return MarketCandle(stamp, opened, high, low, close, volume, quote_volume, trades)


def _from_name(path: Path, pair: Pair | None, timeframe: Timeframe | None) -> tuple[Pair, Timeframe]:
    """`XBTUSD_60.csv` is Kraken's BTC-USD 1h, `Binance_BTCUSDT_d.csv` CryptoDataDownload's BTC-USDT 1d."""
    match = _KRAKEN_NAME.fullmatch(path.stem) or _DOWNLOAD_NAME.fullmatch(path.stem)
    if match:
        word = match["timeframe"]
        if word.isdigit():
            named_timeframe = next((t for t in Timeframe if t.seconds == int(word) * 60), None)
        else:
            named_timeframe = next((t for t in Timeframe if t.value == _TIMEFRAME_WORDS.get(word, word)), None)
        pair, timeframe = pair or _split(match["pair"]), timeframe or named_timeframe
    if pair is None or timeframe is None:
        raise UsageError(
            f"the name of {path} does not tell its pair and timeframe",
            hint="Add --pair BTC-USD --timeframe 1h, or name the file like XBTUSD_60.csv.",
        )
    return pair, timeframe


def _split(code: str) -> Pair | None:
    quotes = sorted({*QUOTES, *_ALIASES}, key=len, reverse=True)
    quote = next((quote for quote in quotes if code.endswith(quote) and code != quote), None)
    if quote is None:
        return None
    base = code.removesuffix(quote)
    return Pair(_ALIASES.get(base, base), _ALIASES.get(quote, quote))


def _decimals(series: Iterator[Sequence[MarketCandle]]) -> int:
    """The fewest decimals that write every price of the files, 8 at most."""
    prices = {price for candles in series for candle in candles for price in candle[1:5]}
    return next(
        (digits for digits in range(VOLUME_DECIMALS) if all(round(price, digits) == price for price in prices)),
        VOLUME_DECIMALS,
    )
