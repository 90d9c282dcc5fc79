"""One database's past, here or on Cloudflare: the same two questions, as `wrangler d1 time-travel` asks them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from coinswarm.clock import Clock
from coinswarm.cloudflare import CloudflareApi, segment
from coinswarm.d1.remote import DatabaseInfo, as_database_errors, decode
from coinswarm.d1.snapshots import Kept, Point, Snapshots
from coinswarm.errors import DatabaseError, InvalidRequest, UsageError

CLOUDFLARE_DAYS: Final = 30
_UNIX_SECONDS: Final = re.compile(r"\d{10}")


@dataclass(frozen=True, slots=True)
class Restored:
    """Where the database is now, and where it was before."""

    bookmark: str
    previous_bookmark: str


class Past(Protocol):
    """Methods raise `InvalidRequest` for a bookmark or moment that leads nowhere, and what the database raises."""

    @property
    def name(self) -> str: ...

    @property
    def days(self) -> int:
        """How far back it goes."""
        ...

    def bookmark(self, moment_ms: int | None = None) -> str:
        """Of now, or of a moment."""
        ...

    def restore(self, bookmark: str) -> Restored: ...

    def kept(self) -> Kept | None:
        """What the past takes; None where somebody else keeps it."""
        ...


class LocalPast:
    """The past of a local database: points that are taken when somebody asks, and by the server."""

    def __init__(self, name: str, database_id: str, path: Path, snapshots: Snapshots, clock: Clock) -> None:
        self.name, self._id, self._path = name, database_id, path
        self._snapshots, self._clock = snapshots, clock
        self.days = snapshots.window_days

    def bookmark(self, moment_ms: int | None = None) -> str:
        if moment_ms is None or moment_ms >= self._clock.now_ms():
            return self._now().bookmark
        try:
            return self._snapshots.at(self._id, moment_ms).bookmark
        except InvalidRequest as error:
            oldest = self._snapshots.kept(self._id).oldest_ms
            there = "There is none yet." if oldest is None else f"The oldest is of {_iso(oldest)}."
            error.hint = f"{there} Take one now: coinswarm d1 time-travel info {self.name}"
            raise

    def restore(self, bookmark: str) -> Restored:
        point = self._snapshots.named(self._id, bookmark)
        before = self._snapshots.restore(self._id, self._path, point)
        return Restored(self._now().bookmark, before.bookmark)

    def kept(self) -> Kept:
        return self._snapshots.kept(self._id)

    def _now(self) -> Point:
        return self._snapshots.take(self._id, self._path)


class RemotePast:
    """The past of a database on Cloudflare. https://developers.cloudflare.com/api/resources/d1/"""

    days = CLOUDFLARE_DAYS

    def __init__(self, api: CloudflareApi, database: DatabaseInfo) -> None:
        self._api, self.database, self.name = api, database, database.name
        self._path = f"{api.account}/d1/database/{segment(database.id)}/time_travel"

    def bookmark(self, moment_ms: int | None = None) -> str:
        params = None if moment_ms is None else {"timestamp": _iso(moment_ms)}
        with as_database_errors():
            return _word(
                self._api.call("GET", f"{self._path}/bookmark", params=params, decode=decode).result, "bookmark"
            )

    def restore(self, bookmark: str) -> Restored:
        with as_database_errors():
            result = self._api.call(
                "POST", f"{self._path}/restore", params={"bookmark": bookmark}, seconds=60.0, decode=decode
            ).result
        return Restored(_word(result, "bookmark"), _word(result, "previous_bookmark"))

    def kept(self) -> None:
        return None


def moment_ms(text: str, *, now_ms: int, days: int) -> int:
    """A time as wrangler takes it: unix seconds of ten digits, or ISO 8601. Raises `UsageError`, also for what the past
    cannot hold."""
    if _UNIX_SECONDS.fullmatch(text):
        found = int(text) * 1000
        if found <= now_ms:
            found = min(found + 999, now_ms)  # the second as a whole: points are taken within it
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"Invalid timestamp '{text}'.",
                hint="Please provide a valid Unix timestamp or ISO string, for example 2026-07-09T17:31:11+00:00.",
            ) from None
        found = round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    if found > now_ms:
        raise UsageError(f"Invalid timestamp '{text}'. Please provide a timestamp in the past.")
    if found < now_ms - days * 86_400_000:
        raise UsageError(f"Invalid timestamp '{text}'. Please provide a timestamp within the last {days} days.")
    return found


def _word(result: Any, name: str) -> str:
    value = result.get(name) if isinstance(result, dict) else None
    if not isinstance(value, str) or not value:
        raise DatabaseError(f"Cloudflare's reply names no {name}")
    return value


def _iso(milliseconds: int) -> str:
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
