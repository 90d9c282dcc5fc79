"""Who may come in: the Host header against DNS rebinding, the Bearer token for everything under the API."""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from coinswarm.errors import HeadersTooLarge, HostRefused, Unauthorized

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)
_SLASHES: Final = re.compile("/{2,}")


HEADER_BYTES: Final = 65_536


class HeaderGate:
    """Refuses a request whose line and headers are beyond 64 KB; h11 bounds only those that have not come whole yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            size = len(scope["path"]) + len(scope["query_string"])
            size += sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
            if size > HEADER_BYTES:
                raise HeadersTooLarge
        await self._app(scope, receive, send)


class HostGate:
    """Refuses requests for a host that we are not: a page in a browser that resolved its own name to this machine.

    Bound to every interface we cannot know our names; the token, which is then the user's own, has to do.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._known: Collection[str] | None = None if host in WILDCARDS else LOOPBACK | {host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._known is not None:
            asked = _host_name(Headers(scope=scope).get("host", ""))
            if asked not in self._known:
                raise HostRefused(f"This server does not answer for the host {asked!r}")
        await self._app(scope, receive, send)


def _host_name(header: str) -> str:
    """`localhost:8787` → `localhost`, `[::1]:8787` → `::1`."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


class TokenGate:
    """Refuses requests without the token. Only `Authorization: Bearer` is known; e-mail and key are not."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not given.strip():
                raise _missing()
            if not hmac.compare_digest(given.strip().encode("latin-1"), self._expected):
                raise Unauthorized
        await self._app(scope, receive, send)


def holds_token(headers: Headers, token: str) -> bool:
    """Whether a request carries this token; for routes that may do without it, too."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token.encode())


def _missing() -> Unauthorized:
    error = Unauthorized("Missing Authorization header: send `Authorization: Bearer` with the server's token")
    error.code, error.http_status = 9106, 400
    return error


class SingleSlashes:
    """Forgives `/client/v4//accounts`, which wrangler makes of a base URL that ends in a slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "//" in scope["path"]:
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        await self._app(scope, receive, send)
