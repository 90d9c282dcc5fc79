"""The exchanges on loopback, in a thread: `with Simulator(market) as sim: sim.url("binance")`."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from typing import Any, Final, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from coinswarm.clock import Clock, SystemClock
from coinswarm.errors import UsageError
from coinswarm.simulator.app import Exchanges, SeenRequest
from coinswarm.simulator.expectation import EXCHANGES
from coinswarm.simulator.faults import FaultPlan, Faults
from coinswarm.simulator.market import Market
from coinswarm.simulator.synthetic import SyntheticMarket

HOST: Final = "127.0.0.1"
SOURCES: Final = tuple(EXCHANGES)

_log = logging.getLogger("coinswarm.simulator")
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0


class Simulator:
    """Six exchange APIs over one market on 127.0.0.1; a context manager. `port` 0 takes any that is free.

    The socket is bound in the constructor, so `url` is known at once; requests are answered from `start` on. `clock` is
    the exchanges' own (their `Date` header follows it); held replies (`stall`, `slow`) take real time.
    Raises `UsageError` if the port is taken.
    """

    def __init__(
        self,
        market: Market | None = None,
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        port: int = 0,
    ) -> None:
        self.market: Market = market or SyntheticMarket()
        self.clock: Clock = clock or SystemClock()
        self._exchanges = Exchanges(self.market, faults or Faults(), self.clock)
        self._socket = _bind(port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._exchanges.app(),
            http=_Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="coinswarm-simulator", daemon=True)

    def url(self, source: str) -> str:
        """The base URL of an exchange, for `COINSWARM_<SOURCE>_URL`. Raises `KeyError` for an unknown source."""
        return f"http://{HOST}:{self.port}/{EXCHANGES[source].source}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment that sends coinswarm here instead of to the exchanges."""
        return {f"COINSWARM_{source.upper()}_URL": self.url(source) for source in SOURCES}

    @property
    def faults(self) -> Faults:
        return self._exchanges.plan.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """Takes effect with the next request; scripts and the count of requests begin anew."""
        self._exchanges.plan = FaultPlan(faults)

    @property
    def requests(self) -> Sequence[SeenRequest]:
        """What was asked, oldest first (the newest 10,000)."""
        return list(self._exchanges.seen)

    def start(self) -> Self:
        """Returns when requests are answered."""
        self._thread.start()
        if not self._server.ready.wait(_START_SECONDS) or not self._server.started:
            raise RuntimeError(f"the simulator did not start on {HOST}:{self.port}")
        return self

    def stop(self) -> None:
        """Releases held replies, closes all connections, returns when the thread has ended. May be called twice."""
        self._exchanges.stopping.set()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._server.ready.set()


def _bind(port: int) -> socket.socket:
    # Named as TCP, or asyncio does not switch Nagle's algorithm off and each reply waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{HOST}:{port} cannot be used: {error.strerror}", hint="Choose another with --port, or 0 for any."
        ) from None
    return listener


class _Server(uvicorn.Server):
    """Tells when it accepts connections, so that nobody has to poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class _Connection(H11Protocol):
    """Logs under our own name, without uvicorn's complaint about the bodies that are cut on purpose."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log


def _is_no_cut(record: logging.LogRecord) -> bool:
    return record.getMessage() != "ASGI callable returned without completing response."


_log.addFilter(_is_no_cut)
