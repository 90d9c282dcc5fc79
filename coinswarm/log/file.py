"""The log as files: JSON lines in numbered segments, written by as many processes as there are.

A line is one `write` to a file opened with O_APPEND, so that lines of several processes never mix. A full segment is
followed by one with the next number and never renamed: nobody has to agree with anybody on when, and a reader that
follows loses nothing. Lines are not synced to the disk; they tell of work whose own durability lies elsewhere.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from coinswarm.clock import Clock
from coinswarm.config.disguises import undisguised
from coinswarm.config.masking import MASK, looks_secret, names_a_secret
from coinswarm.log import Log

SEGMENT_BYTES: Final = 8_000_000
SEGMENTS: Final = 6
"""Together 48 MB at most, and one line of each process more."""
TEXT_CHARACTERS: Final = 1_000
"""Of one text in a field; a source's reply can be as long as it likes."""
_NAME: Final = re.compile(r"events-(\d{6,12})\.jsonl")
_URL: Final = re.compile(r"https?://\S+")


def log_folder(state_dir: Path) -> Path:
    """Where the log lies: beside the queues."""
    return state_dir / "v3" / "coinswarm" / "log"


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The segments there are, by number, oldest first. None where there is no folder."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return sorted((int(found[1]), folder / name) for name in names if (found := _NAME.fullmatch(name)))


def iso_ms(now_ms: int) -> str:
    """`2026-11-23T22:15:23.042Z`: of one length, so that texts compare as times do."""
    whole = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}Z"


class FileLog:
    """Writes events of one run; `for_run` shares the file. A log that cannot be written says so once and is silent.

    `hidden` are texts that never appear in it, such as API keys; what is called or looks like a secret does not either.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        hidden: Iterable[str] = (),
        segment_bytes: int = SEGMENT_BYTES,
        keep: int = SEGMENTS,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._writer = _Writer(folder, segment_bytes, keep, told or _to_stderr)
        self._clock = clock
        self._hidden = tuple(sorted(filter(None, hidden), key=len, reverse=True))
        self._run = secrets.token_hex(4)

    def event(self, name: str, /, **fields: Any) -> None:
        line = {"time": iso_ms(self._clock.now_ms()), "run": self._run, "event": name}
        shown = {key: self._shown(key, value) for key, value in fields.items() if value is not None}
        self._writer.write(msgspec.json.encode(line | shown, enc_hook=str) + b"\n")

    def for_run(self) -> Log:
        other = object.__new__(FileLog)
        other._writer, other._clock, other._hidden = self._writer, self._clock, self._hidden
        other._run = secrets.token_hex(4)
        return other

    def close(self) -> None:
        self._writer.close()

    def _shown(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return MASK if names_a_secret(key) else self._masked(value)
        if isinstance(value, dict):
            return {name: self._shown(str(name), item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._shown(key, item) for item in value]
        return value

    def _masked(self, text: str) -> str:
        for secret in self._hidden:
            if secret in text:
                text = text.replace(secret, MASK)
            text = undisguised(text, secret, MASK)
        if "://" in text:
            text = _URL.sub(lambda url: MASK if looks_secret(url[0]) else url[0], text)
        text = text.encode(errors="backslashreplace").decode()
        return text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…"


class _Writer:
    """The segment that lines go to now. Threads share it."""

    def __init__(self, folder: Path, segment_bytes: int, keep: int, told: Callable[[str], None]) -> None:
        self._folder, self._segment_bytes, self._keep, self._told = folder, segment_bytes, keep, told
        self._descriptor: int | None = None
        self._complained = self._torn = False
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        with self._lock:
            try:
                descriptor = self._with_room()
                whole = b"\n" + line if self._torn else line
                self._torn = False
                self._torn = os.write(descriptor, whole) < len(whole)
                if self._torn:
                    self._complain("the disk is full")
            except OSError as error:
                self._complain(error.strerror or str(error))

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _with_room(self) -> int:
        if self._descriptor is not None:
            status = os.fstat(self._descriptor)
            if status.st_nlink and status.st_size < self._segment_bytes:
                return self._descriptor
            os.close(self._descriptor)
            self._descriptor = None
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, path = (segments(self._folder) or [(1, self._path(1))])[-1]
        if path.exists() and path.stat().st_size >= self._segment_bytes:
            number += 1
        self._descriptor = os.open(self._path(number), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for old, gone in segments(self._folder):
            if old <= number - self._keep:
                gone.unlink(missing_ok=True)
        return self._descriptor

    def _path(self, number: int) -> Path:
        return self._folder / f"events-{number:06d}.jsonl"

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            self._told(f"the log in {self._folder} cannot be written ({why}); the work itself goes on without it")


def _to_stderr(text: str) -> None:
    sys.stderr.write("⚠ " + "".join(c if c.isprintable() else "?" for c in text) + "\n")
