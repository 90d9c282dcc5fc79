"""What a file system and other programs do to a program, for real and undone afterwards."""

from __future__ import annotations

import ctypes
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""
_CAPABILITIES_V3 = 0x20080522
_OVERRIDES_PERMISSIONS = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what lets root read and write everything."""


class Holder:
    """Another process that holds the write lock of an SQLite file until told to let go."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "locked\n"

    def let_go(self) -> None:
        """Returns when the lock is free. A second call does nothing."""
        if self._process.returncode is None:
            self._process.communicate()


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[Holder]:
    holder = Holder(path)
    try:
        yield holder
    finally:
        holder.let_go()


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: the system refuses the write, as a quota would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, module: str, pages: int) -> Iterator[None]:
    """Files opened by `module` cannot grow beyond so many pages: SQLite says what it says when the disk is full."""

    def connect(*args: object, **options: object) -> sqlite3.Connection:
        opened: sqlite3.Connection = original(*args, **options)
        opened.execute(f"PRAGMA max_page_count = {pages}")
        return opened

    original = import_module(module).connect
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.connect", connect)
        yield


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in or below `folder` can be written, not even by root, who is stripped of that power meanwhile."""
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path in reversed(paths):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with _mortal():
            yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@contextmanager
def _mortal() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root may write everything, and here it cannot give that up")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    held = (ctypes.c_uint32 * 6)()  # two words each of effective, permitted, inheritable, the lower words first
    assert libc.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~_OVERRIDES_PERMISSIONS
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0
