"""Where dead letters are written to: a new file, or stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

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
        from coinswarm.dead_letters import csv_lines, json_line

        if self._form == "csv":
            text, left_out = csv_lines(records)
            self.left_out += left_out
        else:
            text = "".join(map(json_line, records))
        self._write(text)
        self.count += len(records)

    def keep(self, records: Sequence[DeadLetterRecord]) -> None:
        """As `add`, and on the disk when it returns."""
        self.add(records)
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise OutputLost(f"the archive could not be written: {error.strerror}; nothing more is deleted") from None

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
    """An archive in a file that is not there yet, readable by its owner only. Raises `UsageError` if it is."""
    if path == "-":
        target = Archive(sys.stdout, form)
        target.begin()
        yield target
        return
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", hint="Name a file that is not: nothing is overwritten.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            _sync_folder(path)
            target = Archive(stream, form)
            target.begin()
            yield target
    except OSError as error:
        raise OutputLost(f"{path} could not be written: {error.strerror}") from None


def _sync_folder(path: str) -> None:
    """The name of a new file is on disk only when its folder is."""
    handle = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)  # noqa: PTH100, PTH120
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
