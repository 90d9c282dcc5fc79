"""Cloudflare's reply envelope, both ways: what the server sends and what the remote clients read.

`{"result": …, "success": true, "errors": [], "messages": []}`, lists with a `result_info`. wrangler believes `success`,
the SDKs believe the HTTP status, so both always say the same. https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from coinswarm import errors
from coinswarm.errors import ApiError, ApiUnavailable, CloudflareError, NotRouted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageInfo:
    """Which part of a list a reply holds: page `page` (the first is 1) of `total_count` items."""

    page: int
    per_page: int
    count: int
    total_count: int

    def as_json(self) -> dict[str, int]:
        return {
            "page": self.page,
            "per_page": self.per_page,
            "count": self.count,
            "total_count": self.total_count,
            "total_pages": -(-self.total_count // self.per_page),
        }


def page_of(items: Sequence[T], page: int, per_page: int) -> tuple[Sequence[T], PageInfo]:
    """One page of `items`; beyond the end it is empty, which is what stops the clients that page."""
    part = items[(page - 1) * per_page : page * per_page]
    return part, PageInfo(page, per_page, len(part), len(items))


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful reply, decoded."""

    result: Any
    result_info: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Any] = ()


def encode(result: Any, page: PageInfo | None = None) -> bytes:
    """The envelope of a success."""
    document = {"result": result, "success": True, "errors": [], "messages": []}
    if page is not None:
        document["result_info"] = page.as_json()
    return msgspec.json.encode(document)


def encode_error(error: CloudflareError) -> bytes:
    """The envelope of a failure. A route that does not exist is told twice, as by Cloudflare."""
    listed = [{"code": error.code, "message": error.message}]
    if isinstance(error, NotRouted):
        listed.append({"code": 7000, "message": "No route for that URI"})
    result: list[object] | None = [] if isinstance(error, errors.SqlError) else None  # as the API was seen to answer
    return msgspec.json.encode({"result": result, "success": False, "errors": listed, "messages": []})


_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""One escape of a JSON text, or two that make a surrogate pair; half a pair is the group."""


def why_refused(body: bytes, error: Exception) -> str:
    """How a request's body went wrong, behind the words "The body": msgspec takes half a surrogate pair for its end."""
    half = next((found[1] for found in _ESCAPE.finditer(body) if found[1]), None)
    if half is not None:
        return f"holds half a surrogate pair, \\{half.decode('ascii', 'replace')}, which UTF-8 cannot hold"
    if "out of range" in str(error):
        return "holds a number beyond any double"
    return f"is not JSON: {error}"


_CLASSES: Final[Mapping[int, type[CloudflareError]]] = {
    971: errors.TooManyRequests,
    7000: errors.NotRouted,
    7001: errors.MethodNotAllowed,
    7003: errors.NotRouted,
    7400: errors.InvalidRequest,
    7403: errors.AccountForbidden,
    7404: errors.DatabaseNotFound,
    7500: errors.SqlError,
    7502: errors.DatabaseExists,
    9106: errors.Unauthorized,
    9109: errors.Unauthorized,
    10000: errors.Unauthorized,
    10023: errors.AccountForbidden,
    10026: errors.InvalidQueueRequest,
    10104: errors.QueueNotFound,
    10106: errors.Unauthorized,
    10202: errors.DelayOutOfBounds,
    10203: errors.InvalidMessage,
    10204: errors.MessageTooLarge,
    10205: errors.BatchTooLarge,
    10206: errors.BatchCountOutOfBounds,
    10207: errors.InvalidMessageBody,
    10208: errors.MalformedMessageBody,
    10250: errors.QueueOverloaded,
    10251: errors.QueueStorageLimit,
    10252: errors.QueuePaused,
    10253: errors.QueuePlanLimit,
    10400: errors.MalformedHttp,
    10408: errors.RequestTimeout,
    10413: errors.RequestTooLarge,
    10429: errors.TooManyRequests,
    10431: errors.HeadersTooLarge,
    11000: errors.QueueNotFound,
    11003: errors.InvalidQueueName,
    11004: errors.ConsumerExists,
    11005: errors.ConsumerNotFound,
    11009: errors.QueueExists,
    15000: errors.ApiUnavailable,
    100127: errors.InvalidConsumerSettings,
    100128: errors.InvalidQueueSettings,
}


def decode(body: bytes, http_status: int) -> Reply:
    """A reply's result, or the `CloudflareError` it stands for, with the reply's own code and HTTP status."""
    try:
        document = msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, RecursionError):
        document = None
    if not isinstance(document, dict) or "success" not in document:
        if not body and http_status in (204, 205):
            return Reply(None)
        raise _unreadable(body, http_status)
    if document["success"] and http_status < 400:
        info = document.get("result_info")
        return Reply(document.get("result"), info if isinstance(info, dict) else {}, document.get("messages") or ())
    raise error_of(document, http_status)


def error_of(document: Mapping[str, Any], http_status: int) -> CloudflareError:
    """The exception for a failure envelope."""
    found = list(_errors(document))
    code, message = found[0] if found else (0, f"Cloudflare answered HTTP {http_status} without saying why")
    error = _kind(code, message, http_status)("; ".join([message, *(text for _, text in found[1:] if text != message)]))
    error.code, error.http_status = code or error.code, http_status
    return error


def _kind(code: int, message: str, http_status: int) -> type[CloudflareError]:
    """The class for a code, except where the status says more than it."""
    known = _CLASSES.get(code, _by_status(http_status))
    if http_status == 429 and known.http_status != 429:
        return errors.TooManyRequests
    if http_status == 409 and "delivery_paused" in message:  # the documented word; which code comes with it is not
        return errors.QueuePaused
    return errors.HttpPullDisabled if (code, http_status) == (10026, 405) else known


def _errors(document: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    listed = document.get("errors")
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict):
            code = item.get("code")
            yield (code if isinstance(code, int) else 0), str(item.get("message", ""))
        else:
            yield 0, str(item)


def _by_status(http_status: int) -> type[CloudflareError]:
    if http_status == 401:
        return errors.Unauthorized
    if http_status == 403:
        return errors.AccountForbidden
    if http_status == 429:
        return errors.TooManyRequests
    return ApiUnavailable if http_status >= 500 else ApiError


def _unreadable(body: bytes, http_status: int) -> CloudflareError:
    kind = _by_status(http_status)
    if kind is ApiError and http_status < 400:
        kind = ApiUnavailable
    start = body[:100].decode("utf-8", "replace")
    error = kind(f"the reply is not an envelope of Cloudflare's API: HTTP {http_status}, {start!r}")
    error.http_status = http_status
    return error
