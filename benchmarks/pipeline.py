"""The pipeline beside what SQLite alone could do: enqueue, drain, arrival out of order, duplicates, memory.

python -m benchmarks.pipeline [--candles 500000] [--runs 3]

Every run measures the bare limit and the drain right after each other, and the ratio is taken within the run: two cores
shared with others drift by a third. The bare limit is `executemany` of the same rows, sorted and in memory, into an
identical table, 1,000 rows a transaction, WAL, synchronous=FULL.
"""

from __future__ import annotations

import argparse
import gc
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from benchmarks.results import save
from coinswarm.candles import COLUMNS, Candle, as_values, rows
from coinswarm.clock import SystemClock
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.worker import Worker
from coinswarm.d1.local import LocalDatabase
from coinswarm.fetchers.enqueue import enqueue
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.storage import connect

SERIES = 20
OWN = (Path(__file__).parent.parent / "migrations" / "0001_price_data.sql").read_text()
ORIGINAL = """
CREATE TABLE price_data (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    symbol TEXT NOT NULL, timestamp INTEGER NOT NULL, timeframe TEXT NOT NULL,
    open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL,
    volume_from REAL, volume_to REAL, source TEXT NOT NULL,
    created_at INTEGER DEFAULT (unixepoch()),
    UNIQUE (symbol, timestamp, timeframe, source)
);
CREATE INDEX idx_price_symbol ON price_data (symbol, timeframe, timestamp DESC);
CREATE INDEX idx_price_timestamp ON price_data (timestamp DESC);
"""
BARE = f"INSERT INTO price_data ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
TARGETS = {
    "enqueue_rows_per_second": ">= 600000",
    "drain_share_of_bare": ">= 0.60",
    "drain_rows_per_second": "> 200000 (own table)",
    "interleaved_share_of_in_order": ">= 0.5",
    "duplicates_rows_per_second": ">= 100000",
    "peak_memory_ratio": "<= 1.2",
    "billed_rows_per_candle": "1 (own table)",
}


