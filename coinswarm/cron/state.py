"""What is remembered of the cron: the last fire accounted for, by job, and the runs there were. Outlives the process.

It is also what keeps two runs apart: `alone` is held for the time of a run, by one thread of one process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from coinswarm import storage
from coinswarm.errors import CoinswarmError

RUNS_KEPT: Final = 10_000
"""Some seven months of half-hours."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS seen (job TEXT PRIMARY KEY, fire_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL, fire_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL,
    finished_ms INTEGER NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL, manual INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS runs_by_job ON runs (job, id);
"""


class CronBusy(CoinswarmError):
    """Another run is under way."""

    http_status: Final = 409
    default_hint = "Two runs never go at a time; try again when it is done."


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run there was. Times are milliseconds since the epoch."""

    job: str
    fire_ms: int
    """The moment of the schedule that it was made for."""
    started_ms: int
    finished_ms: int
    outcome: str
    """`done`, `failed` or `interrupted`."""
    message: str
    manual: bool
    """Asked for by a person or over HTTP, not by the schedule."""

    @property
    def worker(self) -> str:
        return self.job.partition(" ")[0]

    def as_json(self) -> dict[str, Any]:
        return {
            "fire": self.fire_ms // 1000,
            "started": self.started_ms // 1000,
            "seconds": (self.finished_ms - self.started_ms) / 1000,
            "outcome": self.outcome,
            "message": self.message,
            "manual": self.manual,
        }


class CronState:
    """The file `cron.sqlite` in the state folder. A context manager; not to be shared between threads."""

    def __init__(self, path: Path) -> None:
        """Raises the `StorageError` that fits."""
        self._path = path
        self._db = storage.connect(path)
        with storage.translated(path):
            self._db.executescript(_SCHEMA)

    def seen(self, job: str) -> int | None:
        """The last fire of `job` that ran or was passed over on purpose; None for a job never seen."""
        with storage.translated(self._path):
            row = self._db.execute("SELECT fire_ms FROM seen WHERE job = ?", (job,)).fetchone()
        return None if row is None else int(row[0])

    def see(self, job: str, fire_ms: int) -> None:
        """Account for all fires of `job` up to `fire_ms`; never goes back."""
        with storage.translated(self._path):
            self._see(job, fire_ms)

    def begin(self, job: str, now_ms: int, *, ahead_ms: int = 0) -> None:
        """Account for `job` from `now_ms` on, unless a fire up to `ahead_ms` later was noted: somebody was quicker."""
        with storage.translated(self._path):
            self._db.execute(
                "INSERT INTO seen VALUES (?1, ?2) ON CONFLICT (job) DO UPDATE SET fire_ms = ?2 WHERE fire_ms > ?2 + ?3",
                (job, now_ms, ahead_ms),
            )

    def record(self, run: PastRun) -> None:
        """Remember a run; with it, unless a person asked for it, its fire is accounted for."""
        values = (run.job, run.fire_ms, run.started_ms, run.finished_ms, run.outcome, run.message, int(run.manual))
        with storage.translated(self._path), storage.transaction(self._db):
            added = self._db.execute(
                "INSERT INTO runs (job, fire_ms, started_ms, finished_ms, outcome, message, manual)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            self._db.execute("DELETE FROM runs WHERE id <= ?", ((added or 0) - RUNS_KEPT,))
            if not run.manual:
                self._see(run.job, run.fire_ms)

    def last(self, job: str) -> PastRun | None:
        """The newest run of `job`, if there was one."""
        with storage.translated(self._path):
            row = self._db.execute(
                "SELECT job, fire_ms, started_ms, finished_ms, outcome, message, manual FROM runs"
                " WHERE job = ? ORDER BY id DESC LIMIT 1",
                (job,),
            ).fetchone()
        if row is None:
            return None
        job, fire_ms, started_ms, finished_ms, outcome, message, manual = row
        return PastRun(job, fire_ms, started_ms, finished_ms, outcome, message, bool(manual))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the right to run. Ends with the process, whatever ends it. Raises `CronBusy` when somebody has it."""
        path = self._path.with_suffix(".lock")
        with storage.translated(path):
            held = path.open("a+b", buffering=0)
            path.chmod(0o600)
        with held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.seek(0)
                who = held.read(20).decode().strip() or "unknown"
                raise CronBusy(f"a run is under way already, in process {who}") from None
            with storage.translated(path):
                held.truncate(0)
                held.write(b"%d" % os.getpid())
            yield

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _see(self, job: str, fire_ms: int) -> None:
        self._db.execute(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET fire_ms = max(fire_ms, excluded.fire_ms)",
            (job, fire_ms),
        )
