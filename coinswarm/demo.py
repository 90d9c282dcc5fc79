"""The whole pipeline against the exchange simulator: fetch over HTTP, queue, drain, and compare.

Everything is the real thing but the exchanges: HTTP over loopback, the durable queue, the local D1 with its migrations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coinswarm import wiring
from coinswarm.candles import COLUMNS, Candle, Pair, Timeframe
from coinswarm.clock import Clock
from coinswarm.config import Stack, load
from coinswarm.consumer.report import ConsumeReport
from coinswarm.consumer.worker import Worker
from coinswarm.d1.migrate import apply
from coinswarm.d1.types import Database
from coinswarm.fetchers.producer import collect
from coinswarm.fetchers.report import FetchReport, FetchRequest
from coinswarm.render import count
from coinswarm.simulator import Faults, Simulator, SyntheticMarket, expected

SERIES: Final = (
    ("binance", "BTC-USDC", "1h"),
    ("binanceus", "BTC-USD", "1h"),
    ("cryptocompare", "BTC-USDC", "1h"),
    ("coinbase", "BTC-USD", "1h"),
    ("kraken", "BTC-USD", "1h"),
    ("coingecko", "BTC-USD", "4h"),
)
"""Source, pair and timeframe: one of each exchange."""
FAULT_RATE: Final = 0.1
"""Share of replies that go wrong, so that retries are seen at work."""
_SELECT: Final = (
    f"SELECT {', '.join(COLUMNS)} FROM price_data WHERE symbol = ? AND timeframe = ? AND source = ? ORDER BY timestamp"
)


@dataclass(slots=True)
class Comparison:
    """One series: what the market holds against what is stored, row by row."""

    source: str
    symbol: str
    timeframe: str
    stored: int
    equal: bool


@dataclass(slots=True)
class DemoReport:
    directory: Path
    requests: int = 0
    """HTTP requests the simulator answered, those that went wrong included."""
    faults: int = 0
    fetched: list[FetchReport] = field(default_factory=list)
    consumed: ConsumeReport = field(default_factory=ConsumeReport)
    replayed: ConsumeReport = field(default_factory=ConsumeReport)
    """The same candles once more: nothing may change."""
    series: list[Comparison] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return bool(self.series) and all(row.equal for row in self.series) and self.replayed.rows.inserted == 0

    def as_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "directory": str(self.directory),
            "requests": self.requests,
            "faults": self.faults,
            "fetched": [report.as_json() for report in self.fetched],
            "consumed": self.consumed.as_json(),
            "replayed": self.replayed.as_json(),
            "series": [{name: getattr(row, name) for name in row.__slots__} for row in self.series],
        }


def demo(
    directory: Path, clock: Clock, *, seed: int = 1, on_step: Callable[[str], None] = lambda _text: None
) -> DemoReport:
    """Run it with its state in `directory`; `on_step` hears what happens."""
    report = DemoReport(directory)
    market = SyntheticMarket(seed=seed)
    truths: list[list[Candle]] = []
    faults = Faults.mild(FAULT_RATE, seed=seed, retry_after=1)
    with Simulator(market, faults=faults) as simulator:
        on_step(f"six exchanges answer on 127.0.0.1:{simulator.port}, about every tenth reply goes wrong")
        stack = load(cwd=directory, environ=simulator.environment, persist_to=directory / "state")
        with wiring.ingest_queue(stack, clock) as queue, wiring.ingest_database(stack, clock) as database:
            apply(database, wiring.migrations_of(stack.database()))
            on_step(f"{database.name} is migrated: wrangler opens the same file")
            for request, source in _requests(clock):
                asked_at = clock.now_ms() / 1000
                fetched = _fetch(stack, source, request, clock)
                truths.append(_truth(market, fetched, asked_at))
                report.fetched.append(fetched)
                on_step(f"{source:<13} {fetched.message}, {count(fetched.requests, 'request')}")
            report.consumed = Worker(queue, database, clock).drain()
            batches = count(report.consumed.batches, "batch", plural="batches")
            on_step(f"consumed      {report.consumed.rows.inserted:,} rows stored in {batches}")
            for fetched in report.fetched:
                _fetch(stack, fetched.source, _again(fetched), clock)
            report.replayed = Worker(queue, database, clock).drain()
            again = report.replayed.rows.duplicate
            on_step(f"once more     {again:,} of them fetched again: all there already, none changed")
            report.series = [_compare(database, *pair) for pair in zip(report.fetched, truths, strict=True)]
        report.requests = len(simulator.requests)
        report.faults = sum(seen.fault != "ok" for seen in simulator.requests)
    return report


def _requests(clock: Clock) -> Iterator[tuple[FetchRequest, str]]:
    now = clock.now_ms() // 1000
    for source, symbol, timeframe in SERIES:
        yield FetchRequest(Pair.parse(symbol), Timeframe.parse(timeframe), to_ts=now - 60), source


def _again(fetched: FetchReport) -> FetchRequest:
    return FetchRequest(fetched.request.pair, fetched.request.timeframe, limit=500, to_ts=fetched.newest)


def _fetch(stack: Stack, source: str, request: FetchRequest, clock: Clock) -> FetchReport:
    with wiring.fetcher(stack, source, clock) as fetcher, wiring.ingest_queue(stack, clock) as queue:
        return collect(fetcher, queue, request, clock=clock)


def _truth(market: SyntheticMarket, fetched: FetchReport, now: float) -> list[Candle]:
    request = fetched.request
    first, last = fetched.oldest or 0, fetched.newest or 0
    return expected(market, fetched.source, request.pair, request.timeframe, first, last, now)


def _compare(database: Database, fetched: FetchReport, truth: list[Candle]) -> Comparison:
    request = fetched.request
    key = (request.pair.symbol, request.timeframe.value, fetched.source)
    stored = [Candle(*row) for row in database.execute(_SELECT, key)[0].rows]  # type: ignore[arg-type]
    return Comparison(fetched.source, *key[:2], stored=len(stored), equal=stored == truth and len(stored) > 0)
