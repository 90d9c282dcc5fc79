"""The HTTP client, and GET requests to one source: paced, retried, with every fault named."""

from __future__ import annotations

import random
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

import httpx

from coinswarm import __version__
from coinswarm.clock import Clock
from coinswarm.config.disguises import undisguised
from coinswarm.errors import QuotaExhausted, RateLimited, SourceError, SourceUnavailable, UsageError
from coinswarm.log import NO_LOG, Log
from coinswarm.transport.bodies import ACCEPTED, unpackable
from coinswarm.transport.pacing import RateLimiter, RetryPolicy
from coinswarm.transport.reply import Reply
from coinswarm.transport.retrying import patiently
from coinswarm.transport.telling import RequestLog

T = TypeVar("T")

BODY_BYTES: Final = 32_000_000
"""No page of candles comes near it; a body that grows beyond is not one."""
OFFLINE_HINT: Final = "Check the network connection and proxy settings. Without a network: coinswarm demo"


def http_client() -> httpx.Client:
    """A client for all sources and threads; the caller closes it.

    Proxies come from the environment as usual, but loopback (the simulator) is always reached directly. Redirects are
    not followed: a key would travel along.
    """
    return httpx.Client(
        timeout=httpx.Timeout(20.0, connect=10.0),
        limits=httpx.Limits(max_connections=16, keepalive_expiry=30.0),
        headers={"Accept-Encoding": ACCEPTED},
        mounts={"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None},
        follow_redirects=False,
    )


class Transport:
    """GET requests to one source under one base URL.

    `headers` may hold an API key: it goes out in the header alone, and its values are struck from every error.
    """

    def __init__(
        self,
        source: str,
        base_url: str,
        *,
        client: httpx.Client,
        limiter: RateLimiter,
        clock: Clock,
        cost: float = 1.0,
        headers: Mapping[str, str] | None = None,
        policy: RetryPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        log: Log = NO_LOG,
    ) -> None:
        self.source = source
        self.base_url = checked_url(source, base_url)
        self._client, self._limiter, self._clock, self._cost = client, limiter, clock, cost
        self._secrets = tuple(secret for value in (headers or {}).values() for secret in (value, value.split()[-1]))
        self._headers = {"User-Agent": f"coinswarm/{__version__}", "Accept": "application/json"} | dict(headers or {})
        self._policy = policy or RetryPolicy()
        self._jitter = jitter
        self._log = log

    def __repr__(self) -> str:
        return f"Transport({self.source!r}, {self.base_url!r})"

    def get(self, path: str, params: Mapping[str, str | int], read: Callable[[Reply], T]) -> T:
        """What `read` makes of the reply. It raises a `SourceError` for every reply it cannot use, whatever the status;
        those that are `retryable` are tried again, like network faults, until the policy's end.

        Raises `SourceError`; `QuotaExhausted` in place of a wait beyond the policy's patience.
        """
        request = RequestLog(self._log, self._clock, "GET", self.base_url + path, source=self.source)

        def attempt() -> T:
            with request.attempt():
                return self._attempt(request, path, params, read)

        return patiently(attempt, policy=self._policy, clock=self._clock, jitter=self._jitter, request=request)

    def _attempt(
        self, request: RequestLog, path: str, params: Mapping[str, str | int], read: Callable[[Reply], T]
    ) -> T:
        self._limiter.acquire(self._cost)
        request.sent()
        try:
            reply = self._send(path, params)
            request.answered(reply.status)
            try:
                return read(reply)
            except RateLimited as error:
                if error.retry_after is None:
                    error.retry_after = reply.retry_after
                raise
        except SourceError as error:
            _reword(error, _presentable(error.message, self._secrets))
            if isinstance(error, RateLimited) and error.retry_after is not None:
                if error.retry_after > self._policy.patience:
                    raise self._too_long(error, error.retry_after) from error
                self._limiter.hold(error.retry_after)
            raise

    def _send(self, path: str, params: Mapping[str, str | int]) -> Reply:
        cut_off = self._clock.monotonic() + self._policy.reply_seconds
        try:
            with self._client.stream("GET", self.base_url + path, params=params, headers=self._headers) as response:
                body = b"".join(self._chunks(response, cut_off))
        except httpx.RequestError as error:
            raise self._network_fault(error) from error
        now = self._clock.now_ms() / 1000
        return Reply.of(response.status_code, body, response.headers, now=now, strike=self._strike)

    def _strike(self, text: str) -> str:
        return _struck(text, self._secrets)

    def _chunks(self, response: httpx.Response, cut_off: float) -> Iterator[bytes]:
        if not unpackable(response.headers):
            raise SourceError(self.source, "packed its reply in a way that was not asked for, or twice")
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > BODY_BYTES:
                raise SourceError(self.source, f"sent more than {BODY_BYTES // 1_000_000} MB for one page")
            if self._clock.monotonic() > cut_off:
                seconds = self._policy.reply_seconds
                raise SourceUnavailable(self.source, f"was still sending after {seconds:.0f} s and was cut off")
            yield chunk

    def _network_fault(self, error: httpx.RequestError) -> SourceError:
        host = httpx.URL(self.base_url).netloc.decode()
        causes = tuple(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            hint = "Behind a company proxy, point SSL_CERT_FILE at its certificates."
            return SourceError(self.source, f"the certificate of {host} cannot be verified", hint=hint)
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return SourceUnavailable(self.source, f"no network, or no such host: {host}", hint=OFFLINE_HINT)
        if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            return SourceUnavailable(self.source, f"nothing answers at {host}", hint=OFFLINE_HINT)
        if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
            return SourceUnavailable(self.source, f"cannot connect to {host}: {error}", hint=OFFLINE_HINT)
        if isinstance(error, httpx.TimeoutException):
            return SourceUnavailable(self.source, f"{host} stopped answering")
        return SourceUnavailable(self.source, f"the reply of {host} broke off: {str(error) or type(error).__name__}")

    def _too_long(self, error: RateLimited, seconds: float) -> QuotaExhausted:
        minutes = f"{seconds / 60:.0f} minutes"
        return QuotaExhausted(
            self.source,
            f"{error.message.removeprefix(f'{self.source}: ')}; it wants silence for {minutes}",
            hint=f"Run the same command again in {minutes}, not before: trying earlier can prolong it.",
        )


def checked_url(source: str, url: str) -> str:
    """The base URL without a slash at its end. Raises `UsageError` for anything but plain http or https."""
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise UsageError(f"the base URL for {source} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(
            f"the base URL for {source} must begin with http:// or https:// and a host: {_presentable(url, ())}"
        )
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise UsageError(
            f"the base URL for {source} must hold no user, password, query or fragment",
            hint="Keys travel in headers; they are set by name in the environment.",
        )
    return str(parsed).rstrip("/")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it: httpx keeps the system's own error at the end of the chain."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _struck(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        text = undisguised(text, secret, "***")
    return text


def _presentable(text: str, secrets: tuple[str, ...]) -> str:
    """One line of printable text for a terminal: a source's own words may hold anything, even the key it was sent."""
    text = _struck(text, secrets)
    text = re.sub(r"\s+", " ", text)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= 400 else text[:399] + "…"


def _reword(error: SourceError, message: str) -> None:
    error.message = message
    error.args = (message,)
