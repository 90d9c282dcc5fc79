"""Errors on the wire: the one place that turns what was raised into a reply."""

from __future__ import annotations

import logging
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from coinswarm import envelope
from coinswarm.errors import (
    ApiUnavailable,
    CloudflareError,
    CoinswarmError,
    DatabaseUnavailable,
    MethodNotAllowed,
    NotRouted,
    StorageError,
)

_log: Final = logging.getLogger("coinswarm.server")


def error_reply(request: Request, error: Exception) -> Response:
    """The envelope for `error`. A bug is told as an internal error: its traceback goes to the log only."""
    told = _on_the_wire(request, error)
    headers = {"x-should-retry": "true" if told.retryable else "false"}
    if isinstance(error, HTTPException):
        headers |= error.headers or {}
    return Response(envelope.encode_error(told), told.http_status, headers, media_type="application/json")


def _on_the_wire(request: Request, error: Exception) -> CloudflareError:
    path = request.url.path
    if isinstance(error, CloudflareError):
        return error
    if isinstance(error, HTTPException):
        return _routing(error.status_code, path)
    kind: type[CloudflareError] = DatabaseUnavailable if "/d1/" in path else ApiUnavailable
    if not isinstance(error, CoinswarmError):
        told = kind("An unknown error occurred.")
        told.http_status = 500
    else:
        told = kind(without_path(error))
        told.http_status = 503 if error.retryable else 500
    return told


def without_path(error: CoinswarmError) -> str:
    """What went wrong; of a file that it did, and not where the file lies: that is for the log."""
    if not isinstance(error, StorageError):
        return error.message
    _log.warning("%s", error.message)
    return type(error)().message


def _routing(status: int, path: str) -> CloudflareError:
    if status == MethodNotAllowed.http_status:
        return MethodNotAllowed()
    return NotRouted(f"Could not route to {path}, perhaps your object identifier is invalid?")


def gone(_request: Request, _error: Exception) -> Response:
    """For a client that left before its request was whole: nobody hears this."""
    return Response(status_code=400)


HANDLERS: Final = {
    CoinswarmError: error_reply,
    HTTPException: error_reply,
    ClientDisconnect: gone,
    Exception: error_reply,
}
