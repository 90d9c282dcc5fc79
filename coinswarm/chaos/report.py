"""What a run did, and whether everything was there in the end."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from coinswarm import __version__
from coinswarm.chaos.account import Account
from coinswarm.chaos.plan import END, IDLE

SUMS = ("fetched", "stored", "queued", "dead_lettered", "purged", "expired", "lost", "doubled", "altered", "letters")


@dataclass(slots=True)
class EpisodeReport:
    number: int
    mode: str
    account: Account = field(default_factory=Account)
    kills: Counter[str] = field(default_factory=Counter)
    """By where the process stood."""
    faults: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """What jobs ended with under faults, by class."""
    jobs: int = 0
    requests: int = 0
    """That the exchanges saw."""
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        return self.account.violations


@dataclass(slots=True)
class ChaosReport:
    seed: int
    kills_wanted: int
    candles_wanted: int
    plan_sha256: str
    """The same for the same plan; what a kill by time meets is not in the plan."""
    episodes: list[EpisodeReport] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return bool(self.episodes) and not self.violations

    @property
    def violations(self) -> list[str]:
        return [f"episode {each.number}: {text}" for each in self.episodes for text in each.violations]

    def total(self, name: str) -> int:
        return sum(getattr(each.account, name) for each in self.episodes)

    def summed(self, name: str) -> Counter[str]:
        return sum((getattr(each, name) for each in self.episodes), Counter())

    @property
    def kills(self) -> int:
        return self.summed("kills").total()

    @property
    def kills_too_late(self) -> int:
        """Of those, how many found the job ended, or the server with nothing to do: nothing was interrupted."""
        kills = self.summed("kills")
        return kills[END] + kills[IDLE]

    def replay(self, episode: int | None = None) -> str:
        """The command that carries out the same plan; of one episode only, when that is named."""
        only = "" if episode is None else f" --episode {episode}"
        return f"coinswarm chaos --seed {self.seed} --kills {self.kills_wanted} --candles {self.candles_wanted}{only}"

    def as_json(self) -> dict[str, Any]:
        failed = [each for each in self.episodes if each.violations]
        return {
            "passed": self.passed,
            "seed": self.seed,
            "plan_sha256": self.plan_sha256,
            "replay": self.replay(failed[0].number if failed else None),
            "kills": self.kills,
            "kills_in_flight": self.kills - self.kills_too_late,
            "kills_too_late": self.kills_too_late,
            "kills_by_point": dict(self.summed("kills").most_common()),
            "faults": dict(self.summed("faults").most_common()),
            "errors_under_faults": dict(self.summed("errors").most_common()),
            "candles": {name: self.total(name) for name in SUMS[:-1]},
            "dead_letters": {"messages": self.total("letters"), "poison": self.total("poison")},
            "episodes": len(self.episodes),
            "modes": dict(Counter(each.mode for each in self.episodes)),
            "jobs": sum(each.jobs for each in self.episodes),
            "exchange_requests": sum(each.requests for each in self.episodes),
            "violations": self.violations,
            "seconds": round(self.seconds, 1),
            "machine": machine(),
        }


def machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "coinswarm": __version__,
    }
