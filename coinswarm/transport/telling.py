"""What the log hears of one HTTP request: each attempt, and each wait before the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from coinswarm.clock import Clock
from coinswarm.errors import CoinswarmError
from coinswarm.log import Log, described


class RequestLog:
    """One request, however often it is tried. Host and path are told, query and headers not: they may hold keys."""

    def __init__(self, log: Log, clock: Clock, method: str, url: str, *, source: str) -> None:
        parts = urlsplit(url)
        self._log, self._clock = log, clock
        self._about = {"source": source, "method": method, "host": parts.netloc.rpartition("@")[2], "path": parts.path}
        self._attempt = 0
        self._begun = self._sent = 0.0
        self._status: int | None = None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around one attempt, from before it waits for its turn until its reply is read or has failed."""
        self._attempt += 1
        self._begun = self._sent = self._clock.monotonic()
        self._status = None
        try:
            yield
        except BaseException as error:
            self._tell(described(error))
            raise
        self._tell({})

    def sent(self) -> None:
        """The wait for the rate limit is over."""
        self._sent = self._clock.monotonic()

    def answered(self, status: int) -> None:
        self._status = status

    def retry(self, error: CoinswarmError, wait_seconds: float, attempts: int) -> None:
        """It will be tried again after so long, `attempts` times at most."""
        source, wait = self._about["source"], round(wait_seconds, 1)
        self._log.event(
            "http.retry", source=source, **described(error), wait_seconds=wait, attempt=self._attempt, attempts=attempts
        )

    def _tell(self, failure: dict[str, str]) -> None:
        waited = round((self._sent - self._begun) * 1000)
        self._log.event(
            "http.request",
            **self._about,
            status=self._status,
            ms=round((self._clock.monotonic() - self._sent) * 1000),
            attempt=self._attempt,
            limit_wait_ms=waited or None,
            **failure,
        )
