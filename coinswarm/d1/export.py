"""A local database as a file of SQL text, and files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from coinswarm.d1.dump import dump
from coinswarm.errors import OutputLost, SqlError, StorageError, StorageFull, UsageError
from coinswarm.storage import connect, translated

STDOUT: Final = Path("-")
TABLES: Final = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
_HINT: Final = "Choose another file with --output FILE."
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def export(
    path: Path, target: BinaryIO, *, tables: Collection[str] = (), schema: bool = True, data: bool = True
) -> None:
    """Write the local database in `path` as one consistent state, a statement at a time; others may write meanwhile.

    Raises `StorageError` when there is none or it cannot be read, `SqlError` for virtual tables.
    """
    if not path.exists():
        raise StorageError(
            f"{path} does not exist: this database has no local state yet", hint="See: coinswarm d1 list"
        )
    with closing(connect(path, create=False)) as connection:
        with translated(path):
            connection.execute("BEGIN")
            check_tables(tables, [row[0] for row in connection.execute(TABLES)])
        statements = dump(connection, tables=tables, schema=schema, data=data)
        while True:
            with translated(path):
                statement = next(statements, None)
            if statement is None:
                return
            target.write(statement.encode() + b"\n")


def check_tables(wanted: Collection[str], there: Collection[str]) -> None:
    """Raises `SqlError` for a table that is not there: D1 would export nothing in its place, without a word."""
    missing = [table for table in wanted if table not in there]
    if missing:
        raise SqlError(f"no such table: {', '.join(missing)}", hint=f"There are: {', '.join(sorted(there)) or 'none'}")


@contextmanager
def output(path: Path) -> Iterator[BinaryIO]:
    """A file for the block to write; at `path` it appears when the block ends well, in place of what was there.

    `-` and what is no regular file (a pipe, a device) get the bytes at the end of the block. Raises `UsageError` at
    once for a path that cannot be written, `StorageError` or `OutputLost` when the bytes do not fit.
    """
    if path == STDOUT or _is_stream(path):
        with tempfile.TemporaryFile() as whole, _written(path):
            yield whole
            whole.seek(0)
            _copy(whole, path)
        return
    final = Path(os.path.realpath(path))  # a link stays one
    part = final.with_name(f".{secrets.token_hex(8)}.part")
    try:
        if final.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb+")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint=_HINT) from None
    try:
        with file, _written(path):
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _written(path):
            part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def _is_stream(path: Path) -> bool:
    """A pipe or a device, which a rename would put away."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _copy(whole: BinaryIO, path: Path) -> None:
    if path != STDOUT:
        with path.open("wb") as stream:
            shutil.copyfileobj(whole, stream)
        return
    with suppress(BrokenPipeError):
        if sys.stdout.isatty():
            sys.stdout.buffer.writelines(map(_harmless, whole))
        else:
            shutil.copyfileobj(whole, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _harmless(line: bytes) -> bytes:
    """As a terminal may be sent it: what rows hold must not steer it. A file or pipe gets the bytes."""
    text = line.decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text).encode()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if path == STDOUT:
            raise OutputLost(f"the output could not be written: {error.strerror}") from None
        kind = StorageFull if error.errno in _FULL else StorageError
        hint = "Free some space and run the same command again." if kind is StorageFull else _HINT
        raise kind(f"{path} could not be written: {error.strerror}; nothing was put there", hint=hint) from None
