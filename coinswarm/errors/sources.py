"""What exchanges refuse, and a fetch that failed."""

from __future__ import annotations

from coinswarm.errors.base import CoinswarmError


class SourceError(CoinswarmError):
    """An exchange API refused the request."""

    def __init__(self, source: str, message: str, *, hint: str | None = None) -> None:
        self.source = source
        super().__init__(f"{source}: {message}", hint=hint)


class UnknownPair(SourceError):
    """The source does not list this pair."""


class UnsupportedTimeframe(SourceError):
    """The source does not offer this timeframe."""


class SourceRefused(SourceError):
    """The source refuses this client: key, plan or country."""


class QuotaExhausted(SourceError):
    """The source's allowance for the day or month is used up."""


class RateLimited(SourceError):
    """The source asks to wait."""

    retryable = True

    def __init__(self, source: str, message: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(source, message, hint=hint)


class SourceUnavailable(SourceError):
    """The source did not answer, or answered something else than was asked for."""

    retryable = True


class FetchFailed(CoinswarmError):
    """A page could not be fetched; what was fetched before it is queued."""

    resume_to_ts: int | None = None
    """Unix seconds: a run with this as its newest open continues where this one failed."""
