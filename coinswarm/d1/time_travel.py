"""When points of a database are taken, and going back to one."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from coinswarm.clock import Clock
from coinswarm.d1.catalogue import Catalogue, DatabaseInfo
from coinswarm.d1.snapshots import Point, Snapshots
from coinswarm.errors import StorageError

AUTOMATIC_BYTES: Final = 256_000_000
"""Larger databases get points only when somebody asks for a bookmark or a restore: copying them takes too long."""
EVERY_SECONDS: Final = 600.0
_SHARE: Final = 200.0
"""Between two automatic points passes at least so many times what taking one costs."""


@dataclass(slots=True)
class _Pace:
    taken_at: float
    seconds: float


class TimeTravel:
    """The past of the account's databases. Methods raise `DatabaseNotFound` and `StorageError` besides their own."""

    def __init__(self, catalogue: Catalogue, snapshots: Snapshots, clock: Clock) -> None:
        self._catalogue = catalogue
        self._snapshots = snapshots
        self._clock = clock
        self._lock = threading.Lock()
        self._paces: dict[str, _Pace] = {}

    def now(self, identifier: str) -> Point:
        """The point of the database as it is, taken if need be."""
        info = self._catalogue.info(identifier)
        return self._take(info)

    def at(self, identifier: str, moment_ms: int) -> Point:
        """The last point that was taken by then. Raises `InvalidRequest`."""
        info = self._catalogue.info(identifier)
        if moment_ms >= self._clock.now_ms():
            return self._take(info)
        return self._snapshots.at(info.uuid, moment_ms)

    def restore(self, identifier: str, point: Point) -> Point:
        """Put the database back to `point`; the point it was at before, which undoes this. Raises `InvalidRequest`."""
        info = self._catalogue.info(identifier)
        return self._snapshots.restore(info.uuid, self._catalogue.path(info), point)

    def named(self, identifier: str, bookmark: str) -> Point:
        """The point of that bookmark. Raises `InvalidRequest`."""
        return self._snapshots.named(self._catalogue.info(identifier).uuid, bookmark)

    def before_change(self, identifier: str) -> Point | None:
        """Take a point if the last one is some time ago and the database is not large. Never stands in the way."""
        info = self._catalogue.info(identifier)
        with suppress(StorageError):
            if self._is_due(info):
                return self._take(info)
        return None

    def after_import(self, identifier: str) -> Point | None:
        """The point an import led to, unless the database is large. Never stands in the way."""
        info = self._catalogue.info(identifier)
        with suppress(StorageError):
            if self._size(info) <= AUTOMATIC_BYTES:
                return self._take(info)
        return None

    def forget(self, database_id: str) -> None:
        """Delete the past of a database that is gone."""
        with self._lock:
            self._paces.pop(database_id, None)
        self._snapshots.forget(database_id)

    def _is_due(self, info: DatabaseInfo) -> bool:
        if not 0 < self._size(info) <= AUTOMATIC_BYTES:
            return False
        with self._lock:
            pace = self._paces.get(info.uuid)
        return pace is None or self._clock.monotonic() - pace.taken_at >= max(EVERY_SECONDS, _SHARE * pace.seconds)

    def _size(self, info: DatabaseInfo) -> int:
        try:
            return self._catalogue.path(info).stat().st_size
        except OSError:
            return 0

    def _take(self, info: DatabaseInfo) -> Point:
        started = self._clock.monotonic()
        point = self._snapshots.take(info.uuid, self._catalogue.path(info))
        ended = self._clock.monotonic()
        with self._lock:
            self._paces[info.uuid] = _Pace(ended, ended - started)
        return point
