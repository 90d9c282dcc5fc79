"""One HTTP reply, and what its status and headers mean whichever exchange sent it."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final, Self

import httpx
import msgspec

from coinswarm.errors import RateLimited, SourceError, SourceRefused, SourceUnavailable

QUOTED_FROM: Final = 4_000
"""Bytes of a body that are looked through for keys before the first 200 characters are quoted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, its body decoded if it is JSON (`value` is None and `is_json` False if it is not)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    value: Any
    is_json: bool
    as_of: float | None
    """Unix seconds its content speaks for: `Date` less the age it may have in a cache (RFC 9111 §4.2.3)."""
    retry_after: float | None
    """Seconds the source asks to wait; a date is measured against the source's own `Date`."""
    strike: Callable[[str], str] = str
    """Takes out of what the source says the key that it was sent."""

    @classmethod
    def of(
        cls,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        now: float = 0.0,
        strike: Callable[[str], str] = str,
    ) -> Self:
        """`now`: unix seconds by our clock, used where the reply has no `Date`."""
        held = httpx.Headers(headers)
        date = _http_date(held.get("date"))
        try:
            value, is_json = msgspec.json.decode(body), True
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value, is_json = None, False
        return cls(
            status=status,
            headers=held,
            body=body,
            value=value,
            is_json=is_json,
            as_of=None if date is None else date - _age(held),
            retry_after=retry_after_seconds(held.get("retry-after"), now if date is None else date),
            strike=strike,
        )

    @property
    def said(self) -> str:
        """What the body says in words: the message of any of the exchanges' error shapes, else how it begins."""
        if self.is_json and (message := _message(self.value)):
            return message
        # Half a key, where it is cut, would not be known for one afterwards.
        start = self.strike(self.body[:QUOTED_FROM].decode(errors="replace"))[:200].lstrip()
        if not start:
            return "an empty body"
        return "an HTML page" if start.startswith("<") and not self.is_json else start

    def require_json(self, source: str) -> None:
        """Raise what the status means, unless this is a success that holds JSON.

        Exchanges look at the body for their own meanings first; this is what remains.
        """
        status = self.status
        if 200 <= status < 300:
            if not self.is_json:
                raise SourceUnavailable(source, f"answered with something other than JSON: {self.said}")
            return
        said = f"(HTTP {status}: {self.said})"
        if status in (418, 429) or (status >= 500 and self.retry_after is not None):
            raise RateLimited(source, f"asks to wait {said}", retry_after=self.retry_after)
        if status >= 500 or status in (408, 425):
            raise SourceUnavailable(source, f"has a fault of its own {said}")
        if status == 401:
            raise SourceRefused(source, f"wants an API key, or refuses the one it got {said}")
        if status == 403:
            raise SourceRefused(
                source,
                f"refuses this address {said}",
                hint="Often a firewall against data centres and VPNs. Try again later, from elsewhere, or --source.",
            )
        if status == 451:
            raise SourceRefused(source, f"does not serve this country {said}", hint="Choose another --source.")
        if 300 <= status < 400:
            target = self.headers.get("location", "nowhere")
            raise SourceError(
                source,
                f"redirects to {target}, which is not followed",
                hint="A network that wants a login answers so, or the API has moved: set its new address with "
                f"COINSWARM_{source.upper()}_URL.",
            )
        raise SourceError(source, f"refused the request {said}")


def _http_date(text: str | None) -> float | None:
    """Unix seconds of an HTTP date (RFC 9110 §5.6.7), None if it is none."""
    try:
        date = email.utils.parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _age(headers: httpx.Headers) -> float:
    """Seconds the content may have lain in a cache: `Age`, else as long as caches may keep it."""
    control = headers.get("cache-control", "").lower()
    kept = re.search(r"max-age=(\d{1,9})", control)
    if (age := headers.get("age", "")).isascii() and age.isdigit():
        return float(age[:9])
    if kept is None or re.search(r"no-store|no-cache|private", control):
        return 0.0
    return float(kept[1])


def retry_after_seconds(text: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After in seconds or as a date (RFC 9110 §10.2.3), None if it says neither."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip(), re.ASCII):
        return float(text)
    date = _http_date(text)
    return None if date is None else max(0.0, date - now)


def _message(value: object, depth: int = 8) -> str | None:
    """The first message in an error body; each exchange nests it otherwise, none of them deeper than `depth`."""
    if not depth:
        return None
    if isinstance(value, str):
        return value or None
    if isinstance(value, list):
        return next((found for item in value if (found := _message(item, depth - 1))), None)
    if isinstance(value, dict):
        keys = ("message", "Message", "msg", "error_message", "error", "Err", "status")
        return next((found for key in keys if (found := _message(value.get(key), depth - 1))), None)
    return None
