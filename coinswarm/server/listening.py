"""The application on a socket: in a thread of its own, from when the block begins until it ends."""

from __future__ import annotations

import socket
import sys
import threading
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from coinswarm import envelope
from coinswarm.errors import CannotListen, HeadersTooLarge, MalformedHttp
from coinswarm.server.gate import HEADER_BYTES

_BACKLOG: Final = 2048
_GRACE_SECONDS: Final = 5
"""Requests in flight get so long when the server stops."""
_KEEP_ALIVE_SECONDS: Final = 75
_LINGER_SECONDS: Final = 2.0
"""Who is refused before all was read may go on sending for so long: closed at once, it would never see why."""


class _AnsweringProtocol(H11Protocol):
    """Answers what uvicorn leaves without an answer of ours.

    That is a client that closed its sending half after whole requests, and one that sends what is no HTTP.
    """

    _ended = False
    """Whether the client has closed its sending half."""
    _refused = False

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never asks to keep the connection
        if self._refused or not self._is_answering():
            return False
        self._ended = True
        return True

    def on_response_complete(self) -> None:
        super().on_response_complete()  # takes up the next request, if one has come whole
        if self._ended and not self._is_answering():
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle = getattr(self, "cycle", None)  # there is none before the first request, whatever its type says
        return cycle is not None and not cycle.more_body and not cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Called while h11's complaint is being handled."""
        fault = sys.exc_info()[1]
        too_large = getattr(fault, "error_status_hint", None) == HeadersTooLarge.http_status
        error = HeadersTooLarge() if too_large else MalformedHttp(f"{msg} {fault}")
        self._refused = True
        if self.cycle is not None:  # a request whose body broke off: whoever handles it is told so
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("content-type", "application/json"), ("connection", "close"), ("x-should-retry", "false")]
            body = envelope.encode_error(error)
            headers.append(("content-length", str(len(body))))
            reason = HTTPStatus(error.http_status).phrase
            response = h11.Response(status_code=error.http_status, headers=headers, reason=reason)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)


class Server:
    """`with Server(app) as server:` serves at `server.url`. Port 0 chooses a free one.

    Binds the socket at once: who can be given the URL can connect. Raises `CannotListen` when the port is taken.
    """

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = _bound(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            http=_AnsweringProtocol,
            ws="none",
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="coinswarm-server", daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "") else "[::1]" if self.host == "::" else self.host  # noqa: S104
        return f"http://{f'[{shown}]' if ':' in shown and not shown.startswith('[') else shown}:{self.port}"

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Begin to answer; connections made before wait in the socket's backlog."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, finish those in flight, end."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            hint="Choose another one with --port, or stop what uses it.",
        ) from None
    return bound
