"""A database copied to a file of its own while others write to it: one state, checked, there whole or not at all."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from coinswarm import new_file
from coinswarm.errors import StorageCorrupt, UsageError
from coinswarm.interrupt import Interrupted
from coinswarm.storage import attach, connect, translated

PAGES_A_STEP: Final = 2_000
"""Some 8 MB; between two steps the user may stop the copy."""


def backup(
    source: Path,
    target: Path,
    *,
    force: bool = False,
    stop: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], object] = lambda _done, _total: None,
) -> int:
    """Copy the database in `source` to `target` and return its size in bytes. `told` hears pages copied and all pages.

    The copy is the state at the beginning: a read transaction holds it, writers go on and are not kept waiting.
    Raises `UsageError` for a target that is there already and not to be replaced, or a symbolic link, `StorageError`,
    or `Interrupted` when `stop` says so; then nothing is left at `target`.
    """
    final = target.absolute()
    _refuse(source, target, final, force=force)
    part = final.with_name(f".{secrets.token_hex(8)}.part")

    def after_step(_status: int, remaining: int, total: int) -> None:
        told(total - remaining, total)
        if stop():
            raise Interrupted

    try:
        with closing(attach(source)) as origin, translated(source):
            origin.execute("BEGIN")
            origin.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            with closing(connect(part)) as copy, translated(target):
                copy.execute("PRAGMA journal_mode=OFF")
                copy.execute("PRAGMA synchronous=OFF")
                origin.backup(copy, pages=PAGES_A_STEP, progress=after_step)
                copy.execute("PRAGMA journal_mode=DELETE")
                _check(copy, source, stop)
        with translated(target):
            new_file.sync(part)
            _put(part, final, target, force=force)
            new_file.sync(final.parent)
        return final.stat().st_size
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _refuse(source: Path, target: Path, final: Path, *, force: bool) -> None:
    if final.is_symlink():
        raise UsageError(
            f"{target} is a symbolic link; nothing is written through one", hint="Name the file itself with --output."
        )
    if final.is_dir():
        raise UsageError(f"{target} is a folder", hint="Choose a file with --output FILE.")
    if not final.parent.is_dir():
        raise UsageError(f"{target} cannot be written: there is no folder {final.parent}")
    if final.exists():
        if final.samefile(source):
            raise UsageError(f"{target} is the database itself", hint="Choose another file with --output FILE.")
        if not force:
            raise _exists(target)
        if any(Path(f"{final}{suffix}").exists() for suffix in ("-wal", "-journal")):
            raise UsageError(f"{target} is a database in use", hint="Choose another file with --output FILE.")


def _check(copy: sqlite3.Connection, source: Path, stop: Callable[[], bool]) -> None:
    copy.set_progress_handler(stop, 100_000)
    try:
        said = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(5)")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT and stop():
            raise Interrupted from error
        raise
    finally:
        copy.set_progress_handler(None, 0)
    if said != ["ok"]:
        raise StorageCorrupt(
            f"{source} is damaged, and so would be its backup: {said[0]}",
            hint=f"See all of it: coinswarm fsck --database {source}",
        )


def _put(part: Path, final: Path, target: Path, *, force: bool) -> None:
    """Without `force` a file that somebody has put there meanwhile stays."""
    if force:
        part.replace(final)
        return
    try:
        new_file.place(part, final)
    except FileExistsError:
        raise _exists(target) from None


def _exists(target: Path) -> UsageError:
    return UsageError(
        f"{target} exists; it was not replaced", hint="Give --force to replace it, or another --output FILE."
    )
