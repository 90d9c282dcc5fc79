"""The application: which paths there are, and what stands before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from coinswarm import __version__
from coinswarm.server import databases, files, identity, messages, protocols, queues, workers
from coinswarm.server.account import Account
from coinswarm.server.calls import starlette_routes
from coinswarm.server.gate import LOOPBACK, HeaderGate, HostGate, SingleSlashes, TokenGate
from coinswarm.server.metrics import metrics
from coinswarm.server.openapi.document import API, PATH, document
from coinswarm.server.rendering import HANDLERS
from coinswarm.server.stack import Operations, stack_routes

ROUTES: Final = (
    *identity.ROUTES,
    *databases.ROUTES,
    *protocols.ROUTES,
    *queues.ROUTES,
    *messages.ROUTES,
    *workers.ROUTES,
)


def create_app(
    account: Account, *, token: str, host: str = "127.0.0.1", operations: Operations | None = None
) -> Starlette:
    """Cloudflare's API over `account` for who has `token`, answering for loopback names and `host`.

    With `operations` also the routes beside it, see `server.stack`.
    The account, like its stores, is the caller's and stays open.
    """
    api = Router(starlette_routes(account, ROUTES), redirect_slashes=False)
    doors = Router(
        [
            Mount(API, app=TokenGate(api, token)),
            Route("/transfers/{secret}/{filename}", files.transfer(account), methods=["GET", "PUT"]),
            *(stack_routes(operations, token=token, host=host) if operations else ()),
            Route("/health", _health, methods=["GET"]),
            Route(PATH, _described(beside=operations is not None), methods=["GET"]),
            # On loopback a scraper needs no token; the names of queues and pairs are not for a whole network.
            Route("/metrics", metrics(account), methods=["GET"], middleware=_unless_loopback(host, token)),
        ],
        redirect_slashes=False,
    )
    return Starlette(
        routes=[Mount("/", app=HeaderGate(HostGate(doors, host)))],
        middleware=[Middleware(SingleSlashes)],
        exception_handlers=HANDLERS,
    )


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": __version__})


def _described(*, beside: bool) -> Callable[[Request], Awaitable[Response]]:
    async def respond(_request: Request) -> Response:
        return JSONResponse(document(beside=beside))

    return respond


def _unless_loopback(host: str, token: str) -> list[Middleware]:
    return [] if host in LOOPBACK else [Middleware(TokenGate, token)]
