"""A whole run: one episode after the other, each in a folder of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coinswarm.chaos.drawing import plan
from coinswarm.chaos.episode import run_episode
from coinswarm.chaos.plan import digest
from coinswarm.chaos.report import ChaosReport, EpisodeReport
from coinswarm.clock import Clock
from coinswarm.errors import UsageError
from coinswarm.storage import translated

SEED = 1
KILLS = 50
CANDLES = 50_000
PLAN = "plan.jsonl"


def run(
    directory: Path,
    clock: Clock,
    *,
    seed: int = SEED,
    kills: int = KILLS,
    candles: int = CANDLES,
    episode: int | None = None,
    keep: bool = False,
    on_episode: Callable[[EpisodeReport, int], None] = lambda _report, _count: None,
) -> ChaosReport:
    """Carry out the plan of `seed`, or one episode of it. Files of an episode in which all was well are removed.

    Call it from a process without threads: it forks. `on_episode` hears of each with the number of all.
    Raises `UsageError` for an episode that the plan does not have.
    """
    plans = plan(seed, kills, candles)
    if episode is not None and episode >= len(plans):
        raise UsageError(f"the plan has no episode {episode}", hint=f"Choose one from 0 to {len(plans) - 1}.")
    report = ChaosReport(seed, kills, candles, digest(plans))
    began = clock.monotonic()
    with (directory / PLAN).open("w", encoding="utf-8") as file:
        for each in plans:
            file.writelines(json.dumps(line, sort_keys=True) + "\n" for line in each.lines())
    for each in plans if episode is None else plans[episode : episode + 1]:
        folder = directory / f"episode-{each.number}"
        done = run_episode(each, folder)
        report.episodes.append(done)
        on_episode(done, len(plans))
        if not (keep or done.violations):
            shutil.rmtree(folder)
    report.seconds = clock.monotonic() - began
    return report


@contextmanager
def work_in(chosen: Path | None, beside: Path) -> Iterator[Path]:
    """`chosen`, which must be new or empty, or a folder below `beside` that goes again unless something was kept in it.

    Raises `UsageError` for a folder with something in it, `StorageError` for one that cannot be made.
    """
    if chosen is not None:
        with translated(chosen):
            chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
            if any(chosen.iterdir()):
                raise UsageError(f"{chosen} is not empty", hint="Name a new folder: --keep DIR.")
        yield chosen.absolute()
        return
    with translated(beside):
        folder = Path(tempfile.mkdtemp(prefix="coinswarm-chaos-", dir=beside))
    stopped = True
    try:
        yield folder
        stopped = False
    except Exception:
        stopped = False  # what an unforeseen end left is to be looked at; what the user broke off is not
        raise
    finally:
        if stopped or {path.name for path in folder.iterdir()} <= {PLAN}:
            shutil.rmtree(folder)
