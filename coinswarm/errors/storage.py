"""What goes wrong with a local SQLite file."""

from __future__ import annotations

from coinswarm.errors.base import CoinswarmError


class StorageError(CoinswarmError):
    """A local database file cannot be used."""


class StorageLocked(StorageError):
    """Another process holds the lock on the file."""

    retryable = True
    default_hint = "Wait for the other process, or look for it with: fuser FILE"


class StorageFull(StorageError):
    """The disk is full."""

    default_hint = "Free some space and run the same command again."


class StorageReadOnly(StorageError):
    """The file or its folder cannot be written."""

    default_hint = "Check the owner and permissions, or choose another folder with --persist-to DIR."


class StorageCorrupt(StorageError):
    """The file is not a healthy SQLite database."""

    default_hint = "Keep a copy, then try: sqlite3 FILE .recover"


class StorageTooNew(StorageError):
    """The file was written by a newer coinswarm."""

    default_hint = "Upgrade coinswarm; a newer file is never downgraded."
