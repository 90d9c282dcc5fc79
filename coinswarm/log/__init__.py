"""What happened, one event after the other: the protocol that whoever does something tells it through.

Nobody has to listen: `NO_LOG` is the default everywhere. Who writes is `log.file`, who reads `log.read`. An event is a
name and fields; times are added by the log. Names are `noun.verb`:

    run.started run.finished        one fetch, consume or cron run; `outcome` is done, failed or interrupted
    page.fetched messages.queued    the producer: candles that a source sent, candles that are durable in the queue
    source.failed                   what ended the pages of a source
    batch.written batch.failed      the consumer: rows of a batch inserted, already there and rejected; or why not
    messages.retried messages.dead_lettered messages.dropped messages.expired    how many, and the reason
    messages.timed_out              how many were taken over from a consumer that died or hangs
    http.request http.retry         one attempt with its status, and the wait before the next one
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from coinswarm.clock import Clock
from coinswarm.errors import CoinswarmError


class Log(Protocol):
    """Takes events. Never raises and never waits: what is logged must not disturb what is done."""

    def event(self, name: str, /, **fields: Any) -> None:
        """Note that `name` happened. Fields are JSON values; what is None is left out."""
        ...

    def for_run(self) -> Log:
        """The same log for another run: its events carry a run id of their own."""
        ...


class _NoLog:
    def event(self, name: str, /, **fields: Any) -> None:
        pass

    def for_run(self) -> Log:
        return self


NO_LOG: Final[Log] = _NoLog()
"""Nobody listens."""


@contextmanager
def logged_run(log: Log, kind: str, clock: Clock, **about: Any) -> Iterator[dict[str, Any]]:
    """Note the beginning and the end of a run around the block. What the block puts into the dictionary is told at its
    end; `interrupted` or an error as `failure` there makes the outcome so. What it raises is told, too, and goes on."""
    log.event("run.started", kind=kind, pid=os.getpid(), **about)
    begun = clock.monotonic()
    figures: dict[str, Any] = {}
    try:
        yield figures
    except BaseException as error:
        outcome = "failed" if isinstance(error, Exception) else "interrupted"
        _finished(log, kind, clock.monotonic() - begun, about | figures, outcome=outcome, **described(error))
        raise
    failure: BaseException | None = figures.get("failure")
    outcome = "interrupted" if figures.get("interrupted") else "done" if failure is None else "failed"
    told = {} if failure is None else described(failure)
    _finished(log, kind, clock.monotonic() - begun, about | figures, outcome=outcome, **told)


def _finished(log: Log, kind: str, seconds: float, figures: dict[str, Any], **end: Any) -> None:
    figures = {name: value for name, value in figures.items() if name not in ("interrupted", "failure")}
    log.event("run.finished", kind=kind, pid=os.getpid(), **end, seconds=round(seconds, 3), **figures)


def described(error: BaseException) -> dict[str, str]:
    """The fields that tell of an error: its class and its message."""
    return {
        "error": type(error).__name__,
        "message": error.message if isinstance(error, CoinswarmError) else str(error),
    }
