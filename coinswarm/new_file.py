"""Files that are there whole or not at all: written beside their place, and put there when they are complete."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def place(part: Path, final: Path) -> None:
    """Give `part` the name `final`. Raises `FileExistsError` where something has it: nothing is replaced, no link
    followed."""
    try:
        final.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
        part.rename(final)  # a file system without hard links
    else:
        part.unlink()


def sync(path: Path) -> None:
    """Wait until a file is on the disk, or a folder with the names in it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
