"""A request as the handlers see it, and how one becomes the other: handlers know neither Starlette nor the envelope.

A handler is a plain function from the account and a `Call` to an `Answer`. It runs in a thread, so it may take its
time, and raises what went wrong.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import anyio
import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from coinswarm import envelope
from coinswarm.envelope import PageInfo, page_of
from coinswarm.errors import AccountForbidden, InvalidRequest, NotRouted, RequestTimeout, RequestTooLarge
from coinswarm.server.account import Account
from coinswarm.server.places import Places

T = TypeVar("T")

BODY_BYTES: Final = 10_000_000
"""The largest JSON body: five times what D1 takes as one value, forty times a full batch of messages."""
_DRAINED_BYTES: Final = 10 * BODY_BYTES
"""A body that is too large is read up to here and thrown away, so that its sender hears the answer."""
_BODY_SECONDS: Final = 60.0
_UNLIMITED: Final = anyio.CapacityLimiter(math.inf)
"""How many threads there may be is a matter of places."""
_PER_PAGE: Final = 100
_PER_PAGE_MOST: Final = 10_000
_ACCOUNT_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read completely."""

    ids: Mapping[str, str]
    """What stands in the path's placeholders."""
    query: QueryParams
    body: bytes
    base_url: str
    """Scheme and host as the client wrote them, without a slash: where links for it have to point."""

    def page(self, items: Sequence[T]) -> tuple[Sequence[T], PageInfo]:
        """The page of `items` that the query asks for. Raises `InvalidRequest`."""
        page, per_page = self._number("page", 1, 2**31), self._number("per_page", _PER_PAGE, _PER_PAGE_MOST)
        return page_of(items, page, per_page)

    def _number(self, name: str, default: int, most: int) -> int:
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most):
            raise InvalidRequest(f"Invalid query parameter: {name} => Expected a whole number from 1 to {most}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns: the envelope's `result`, and what else is not the default."""

    result: Any = None
    page: PageInfo | None = None
    status: int = 200
    document: Any = None
    """A whole reply in place of an envelope, as GraphQL's."""


Handler = Callable[[Account, Call], Answer]


class Route(NamedTuple):
    method: str
    path: str
    handler: Handler


def starlette_routes(account: Account, routes: Iterable[Route]) -> list[StarletteRoute]:
    """The routes for Starlette; of one path only the given methods, so that others are told apart from no route."""
    places = Places()
    return [StarletteRoute(r.path, _endpoint(account, r.handler, places), methods=[r.method]) for r in routes]


def _endpoint(account: Account, handler: Handler, places: Places) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        _require_account(account, request)
        body = await read_body(request)
        call = Call(request.path_params, request.query_params, body, base_url(request))
        async with places.of(call.ids.get("database")):
            return await anyio.to_thread.run_sync(_answered, account, handler, call, limiter=_UNLIMITED)

    return respond


def _require_account(account: Account, request: Request) -> None:
    asked = request.path_params.get("account", account.id)
    if asked == account.id:
        return
    if not _ACCOUNT_ID.fullmatch(asked):
        raise NotRouted(f"Could not route to {request.url.path}, perhaps your object identifier is invalid?")
    raise AccountForbidden


def _answered(account: Account, handler: Handler, call: Call) -> Response:
    answer = handler(account, call)
    if answer.document is None:
        content = envelope.encode(answer.result, answer.page)
    else:
        content = msgspec.json.encode(answer.document)
    return Response(content, answer.status, media_type="application/json")


def base_url(request: Request) -> str:
    """Scheme and host under which the client reached us."""
    return f"{request.url.scheme}://{request.url.netloc}"


async def read_body(request: Request) -> bytes:
    """The body, whatever its Content-Type. Raises `RequestTooLarge`, `RequestTimeout`, `ClientDisconnect`."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > BODY_BYTES:
                    chunks.clear()
                    if size > _DRAINED_BYTES:
                        break
                else:
                    chunks.append(chunk)
    except TimeoutError:
        raise RequestTimeout from None
    if size > BODY_BYTES:
        raise RequestTooLarge(f"The request's body is larger than {BODY_BYTES} bytes")
    return b"".join(chunks)
