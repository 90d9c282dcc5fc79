"""The exchanges by name. Importing this package loads no exchange and no HTTP client; `build` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from coinswarm.errors import UsageError
from coinswarm.log import NO_LOG, Log

if TYPE_CHECKING:
    import httpx

    from coinswarm.clock import Clock
    from coinswarm.fetchers.base import Fetcher
    from coinswarm.fetchers.wire import Site
    from coinswarm.transport import RetryPolicy, Transport

SOURCES: Final = ("cryptocompare", "binance", "binanceus", "coingecko", "kraken", "coinbase")
"""The stored names of all sources."""
KEYED: Final = ("cryptocompare", "coingecko")
"""Those that take an API key."""


def build(
    source: str,
    *,
    client: httpx.Client,
    clock: Clock,
    base_url: str | None = None,
    api_key: str | None = None,
    policy: RetryPolicy | None = None,
    log: Log = NO_LOG,
) -> Fetcher:
    """A fetcher for `source`, at its documented address or at `base_url`, with its own rate limiter.

    `client` is the caller's to close and may serve several sources and threads (`transport.http_client()`).
    Raises `UsageError` for an unknown source, a base URL that is not plain http(s), or a key that cannot be one.
    """
    from coinswarm.transport import RateLimiter, Transport

    site, fetcher = _site(source)
    url = base_url or site.url
    key = _checked_key(source, api_key)
    limit = (site.keyed_limit if key else None) or site.limit
    return fetcher(
        Transport(
            source,
            url,
            client=client,
            limiter=RateLimiter(limit.per_second, limit.burst, clock),
            clock=clock,
            cost=limit.cost,
            headers=site.key_headers(key, url) if key and site.key_headers else None,
            policy=policy,
            log=log,
        )
    )


def default_url(source: str) -> str:
    """Scheme, host and prefix of the source's own API. Raises `UsageError` for an unknown source."""
    return _site(source)[0].url


def _site(source: str) -> tuple[Site, Callable[[Transport], Fetcher]]:
    match source:
        case "cryptocompare":
            from coinswarm.fetchers.cryptocompare import CRYPTOCOMPARE, CryptoCompare

            return CRYPTOCOMPARE, CryptoCompare
        case "binance":
            from coinswarm.fetchers.binance import BINANCE, Binance

            return BINANCE, Binance
        case "binanceus":
            from coinswarm.fetchers.binance import BINANCE_US, Binance

            return BINANCE_US, lambda transport: Binance(transport, BINANCE_US)
        case "coingecko":
            from coinswarm.fetchers.coingecko import COINGECKO, CoinGecko

            return COINGECKO, CoinGecko
        case "kraken":
            from coinswarm.fetchers.kraken import KRAKEN, Kraken

            return KRAKEN, Kraken
        case "coinbase":
            from coinswarm.fetchers.coinbase import COINBASE, Coinbase

            return COINBASE, Coinbase
    raise UsageError(f"unknown source {source!r}", hint="Choose one of: " + " ".join(SOURCES))


def _checked_key(source: str, key: str | None) -> str | None:
    """The key, or None for none. Raises `UsageError`, without showing it, for what no header can carry."""
    key = (key or "").strip()
    if key and source not in KEYED:
        raise UsageError(f"{source} takes no API key")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"the API key for {source} holds spaces or characters no key has",
            hint="Copy it anew, without quotation marks around it.",
        )
    return key or None
