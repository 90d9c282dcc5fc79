"""Where dead letters are written to: a new file, or stdout."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from coinswarm import new_file
from coinswarm.errors import OutputLost, UsageError

if TYPE_CHECKING:
    from coinswarm.queue.letters import DeadLetterRecord


class Archive:
    """Counts what it writes."""

    def __init__(self, stream: TextIO, form: str) -> None:
        self._stream, self._form = stream, form
        self.count = 0
        self.left_out = 0
        """Rows that are no candles, which CSV has no place for."""

    def begin(self) -> None:
        from coinswarm.dead_letters import csv_lines

        if self._form == "csv":
            self._write(csv_lines([], header=True)[0])

    def add(self, records: Sequence[DeadLetterRecord]) -> None:
        """Raises `OutputLost` when it cannot be written."""
        from coinswarm import render
        from coinswarm.dead_letters import csv_lines, json_line

        if self._form == "csv":
            text, left_out = csv_lines(records, shown=render.printable if self._stream.isatty() else str)
            self.left_out += left_out
        else:
            text = "".join(map(json_line, records))
        self._write(text)
        self.count += len(records)

    def keep(self, records: Sequence[DeadLetterRecord]) -> None:
        """As `add`, and on the disk when it returns."""
        self.add(records)
        try:
            self.sync()
        except OSError as error:
            raise OutputLost(f"the archive could not be written: {error.strerror}; nothing more is deleted") from None

    def sync(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _write(self, text: str) -> None:
        from coinswarm import render

        if self._stream is sys.stdout:
            render.write(text, sys.stdout)
            return
        try:
            self._stream.write(text)
        except OSError as error:
            raise OutputLost(f"the file could not be written: {error.strerror}") from None


@contextmanager
def archive(path: str, form: str) -> Iterator[Archive]:
    """An archive that grows in a new file, readable by its owner only. Raises `UsageError` if it is there already."""
    with _begun(path, Path(path), form) as target:
        new_file.sync(Path(path).absolute().parent)  # the name of a new file is on disk only when its folder is
        yield target
    if target.count == 0:  # nothing to keep, and the same command will want the name
        Path(path).unlink(missing_ok=True)


@contextmanager
def whole_archive(path: str, form: str) -> Iterator[Archive]:
    """As `archive`, but the file has its name only when the block ended well; or stdout (`-`)."""
    if path == "-":
        target = Archive(sys.stdout, form)
        target.begin()
        yield target
        return
    final = Path(path)
    if os.path.lexists(final):
        raise _exists(path)
    part = final.absolute().with_name(f".{secrets.token_hex(8)}.part")
    try:
        with _begun(path, part, form) as target:
            yield target
            target.sync()
        _place(part, final, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _begun(path: str, file: Path, form: str) -> Iterator[Archive]:
    """An archive in the new `file`, which the user knows as `path`."""
    try:
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            target = Archive(stream, form)
            target.begin()
            yield target
    except OSError as error:
        raise OutputLost(f"{path} could not be written: {error.strerror}") from None


def _place(part: Path, final: Path, path: str) -> None:
    try:
        new_file.place(part, final)
        new_file.sync(final.absolute().parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise OutputLost(f"{path} could not be written: {error.strerror}") from None


def _exists(path: str) -> UsageError:
    return UsageError(f"{path} is there already", hint="Name a file that is not: nothing is overwritten.")
