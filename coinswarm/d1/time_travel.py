"""When points of a database are taken, and going back to one."""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

from coinswarm.clock import Clock
from coinswarm.d1.catalogue import Catalogue, DatabaseInfo
from coinswarm.d1.snapshots import Point, Snapshots
from coinswarm.errors import StorageError

AUTOMATIC_BYTES: Final = 256_000_000
"""Larger databases get points only by an import, an export, or who asks for a bookmark or a restore: it takes long."""
EVERY_SECONDS: Final = 600.0
_SHARE: Final = 200.0
"""Between two automatic points passes at least so many times what taking one costs."""


@dataclass(slots=True)
class _Pace:
    """When a database's last point was begun and how long it took; None if there is none."""

    begun_at: float | None = None
    seconds: float = 0.0
    beginning: threading.Lock = field(default_factory=threading.Lock)
    """Held until the state of a point is fixed: then others may write while it is copied."""


class TimeTravel:
    """The past of the account's databases. Methods raise `DatabaseNotFound` and `StorageError` besides their own."""

    def __init__(self, catalogue: Catalogue, snapshots: Snapshots, clock: Clock) -> None:
        self._catalogue = catalogue
        self._snapshots = snapshots
        self._clock = clock
        self._lock = threading.Lock()
        self._paces: defaultdict[str, _Pace] = defaultdict(_Pace)

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
        """Take a point if the last one is some time ago and the database is not large. Never stands in the way.

        Of several who ask at once one takes it; the others wait until its state is fixed and not for the copy.
        """
        info = self._catalogue.info(identifier)
        with suppress(StorageError), ExitStack() as beginning:
            if self._is_due(info):
                beginning.enter_context(self._pace(info).beginning)
                if self._is_due(info):  # still, after having waited for another
                    return self._taken(info, "", beginning)
        return None

    def name(self, identifier: str) -> str:
        """The bookmark of the point that `named_now` will take. Nobody's, if the disk has no room for points."""
        info = self._catalogue.info(identifier)
        with suppress(StorageError):
            return self._snapshots.name(info.uuid)
        return f"{0:08x}-{0:08x}-{self._clock.now_ms() // 1000:08x}-{secrets.token_hex(16)}"

    def named_now(self, identifier: str, bookmark: str = "") -> Point | None:
        """The point of the database as it is, whatever its size, under a bookmark given out before.

        None if the disk has no room for it: that never stands in the way.
        """
        info = self._catalogue.info(identifier)
        with suppress(StorageError):
            return self._take(info, name=bookmark)
        return None

    def forget(self, database_id: str) -> None:
        """Delete the past of a database that is gone."""
        with self._lock:
            self._paces.pop(database_id, None)
        self._snapshots.forget(database_id)

    def _is_due(self, info: DatabaseInfo) -> bool:
        if not 0 < self._size(info) <= AUTOMATIC_BYTES:
            return False
        pace = self._pace(info)
        pause = max(EVERY_SECONDS, _SHARE * pace.seconds)
        return pace.begun_at is None or self._clock.monotonic() - pace.begun_at >= pause

    def _size(self, info: DatabaseInfo) -> int:
        try:
            return self._catalogue.path(info).stat().st_size
        except OSError:
            return 0

    def _pace(self, info: DatabaseInfo) -> _Pace:
        with self._lock:
            return self._paces[info.uuid]

    def _take(self, info: DatabaseInfo, *, name: str = "") -> Point:
        with ExitStack() as beginning:
            beginning.enter_context(self._pace(info).beginning)
            return self._taken(info, name, beginning)

    def _taken(self, info: DatabaseInfo, name: str, beginning: ExitStack) -> Point:
        """A point; `beginning` is closed as soon as its state is fixed."""
        pace, started, former = self._pace(info), self._clock.monotonic(), self._pace(info).begun_at

        def begun() -> None:
            pace.begun_at = started
            beginning.close()

        try:
            point = self._snapshots.take(info.uuid, self._catalogue.path(info), name=name, begun=begun)
        except BaseException:
            pace.begun_at = former
            raise
        pace.seconds = self._clock.monotonic() - started
        return point
