"""What all processes of an episode share: its folder, its clock, its market and where its servers listen."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from coinswarm import wiring
from coinswarm.candles import COLUMNS, Pair, Row, Timeframe
from coinswarm.chaos.clock import SharedClock
from coinswarm.chaos.faulty import FaultyTransport
from coinswarm.chaos.plan import EpisodePlan, FetchSpan
from coinswarm.cloudflare import CloudflareApi
from coinswarm.config import Stack, load
from coinswarm.config.masking import Secret
from coinswarm.d1.dump import literal
from coinswarm.d1.local import LocalDatabase
from coinswarm.d1.migrate import bundled_migrations
from coinswarm.d1.path import database_path
from coinswarm.queue.sqlite import SqliteQueueStore
from coinswarm.queue.types import ConsumerSettings
from coinswarm.simulator import SyntheticMarket, expected

BUSY_SECONDS: Final = 0.1
"""How long a locked file is waited for: five seconds as usual would only make the run longer."""
TOKEN: Final = "chaos-" + "0" * 32
LEGACY: Final = "legacy"
"""Source of the rows that were there before; some of them lie in places that the market fills otherwise."""
LEGACY_ROWS: Final = 120
NOTES: Final = 40

_MIGRATION: Final = f"""CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {NOTES})
INSERT INTO notes SELECT i, 'note ' || i FROM n;
CREATE INDEX notes_text ON notes (text);
CREATE TRIGGER notes_stay BEFORE DELETE ON notes BEGIN SELECT RAISE(ABORT, 'notes; stay'); END;
"""
_SEED_TABLE: Final = """CREATE TABLE price_data (
    id INTEGER PRIMARY KEY AUTOINCREMENT, symbol TEXT NOT NULL, timestamp INTEGER NOT NULL, timeframe TEXT NOT NULL,
    open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume_from REAL, volume_to REAL,
    source TEXT DEFAULT 'cryptocompare', created_at INTEGER DEFAULT (unixepoch()),
    UNIQUE(symbol, timestamp, timeframe, source)
);
CREATE INDEX idx_price_data_timestamp ON price_data(timestamp);
"""


@dataclass
class World:
    plan: EpisodePlan
    directory: Path
    clock: SharedClock = field(default_factory=SharedClock)
    environment: dict[str, str] = field(default_factory=dict)
    """Where the exchanges answer."""
    api_url: str = ""
    account: str = ""
    """Of `serve`, when it runs."""

    def __post_init__(self) -> None:
        self.market = SyntheticMarket(seed=zlib.crc32(self.plan.seed.encode()))
        self.stack: Stack = load(cwd=self.directory, environ={}, persist_to=self.directory / "state")
        self.existing = _legacy(self)
        folder = self.directory / "migrations"
        folder.mkdir(parents=True)
        bundled = bundled_migrations() / "0001_price_data.sql"
        first = _SEED_TABLE if self.plan.seed_table else bundled.read_text()
        (folder / "0001_price_data.sql").write_text(first)
        (folder / "0002_notes.sql").write_text(_MIGRATION)
        self.import_file.write_text("".join(map(_insert, self.existing)))

    @property
    def migrations(self) -> Path:
        return self.directory / "migrations"

    @property
    def import_file(self) -> Path:
        return self.directory / "existing.sql"

    @property
    def queue_file(self) -> Path:
        return wiring.queue_file(self.stack)

    @property
    def database_file(self) -> Path:
        return database_path(self.stack.database(None).local_id, self.stack.state_dir)

    @property
    def letters(self) -> str:
        return wiring.dead_letter_place(self.stack)

    def truth(self, span: FetchSpan) -> list[Row]:
        """What the market holds of a span, as its source tells it."""
        pair, timeframe = Pair.parse(span.symbol), Timeframe.parse(span.timeframe)
        now = self.clock.now_ms() / 1000
        candles = expected(self.market, span.source, pair, timeframe, span.first, span.last, now)
        return [tuple(getattr(candle, name) for name in COLUMNS) for candle in candles]

    @contextmanager
    def queues(self) -> Iterator[SqliteQueueStore]:
        with closing(SqliteQueueStore(self.queue_file, self.clock, busy_timeout=BUSY_SECONDS)) as store:
            retries = self.plan.max_retries
            settings = ConsumerSettings(type="http_pull", dead_letter_queue=self.letters, max_retries=retries)
            store.ensure(self.letters)
            store.ensure(self.stack.queue(), consumer=settings)
            yield store

    def local_database(self) -> LocalDatabase:
        declared = self.stack.database(None)
        return LocalDatabase(
            self.database_file,
            name=declared.name,
            id=declared.id or declared.local_id,
            clock=self.clock,
            busy_timeout=BUSY_SECONDS,
        )

    @contextmanager
    def http(
        self, answers: dict[int, str], met: Callable[[str], None], here: Callable[[str], None]
    ) -> Iterator[httpx.Client]:
        with httpx.Client(transport=FaultyTransport(answers, met, here), timeout=20.0, trust_env=False) as client:
            yield client

    def api(self, client: httpx.Client) -> CloudflareApi:
        return CloudflareApi(self.account, Secret(TOKEN), client=client, clock=self.clock, base_url=self.api_url)

    def poison(self, first: int, count: int) -> list[bytes]:
        """Messages that cannot be stored as they are, each its own. Every fourth holds a sound row besides."""
        return [_poison(number) for number in range(first, first + count)]


def mixed_row(number: int) -> Row:
    """The sound row in a poison message."""
    return ("BTC-USD", 1_600_000_000 - 1_600_000_000 % 60 + number * 60, "1m", 2.0, 3.0, 1.0, 2.5, 1.0, None, "mixed")


def _poison(number: int) -> bytes:
    sound = dict(zip(WIRE, mixed_row(number), strict=True))
    documents: tuple[Any, ...] = (
        [{"symbol": "BTC-USDC", "number": number}],
        [sound | {"timestamp": 1_700_000_000_000 + number * 60_000}],
        [sound, sound | {"open": 99.0, "number": number}],
        {"poison": number},
    )
    # Compact, as the API writes JSON again: a body shall be known by its bytes.
    return json.dumps(documents[number % len(documents)], separators=(",", ":")).encode()


WIRE: Final = tuple({"volume_from": "volumeFrom", "volume_to": "volumeTo"}.get(name, name) for name in COLUMNS)


def _legacy(world: World) -> list[Row]:
    """Rows that are there before the first candle is: a third of them where the market has others."""
    rows: list[Row] = []
    for number in range(LEGACY_ROWS):
        values = (1.0 + number, 3.5 + number, 0.5, 2.25, 0.1 * number, None)
        if number % 3:
            rows.append(("OLD-USD", 1_500_000_000 - 1_500_000_000 % 3600 + number * 3600, "1h", *values, LEGACY))
            continue
        span = world.plan.spans[number % len(world.plan.spans)]
        step = Timeframe.parse(span.timeframe).seconds
        stamp = min(span.last, span.first + number // len(world.plan.spans) * step)
        rows.append((span.symbol, stamp, span.timeframe, *values, span.source))
    return list({(row[0], row[1], row[2], row[9]): row for row in rows}.values())


def _insert(row: Row) -> str:
    return f"INSERT OR IGNORE INTO price_data ({', '.join(COLUMNS)}) VALUES ({', '.join(map(literal, row))});\n"
