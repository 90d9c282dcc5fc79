"""The cron triggers of Workers: those in the wrangler files, and what `PUT …/schedules` made of them since."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from coinswarm.clock import Clock
from coinswarm.errors import StorageCorrupt
from coinswarm.storage import translated

MOST: Final = 250
"""Cron triggers of one account. https://developers.cloudflare.com/workers/platform/limits/"""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One cron trigger of a Worker."""

    cron: str
    created_on_ms: int
    modified_on_ms: int


class Schedules:
    """By Worker. What was put through the API is kept in a file and beats the configuration."""

    def __init__(self, path: Path, configured: Mapping[str, Sequence[str]], clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        now = clock.now_ms()
        self._configured = {
            worker: tuple(Schedule(cron, now, now) for cron in crons) for worker, crons in configured.items()
        }

    def of(self, worker: str) -> tuple[Schedule, ...]:
        """The Worker's triggers; none for a Worker that is not known. Raises `StorageCorrupt`."""
        return self._put().get(worker, self._configured.get(worker, ()))

    def workers(self) -> list[str]:
        """Workers that have or had triggers."""
        return sorted({*self._configured, *self._put()})

    def replace(self, worker: str, crons: Sequence[str]) -> tuple[Schedule, ...]:
        """Give a Worker these triggers and no others."""
        with self._lock:
            now = self._clock.now_ms()
            known = {schedule.cron: schedule.created_on_ms for schedule in self.of(worker)}
            schedules = tuple(Schedule(cron, known.get(cron, now), now) for cron in dict.fromkeys(crons))
            written = self._path.with_suffix(".new")
            with translated(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                written.write_bytes(msgspec.json.encode({**self._put(), worker: schedules}))
                written.replace(self._path)
            return schedules

    def _put(self) -> dict[str, tuple[Schedule, ...]]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return msgspec.json.decode(text, type=dict[str, tuple[Schedule, ...]])
        except msgspec.DecodeError as error:
            raise StorageCorrupt(
                f"{self._path} is damaged: {error}", hint="Delete it and put the schedules again."
            ) from None
