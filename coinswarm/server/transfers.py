"""SQL files that go in and out beside the API: uploads for imports, downloads of exports.

Their paths hold a secret of 256 bits instead of asking for the token: wrangler sends none there. An upload's path works
once, a download's for an hour.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coinswarm.clock import Clock
from coinswarm.d1.catalogue import Catalogue
from coinswarm.d1.dump import dump
from coinswarm.d1.ingest import Ingested, ingest, statements
from coinswarm.d1.scratch import discard, held, scratch
from coinswarm.d1.snapshots import Point
from coinswarm.d1.time_travel import TimeTravel
from coinswarm.d1.wire import encode_meta
from coinswarm.errors import InvalidRequest, NotRouted
from coinswarm.server.jobs import Job, Jobs
from coinswarm.server.usage import Usage
from coinswarm.storage import connect, translated

VALID_SECONDS: Final = 3600.0


@dataclass(slots=True)
class Ticket:
    """The right to put or get one file."""

    database_id: str
    filename: str
    etag: str
    """MD5 of the contents in hexadecimal."""
    path: Path
    expires_at: float
    complete: bool = False
    """Whether the file is there, whole."""


class Transfers:
    """Exports and imports of the account's databases. May be used from several threads."""

    def __init__(
        self,
        folder: Path,
        catalogue: Catalogue,
        time_travel: TimeTravel,
        usage: Usage,
        jobs: Jobs,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._time_travel = time_travel
        self._usage = usage
        self.jobs = jobs
        self._clock = clock
        self._lock = threading.Lock()
        self._uploads: dict[str, Ticket] = {}
        self._downloads: dict[str, Ticket] = {}
        self._held = ExitStack()
        self._own: Path | None = None
        """The folder of this process, once there is something to put there."""
        self._discard_strays()

    def export(self, identifier: str, *, tables: Collection[str], schema: bool, data: bool) -> Job:
        """Begin to write the database as SQL text. Raises `DatabaseNotFound`."""
        info = self._catalogue.info(identifier)

        def work(job: Job) -> dict[str, Any]:
            self._mark(info.uuid, job)
            secret = secrets.token_urlsafe(32)
            filename = f"{info.name}-{job.bookmark}.sql"
            path = self._path(secret)
            try:
                count = self._write(self._catalogue.path(info), path, tables, schema, data)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            ticket = Ticket(info.uuid, filename, "", path, self._clock.monotonic() + VALID_SECONDS, complete=True)
            with self._lock:
                self._downloads[secret] = ticket
            job.messages.append(f"Exported {count} statements")
            return {"filename": filename, "signed_url": f"/transfers/{secret}/{filename}"}

        return self.jobs.start("export", info.uuid, self._time_travel.name(info.uuid), work)

    def _mark(self, database_id: str, job: Job) -> Point | None:
        """Take the restore point that the job's bookmark promises."""
        point = self._time_travel.named_now(database_id, job.bookmark)
        if point is None:
            job.messages.append("There is no restore point of the state before: it could not be stored")
        return point

    def _write(self, database: Path, target: Path, tables: Collection[str], schema: bool, data: bool) -> int:
        count = 0
        with closing(connect(database)) as connection, translated(database):
            connection.execute("BEGIN")
            with target.open("w", encoding="utf-8", newline="\n") as file:
                for statement in dump(connection, tables=tables, schema=schema, data=data):
                    file.write(statement + "\n")
                    count += 1
                    if self.jobs.stopping.is_set():
                        raise InvalidRequest("The server stopped during the export.")
        return count

    def begin_import(self, identifier: str, etag: str) -> tuple[str, str] | Job:
        """The secret of an upload and its file's name; or the import's job, if the file is here already."""
        info = self._catalogue.info(identifier)
        with self._lock:
            waiting = [t for t in self._uploads.values() if t.complete and (t.database_id, t.etag) == (info.uuid, etag)]
        if waiting:
            return self.ingest(identifier, waiting[0].filename, etag)
        secret, filename = secrets.token_urlsafe(32), f"{secrets.token_hex(8)}.{etag}.sql"
        ticket = Ticket(info.uuid, filename, etag, self._path(secret), self._clock.monotonic() + VALID_SECONDS)
        with self._lock:
            self._uploads[secret] = ticket
        return secret, filename

    def upload(self, secret: str) -> Ticket:
        """The upload of that path. Raises `NotRouted` when there is none, or no more."""
        self._clean()
        with self._lock:
            ticket = self._uploads.get(secret)
        if ticket is None or ticket.complete:
            raise NotRouted("This upload does not exist or is over.")
        return ticket

    def download(self, secret: str) -> Ticket:
        """The download of that path. Raises `NotRouted` when there is none, or no more."""
        self._clean()
        with self._lock:
            ticket = self._downloads.get(secret)
        if ticket is None:
            raise NotRouted("This download does not exist or is over.")
        return ticket

    def ingest(self, identifier: str, filename: str, etag: str) -> Job:
        """Begin to run an uploaded file, all or nothing. Raises `DatabaseNotFound`, `InvalidRequest`."""
        info = self._catalogue.info(identifier)
        wanted = (info.uuid, filename, etag)
        with self._lock:
            found = [
                (secret, t)
                for secret, t in self._uploads.items()
                if t.complete and (t.database_id, t.filename, t.etag) == wanted
            ]
        if not found:
            raise InvalidRequest(f"The file {filename!r} was not uploaded")
        secret, ticket = found[0]

        def work(job: Job) -> dict[str, Any]:
            try:
                before = self._mark(info.uuid, job)
                with ticket.path.open("rb") as file:
                    done = ingest(
                        self._catalogue.path(info), statements(file), clock=self._clock, stop=self.jobs.stopping.is_set
                    )
            finally:
                self._forget(secret, ticket)
            job.messages.append(f"Processed {done.queries} queries.")
            return self._imported(info.uuid, done, before)

        return self.jobs.start("import", info.uuid, self._time_travel.name(info.uuid), work)

    def _imported(self, database_id: str, done: Ingested, before: Point | None) -> dict[str, Any]:
        self._usage.count(database_id, [done.result])
        point = self._time_travel.named_now(database_id) or before  # the newest that can be restored
        return {
            "num_queries": done.queries,
            "meta": encode_meta(done.result.meta),
            **({"final_bookmark": point.bookmark} if point else {}),
        }

    def _forget(self, secret: str, ticket: Ticket) -> None:
        with self._lock:
            self._uploads.pop(secret, None)
        ticket.path.unlink(missing_ok=True)

    def _path(self, secret: str) -> Path:
        with self._lock, translated(self._folder):
            if self._own is None:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._own = self._held.enter_context(scratch(self._folder, "server", now=self._clock.now_ms() / 1000))
            return self._own / f"{secret}.sql"

    def _discard_strays(self) -> None:
        """Delete what processes that were killed have left: nobody knows the way to it any more."""
        with suppress(OSError), held(self._folder, wait=True):
            discard(self._folder, "*")

    def _clean(self) -> None:
        """Delete what has expired."""
        now = self._clock.monotonic()
        with self._lock:
            for tickets in (self._uploads, self._downloads):
                for secret in [s for s, ticket in tickets.items() if ticket.expires_at < now]:
                    with suppress(OSError):
                        tickets.pop(secret).path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop what runs; the files of this process go."""
        self.jobs.close()
        for ticket in (*self._uploads.values(), *self._downloads.values()):
            with suppress(OSError):
                ticket.path.unlink(missing_ok=True)
        with suppress(OSError):
            self._held.close()
            self._folder.rmdir()
