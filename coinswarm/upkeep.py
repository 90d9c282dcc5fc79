"""The composition root of upkeep: which local files a stack has, for checks, backups and Time Travel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coinswarm import wiring
from coinswarm.clock import Clock
from coinswarm.cloudflare_account import cloudflare
from coinswarm.config import Stack
from coinswarm.errors import DatabaseNotFound, StorageError, UsageError

if TYPE_CHECKING:
    from coinswarm.config import D1Database
    from coinswarm.d1.ingest import Ingested
    from coinswarm.d1.past import Past
    from coinswarm.fsck.findings import Checked, Rule


def database_file(stack: Stack, key: str | None) -> tuple[str, Path]:
    """Name and file of a local database. Raises `StorageError` where it has no file yet."""
    declared = stack.database(key)
    path = path_of(declared, stack)
    if not path.exists():
        raise StorageError(
            f"{declared.name} has no local state yet: {path} does not exist",
            hint="Create it with: coinswarm d1 migrations apply",
        )
    return declared.name, path


def path_of(declared: D1Database, stack: Stack) -> Path:
    from coinswarm.d1.path import database_path

    return database_path(declared.local_id, stack.state_dir)


def import_file(stack: Stack, key: str | None, file: Path, clock: Clock) -> Ingested:
    """Run a file of SQL in the local database, all or nothing. Raises `UsageError` for what cannot be read."""
    from coinswarm.d1.ingest import ingest, statements

    path = path_of(stack.database(key), stack)
    try:
        with file.open("rb") as source:
            return ingest(path, statements(source), clock=clock, stop=lambda: False)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None


@contextmanager
def past(stack: Stack, key: str | None, clock: Clock, *, remote: bool) -> Iterator[Past]:
    """Time Travel of one database, here or on Cloudflare."""
    from coinswarm.d1.past import LocalPast, RemotePast
    from coinswarm.d1.path import database_uuid
    from coinswarm.d1.remote import find
    from coinswarm.d1.snapshots import Snapshots

    if remote:
        with cloudflare(stack, clock) as api:
            yield RemotePast(api, find(api, wiring.remote_name(stack, key)))
        return
    name, path = database_file(stack, key)
    declared = stack.database(key)
    points = Snapshots(stack.state_dir / "v3" / "coinswarm" / "time-travel", clock, window_days=stack.time_travel_days)
    yield LocalPast(name, database_uuid(declared.id, declared.local_id), path, points, clock)


class Fsck:
    """The files that one `coinswarm fsck` is about, and what is done to them.

    Without a file or name both stores of the stack are meant, as far as they exist.
    """

    def __init__(
        self, stack: Callable[[], Stack], clock: Clock, stop: Callable[[], bool], *, queue: Path | None, key: str | None
    ) -> None:
        self._clock, self._stop = clock, stop
        self.archives: list[Any] = []
        """Of what has been taken out so far."""
        self.queue_file = queue
        self.database: Path | None = None
        if key is not None:
            self.database = _file_or_database(stack, key)
        elif queue is None:
            configured = stack()
            self.queue_file = _existing(wiring.queue_file(configured))
            self.database = _existing(path_of(configured.database(), configured))

    def check(self) -> list[Checked]:
        """Raises `StorageError` for a file that cannot be read, `Interrupted` when stopped."""
        from coinswarm.fsck.check import check_database, check_queue_file

        checked = []
        if self.queue_file is not None:
            checked.append(check_queue_file(self.queue_file, self._clock, stop=self._stop))
        if self.database is not None:
            checked.append(check_database(self.database, self._clock, stop=self._stop))
        return checked

    def repair(self, rules: dict[Path, list[Rule]], folder: Path) -> list[Any]:
        """The archives of what was taken out, each file's repairs in one transaction."""
        from coinswarm.fsck.repair import repair

        for path, wanted in rules.items():
            self.archives += repair(path, wanted, folder, self._clock, stop=self._stop)
        return self.archives

    def restore(self, path: Path) -> tuple[Path, int, int]:
        """Put an archive back where it came from, or into the file that was named; where, how many rows, and how many
        it holds."""
        from coinswarm.fsck.archive import read_header, restore

        header = read_header(path)
        file = self.database or self.queue_file or header.file
        return file, restore(path, file), header.rows


def _file_or_database(stack: Callable[[], Stack], key: str) -> Path:
    path = Path(key)
    if path.is_file():
        return path
    try:
        configured = stack()
        declared = configured.database(key)
    except DatabaseNotFound as unknown:
        raise UsageError(f"{key} is neither a file nor a database: {unknown.message}", hint=unknown.hint) from None
    file = path_of(declared, configured)
    if not file.exists():
        raise StorageError(f"{declared.name} has no local state yet: {file} does not exist")
    return file


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None
