"""Folders for what is needed for a while: each is held by its process, so another may clear what was left behind."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from coinswarm.storage import translated

_DAY_SECONDS = 86_400


@contextmanager
def scratch(directory: Path, what: str, *kinds: str, now: float) -> Iterator[Path]:
    """A folder `.what-…` that goes when it is done with. Those of killed processes go a day later, also of `kinds`."""
    with translated(directory), ExitStack() as opened:
        with held(directory, wait=True):
            for kind in (what, *kinds):
                discard(directory, f".{kind}-*", before=now - _DAY_SECONDS)
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(dir=directory, prefix=f".{what}-")))
            opened.enter_context(held(folder))
        yield folder


def discard(directory: Path, pattern: str, *, before: float = math.inf) -> None:
    """Delete the folders and files there that are older than a time and that nobody holds."""
    for stray in directory.glob(pattern):
        with suppress(OSError):
            if stray.lstat().st_mtime < before:
                with held(stray):
                    shutil.rmtree(stray) if stray.is_dir() else stray.unlink()


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Nobody else holds `path`, whatever its age seems to be: a clock may be wrong. Raises `BlockingIOError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
