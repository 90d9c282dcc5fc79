"""Keeps parts of the stack running: each in a thread, started again after a pause that grows when it fails."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coinswarm.clock import Clock
from coinswarm.errors import CoinswarmError

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
STEADY_SECONDS: Final = 120.0
"""A part that ran so long before it failed starts over with the shortest pause."""
_TICK_SECONDS: Final = 0.2

Stop = Callable[[], bool]


@dataclass(slots=True)
class Part:
    """One thing to keep running. `run` returns when `stop` turns true, and raises when it cannot go on."""

    name: str
    run: Callable[[Stop], None]
    state: str = "starting"
    """`starting`, `running`, `waiting` to be started again, or `stopped`."""
    restarts: int = 0
    error: str | None = None
    """What ended it last, until it works again: it has gone round its loop and asked a second time whether to stop."""
    since_ms: int = 0
    """When the state began."""

    def as_json(self) -> dict[str, Any]:
        return {"state": self.state, "restarts": self.restarts, "error": self.error, "since": self.since_ms // 1000}


class Supervisor:
    """`told` hears, in the part's thread, of every failure and of every start after one.

    An error of any kind is a reason to start the part again: a bug in one must not end the others unseen. Its
    traceback goes to `told`, too.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        clock: Clock,
        *,
        told: Callable[[Part, str], None] = lambda _part, _text: None,
    ) -> None:
        self.parts = parts
        self._clock = clock
        self._told = told
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(part,), name=f"coinswarm-{part.name}", daemon=True)
            for part in parts
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask all parts to finish what they have in hand, and wait until they have."""
        self._stopping.set()
        for thread in self._threads:
            while thread.is_alive():  # a signal is heard between two waits
                thread.join(_TICK_SECONDS)

    def troubles(self) -> list[str]:
        """What does not run, and why."""
        return [f"{part.name}: {part.error}" for part in self.parts if part.error is not None]

    def _keep(self, part: Part) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            begun = self._clock.monotonic()
            self._turn(part, "running")
            if part.restarts:
                self._told(part, "started again")
            problem = self._run(part)
            if problem is None:
                break
            if self._clock.monotonic() - begun >= STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            part.restarts += 1
            part.error = problem
            self._turn(part, "waiting")
            self._told(part, f"{problem}; starting again in {pause:g} s")
            self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self._turn(part, "stopped")

    def _run(self, part: Part) -> str | None:
        """Why the part ended although nobody asked it to."""
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            if asked > 1:
                part.error = None
            return self._stopping.is_set()

        try:
            part.run(stop)
        except CoinswarmError as error:
            return f"{error.message}{f' ({error.hint})' if error.hint else ''}"
        except Exception as error:
            self._told(part, traceback.format_exc())
            return f"{type(error).__name__}: {error}"
        return None if self._stopping.is_set() else "ended by itself"

    def _turn(self, part: Part, state: str) -> None:
        part.state, part.since_ms = state, self._clock.now_ms()

    def _wait(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while not self._stopping.is_set() and (left := until - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _TICK_SECONDS))