def market(count: int) -> list[Candle]:
    """`count` hours of 20 symbols, one series after the other, each a random walk."""
    chance = random.Random(1)
    candles = []
    for series in range(SERIES):
        price = 100.0 * (series + 1)
        for hour in range(count // SERIES):
            last = round(price * (1 + chance.uniform(-0.01, 0.01)), 2)
            high, low = round(max(price, last) * 1.002, 2), round(min(price, last) * 0.998, 2)
            volume = round(chance.uniform(1, 1000), 5)
            candles.append(
                Candle(
                    f"C{series:02d}-USDC",
                    1_400_000_400 + hour * 3600,
                    "1h",
                    price,
                    high,
                    low,
                    last,
                    volume,
                    round(volume * last, 3),
                    "binance",
                )
            )
            price = last
    return candles


def interleaved(candles: list[Candle]) -> list[Candle]:
    """The same, arriving as from 20 fetches at once: newest pages first, messages of all series in turn by chance."""
    length = len(candles) // SERIES
    waiting = []
    for series in range(SERIES):
        own = candles[series * length : (series + 1) * length]
        pages = [own[max(0, end - 2000) : end] for end in range(length, 0, -2000)]
        waiting.append([page[start : start + 10] for page in pages for start in range(0, len(page), 10)][::-1])
    turns = [series for series, messages in enumerate(waiting) for _ in messages]
    random.Random(2).shuffle(turns)
    return [candle for series in turns for candle in waiting[series].pop()]


def shuffled(candles: list[Candle]) -> list[Candle]:
    """The same in the worst order there can be: messages of ten at random, over all series and all times."""
    messages = [candles[start : start + 10] for start in range(0, len(candles), 10)]
    random.Random(2).shuffle(messages)
    return [candle for message in messages for candle in message]


class Files:
    """A queue and a database in a folder of their own."""

    def __init__(self, folder: Path, schema: str) -> None:
        self.store = SqliteQueueStore(folder / "queue.sqlite")
        self.store.create("candles")
        self.queue = self.store.open("candles")
        self.database = LocalDatabase(folder / "d1.sqlite", name="prices", id="0a1b")
        self.database.execute(schema)

    def enqueue(self, candles: Iterable[Candle]) -> float:
        """Seconds to pack and send."""
        started = time.perf_counter()
        assert sum(sent.candles for sent in enqueue(self.queue, candles)) > 0
        return time.perf_counter() - started

    def drain(self) -> ConsumeReport:
        return Worker(self.queue, self.database, SystemClock()).drain()

    def close(self) -> None:
        self.store.close()
        self.database.close()


def bare(folder: Path, schema: str, tuples: list[tuple[object, ...]]) -> float:
    """Seconds for the same rows by nothing but SQLite."""
    connection: sqlite3.Connection = connect(folder / "bare.sqlite")
    connection.executescript(schema)
    started = time.perf_counter()
    remaining = iter(tuples)
    while chunk := list(islice(remaining, 1000)):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(BARE, chunk)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def one_run(schema: str, candles: list[Candle], tuples: list[tuple[object, ...]]) -> dict[str, float]:
    with folder() as place:
        files = Files(place, schema)
        enqueued = files.enqueue(candles)
        report = files.drain()
        assert report.rows.inserted == len(candles), report
        limit = bare(place, schema, tuples)
        files.close()
    return {
        "enqueue_rows_per_second": len(candles) / enqueued,
        "drain_rows_per_second": report.rows_per_second,
        "bare_rows_per_second": len(candles) / limit,
        "drain_share_of_bare": report.rows_per_second / (len(candles) / limit),
        "billed_rows_per_candle": report.rows_written / len(candles),
    }


def out_of_order(schema: str, candles: list[Candle]) -> dict[str, float]:
    rates = {}
    for name, arrival in (
        ("in_order", candles),
        ("interleaved", interleaved(candles)),
        ("shuffled", shuffled(candles)),
    ):
        with folder() as place:
            files = Files(place, schema)
            files.enqueue(arrival)
            rates[name] = files.drain().rows_per_second
            files.close()
    return {
        "interleaved_share_of_in_order": rates["interleaved"] / rates["in_order"],
        "shuffled_share_of_in_order": rates["shuffled"] / rates["in_order"],
    }


def duplicates(schema: str, candles: list[Candle]) -> dict[str, float]:
    with folder() as place:
        files = Files(place, schema)
        files.enqueue(candles)
        files.drain()
        files.enqueue(candles)
        report = files.drain()
        assert report.rows.duplicate == len(candles)
        assert report.conflicts == 0
        files.close()
    return {"duplicates_rows_per_second": report.rows_per_second}


def peak_memory(count: int) -> int:
    """Kilobytes that a process needs at most to drain `count` candles."""
    with folder() as place:
        files = Files(place, OWN)
        files.enqueue(market(count))
        files.close()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.pipeline", "--drain", str(place)],
            capture_output=True,
            text=True,
            check=True,
        )
    return int(done.stdout)


def drain_and_tell_memory(place: Path) -> None:
    store = SqliteQueueStore(place / "queue.sqlite")
    database = LocalDatabase(place / "d1.sqlite", name="prices", id="0a1b")
    Worker(store.open("candles"), database, SystemClock()).drain()
    # Not ru_maxrss: that of the process which forked counts into it.
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="coinswarm-") as name:
        yield Path(name)


def hold_still() -> None:
    """Keep what is in memory for the measurement alone out of the garbage collector's rounds: a process has a page."""
    gc.collect()
    gc.freeze()


def medians(measure: Callable[[], dict[str, float]], runs: int) -> dict[str, float]:
    found = [measure() for _ in range(runs)]
    return {key: statistics.median(run[key] for run in found) for key in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--drain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain:
        drain_and_tell_memory(options.drain)
        return
    candles = market(options.candles)
    tuples = list(rows(as_values(candles)))
    hold_still()
    figures: dict[str, object] = {"candles": len(candles), "runs": options.runs, "targets": TARGETS}
    for name, schema in (("own_table", OWN), ("original_table", ORIGINAL)):
        part = medians(lambda schema=schema: one_run(schema, candles, tuples), options.runs)  # type: ignore[misc]
        part |= medians(lambda schema=schema: out_of_order(schema, candles), options.runs)  # type: ignore[misc]
        part |= duplicates(schema, candles)
        figures[name] = part
        print(name)
        for key, value in part.items():
            print(f"  {key:<34} {value:>12,.2f}")
    small, large = peak_memory(50_000), peak_memory(1_000_000)
    figures["peak_memory"] = {
        "kb_50000_candles": small,
        "kb_1000000_candles": large,
        "peak_memory_ratio": large / small,
    }
    print(f"peak memory {small / 1000:.1f} MB (50,000 candles), {large / 1000:.1f} MB (1,000,000): {large / small:.2f}")
    print(f"written to {save('pipeline', figures)}")


if __name__ == "__main__":
    main()
