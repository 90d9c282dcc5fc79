"""Small episodes of chaos, made by hand: one thing goes wrong, and everything has to be there afterwards."""

from __future__ import annotations

from pathlib import Path

from coinswarm.chaos.episode import Episode
from coinswarm.chaos.plan import BEGINNING, FINAL_SECONDS, EpisodePlan, FetchSpan, Step
from coinswarm.chaos.report import EpisodeReport

CANDLES = 600
SPANS = (
    FetchSpan("binance", "BTC-USDC", "1m", BEGINNING, BEGINNING + 399 * 60),
    FetchSpan("coinbase", "BTC-USD", "1m", BEGINNING, BEGINNING + 199 * 60),
)
MAKE = (Step("migrate"), Step("import"))
FETCH = (Step("fetch", span=0), Step("poison"), Step("fetch", span=1))
END = (
    Step("consume", jump=FINAL_SECONDS, last=True),
    Step("redrive", last=True),
    Step("consume", last=True),
)


def episode(directory: Path, *steps: Step, mode: str = "local", seed_table: bool = False) -> Episode:
    """600 candles, four messages of poison, 120 rows that were there before."""
    return Episode(EpisodePlan(0, "by hand", mode, seed_table, SPANS, steps), directory / "episode")


def run(directory: Path, *steps: Step, mode: str = "local", seed_table: bool = False) -> EpisodeReport:
    return episode(directory, *steps, mode=mode, seed_table=seed_table).run()
