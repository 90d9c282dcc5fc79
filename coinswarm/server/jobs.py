"""Exports and imports in the background, asked for by polling as in Cloudflare's protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from coinswarm.clock import Clock
from coinswarm.errors import CoinswarmError, InvalidRequest
from coinswarm.server.rendering import without_path

HOLD_SECONDS: Final = 1.0
"""A reply waits this long for the job: clients ask again without a pause."""
_KEPT_SECONDS: Final = 3600.0


@dataclass(slots=True)
class Job:
    """One export or import. Another thread works; who waits sees `status` change under `done`."""

    kind: Literal["export", "import"]
    bookmark: str
    """Names the job while it is polled, and from its beginning on the state that the job found."""
    database_id: str
    started_at: float
    status: Literal["active", "complete", "error"] = "active"
    messages: list[str] = field(default_factory=list)
    error: str = ""
    result: dict[str, Any] | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def as_json(self) -> dict[str, Any]:
        """The polling object. SDKs read `error`, wrangler `errors`; both get both."""
        document: dict[str, Any] = {
            "success": True,
            "type": self.kind,
            "at_bookmark": self.bookmark,
            "status": self.status,
            "messages": list(self.messages),
        }
        if self.status == "error":
            document |= {"error": self.error, "errors": [self.error]}
        if self.status == "complete":
            document["result"] = self.result
        return document


Work = Callable[[Job], dict[str, Any]]


class Jobs:
    """Jobs of this process: running ones, and finished ones for an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._threads: list[threading.Thread] = []
        self.stopping = threading.Event()
        """Set when the server stops; long work looks at it."""

    def start(self, kind: Literal["export", "import"], database_id: str, bookmark: str, work: Work) -> Job:
        """Begin `work` in a thread of its own. Raises `InvalidRequest` while the database has such a job."""
        now = self._clock.monotonic()
        with self._lock:
            self._jobs = {
                b: j for b, j in self._jobs.items() if not j.done.is_set() or now - j.started_at < _KEPT_SECONDS
            }
            if kind == "import" and any(
                j.kind == kind and j.database_id == database_id and not j.done.is_set() for j in self._jobs.values()
            ):
                raise InvalidRequest("Currently processing a long-running import.")
            job = self._jobs[bookmark] = Job(kind, bookmark, database_id, now)
            thread = threading.Thread(target=self._run, args=(job, work), name=f"d1-{kind}", daemon=True)
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()
        return job

    def _run(self, job: Job, work: Work) -> None:
        try:
            job.result = work(job)
            job.status = "complete"
        except CoinswarmError as error:
            job.error, job.status = without_path(error), "error"
        except BaseException:
            job.error, job.status = "An internal error occurred.", "error"
            raise
        finally:
            job.done.set()

    def find(self, kind: str, database_id: str, bookmark: object) -> Job | None:
        """The job of that bookmark."""
        with self._lock:
            job = self._jobs.get(bookmark) if isinstance(bookmark, str) else None
        return job if job is not None and (job.kind, job.database_id) == (kind, database_id) else None

    def close(self) -> None:
        """Ask what runs to stop, and wait until it has."""
        self.stopping.set()
        for thread in self._threads:
            thread.join()
