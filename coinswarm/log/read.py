"""Reading the log: all of it, what is new in it, and what of it a person asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from coinswarm.log.file import iso_ms, segments

Event = dict[str, Any]

_CHUNK: Final = 1_000_000
_TIME: Final = slice(len('{"time":"'), len('{"time":"2026-11-23T22:15:23.042Z'))
TROUBLES: Final = frozenset(
    {"source.failed", "batch.failed", "http.retry"}
    | {f"messages.{what}" for what in ("retried", "dead_lettered", "dropped", "expired", "timed_out")}
)
"""Events that only happen when something goes wrong."""


def is_trouble(event: Event) -> bool:
    return event["event"] in TROUBLES or "error" in event or event.get("outcome") == "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: all conditions together."""

    event: str | None = None
    """A name, a part of it before a dot (`http`), or a pattern with `*`."""
    source: str | None = None
    troubles: bool = False
    """Only those that tell of something going wrong."""

    def __call__(self, event: Event) -> bool:
        name = event["event"]
        if self.event is not None and not (fnmatchcase(name, self.event) or name.startswith(f"{self.event}.")):
            return False
        if self.source is not None and event.get("source") != self.source:
            return False
        return not self.troubles or is_trouble(event)


@dataclass
class Follower:
    """Reads what has been added since it read last; segments may come and go meanwhile."""

    folder: Path
    since_ms: int = 0
    """Events before that are passed over."""
    _read: dict[Path, int] = field(default_factory=dict)
    _inode: dict[Path, int] = field(default_factory=dict)
    _rest: dict[Path, bytes] = field(default_factory=dict)
    unreadable: int = 0
    """Lines that are no events: torn by a full disk, or of somebody else."""

    def new(self) -> Iterator[Event]:
        """The events that are there and were not yet read, segment by segment."""
        since = iso_ms(self.since_ms).encode()
        found = segments(self.folder)
        for _, path in found:
            for line in self.lines(path):
                if line[_TIME] < since and line.startswith(b'{"time":"'):
                    continue
                event = _decoded(line)
                if event is None:
                    self.unreadable += 1
                else:
                    yield event
        for gone in self._read.keys() - {path for _, path in found}:
            self._read.pop(gone)
            self._inode.pop(gone, None)
            self._rest.pop(gone, None)

    def lines(self, path: Path) -> Iterator[bytes]:
        """The lines of one segment that were not yet read."""
        try:
            found = path.stat()
            if self._inode.get(path) != found.st_ino or found.st_size < self._read.get(path, 0):
                self._inode[path] = found.st_ino  # removed and begun anew since
                self._read.pop(path, None)
                self._rest.pop(path, None)
            if found.st_size == self._read.get(path, 0):
                return
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                while chunk := file.read(_CHUNK):
                    self._read[path] = file.tell()
                    *whole, self._rest[path] = (self._rest.get(path, b"") + chunk).split(b"\n")
                    yield from filter(None, whole)
        except FileNotFoundError:
            return


def events(folder: Path, *, since_ms: int = 0, wanted: Wanted = Wanted()) -> list[Event]:
    """The events from `since_ms` on, in order of time."""
    found = [event for event in Follower(folder, since_ms).new() if wanted(event)]
    return sorted(found, key=lambda event: str(event["time"]))


def runs(folder: Path) -> list[Event]:
    """The events that begin and end runs, in order of time, as far back as the log goes."""
    found = []
    follower = Follower(folder)
    for _, path in segments(folder):
        # Decoding all lines for the few that matter would take seconds; the writer's order of keys is ours.
        found += [
            event for line in follower.lines(path) if b'"event":"run.' in line and (event := _decoded(line)) is not None
        ]
    return sorted(found, key=lambda event: str(event["time"]))


def _decoded(line: bytes) -> Event | None:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) and "time" in event else None
