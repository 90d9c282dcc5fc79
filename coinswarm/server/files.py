"""Uploads and downloads: the only bodies that are streamed, to and from the disk."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from coinswarm.errors import InvalidRequest, RequestTimeout, RequestTooLarge
from coinswarm.limits import D1
from coinswarm.server.account import Account
from coinswarm.server.transfers import Ticket
from coinswarm.storage import translated

_SILENCE_SECONDS: Final = 60.0
"""An upload that sends nothing for so long is over."""
_WRITE_BYTES: Final = 1 << 20


def transfer(account: Account) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of both; the method tells them apart."""

    async def respond(request: Request) -> Response:
        secret = request.path_params["secret"]
        if request.method == "PUT":
            ticket = account.transfers.upload(secret)
            await _receive(request, ticket)
            return Response(headers={"ETag": f'"{ticket.etag}"'})
        ticket = account.transfers.download(secret)
        return FileResponse(ticket.path, media_type="application/sql", filename=ticket.filename)

    return respond


async def _receive(request: Request, ticket: Ticket) -> None:
    """Write the body to the disk; it counts only when it is whole and its MD5 is the announced one.

    Raises `RequestTooLarge`, `RequestTimeout`, `InvalidRequest`; the upload may be tried again then.
    """
    part = ticket.path.with_suffix(f".{id(request):x}.part")
    try:
        with translated(part):
            digest = await _write(request, part)
            if digest != ticket.etag:
                raise InvalidRequest(f"The uploaded file's MD5 is {digest}, announced was {ticket.etag}")
            part.replace(ticket.path)
        ticket.complete = True
    finally:
        part.unlink(missing_ok=True)


async def _write(request: Request, part: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    held: list[bytes] = []
    held_bytes = 0
    stream = request.stream()
    with await run_in_threadpool(part.open, "wb") as file:

        def flush() -> None:
            for chunk in held:
                digest.update(chunk)
                file.write(chunk)

        while True:
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise RequestTimeout from None
            if chunk is None:
                break
            size += len(chunk)
            if size > D1.import_bytes:
                raise RequestTooLarge(f"An import file may hold {D1.import_bytes} bytes")
            held.append(chunk)
            held_bytes += len(chunk)
            if held_bytes >= _WRITE_BYTES:
                await run_in_threadpool(flush)
                held.clear()
                held_bytes = 0
        await run_in_threadpool(flush)
    return digest.hexdigest()
