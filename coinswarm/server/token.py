"""The server's own token, where the user gave none: made once, kept private."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from coinswarm.errors import StorageError
from coinswarm.storage import translated


def load_or_create(path: Path) -> tuple[str, bool]:
    """The token kept in `path`, and whether it was made just now. Raises `StorageError`."""
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = secrets.token_urlsafe(30)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _known(path), False
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        return token, True


def _known(path: Path) -> str:
    token = path.read_text("utf-8", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise StorageError(f"{path} holds no token", hint="Delete the file: the next start makes a new token.")
    if path.stat().st_mode & 0o077:
        raise StorageError(f"{path} can be read by others", hint=f"Keep the token private: chmod 600 {path}")
    return token
