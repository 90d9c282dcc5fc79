"""Whole databases and large files of SQL, to and from Cloudflare: what `wrangler d1 export` and `execute --file` speak.

Both are conversations with the API about a file that travels beside it, at an address that is itself the right to it:
the token stays away from there, and the address out of every message.
https://developers.cloudflare.com/d1/best-practices/import-export-data/
"""

from __future__ import annotations

import codecs
import hashlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpx

from coinswarm.cloudflare import CloudflareApi, segment
from coinswarm.d1 import wire
from coinswarm.d1.export import TABLES, check_tables
from coinswarm.d1.remote import NOT_THE_STATEMENT, USE_HINT, DatabaseInfo, RemoteDatabase, as_database_errors, decode
from coinswarm.d1.types import Meta
from coinswarm.errors import ApiUnavailable, DatabaseError, DatabaseUnavailable, SqlError, UsageError
from coinswarm.limits import D1
from coinswarm.transport import RetryPolicy
from coinswarm.transport.bodies import unpackable
from coinswarm.transport.retrying import patiently

IMPORT_FROM: Final = 1_000_000
"""Bytes from which a file is imported instead of being sent as one query, which D1 ends after 30 seconds."""
POLL_SECONDS: Final = 1.0
"""Cloudflare holds an answer about so long; where it does not, we wait. An export that nobody asks for is given up."""
_POLICY: Final = RetryPolicy(attempts=5)
_READ_BYTES: Final = 1 << 18
EXPORT_BYTES: Final = 50_000_000_000
"""As text a database of 10 GB is larger than its file, blobs twice as large; never five times."""
_TIMEOUT: Final = httpx.Timeout(120.0, connect=10.0)
_SQLITE_FILE: Final = b"SQLite format 3"
_NO_SQL: Final = "An SQLite file is not SQL: dump it first."

Told = Callable[[str], None]
"""Is told what the other side reports while it works."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file did to the database."""

    queries: int
    bookmark: str
    """The state after it, for Time Travel."""
    meta: Meta

    def as_json(self) -> dict[str, Any]:
        """As `wrangler d1 execute --remote --file --json` prints it."""
        meta = self.meta
        shown = {
            "Total queries executed": self.queries,
            "Rows read": meta.rows_read,
            "Rows written": meta.rows_written,
            "Database size (MB)": f"{meta.size_after / 1_000_000:.2f}",
        }
        return {"results": [shown], "success": True, "finalBookmark": self.bookmark, "meta": meta.as_json()}


class Transfer:
    """Export and import of one database. `files` carries the files alone and must not know the token."""

    def __init__(self, api: CloudflareApi, database: DatabaseInfo, *, files: httpx.Client) -> None:
        self._api, self._files, self.database = api, files, database
        self._path = f"{api.account}/d1/database/{segment(database.id)}"

    def export(
        self,
        target: BinaryIO,
        *,
        tables: Collection[str] = (),
        schema: bool = True,
        data: bool = True,
        told: Told = lambda _: None,
    ) -> None:
        """Write the database as SQL text to `target`, a seekable file; D1 serves nobody else meanwhile.

        Raises `SqlError` for what D1 cannot export, `DatabaseUnavailable` where the text does not arrive whole.
        """
        options = {"no_schema": not schema, "no_data": not data, "tables": list(tables)}
        body: dict[str, Any] = {"output_format": "polling", "dump_options": options}
        if tables:
            found = RemoteDatabase(self._api, self.database.id, self.database.name).execute(TABLES)
            check_tables(tables, [str(row[0]) for row in found[0].rows])
        with as_database_errors():
            document = self._ask("export", body, repeatable=True)
            done = self._finished("export", document, body, told)
            url = _address(done.get("signed_url"), self._api.base_url)
            self._patiently(lambda: self._download(url, target))

    def run_file(self, file: Path, *, told: Told = lambda _: None) -> Imported:
        """Run a file of SQL, all of it or nothing. Raises `UsageError` for what is no such file, else as `export`."""
        with _readable(file), file.open("rb") as source:
            etag = digest(source, file)
            with as_database_errors():
                document = self._ask("import", {"action": "init", "etag": etag})
                if document.get("upload_url"):  # else the file is there already, and runs
                    url = _address(document["upload_url"], self._api.base_url)
                    self._patiently(lambda: self._upload(url, source, etag))
                    told(f"Uploaded {file.name}.")
                    uploaded = {"action": "ingest", "filename": document.get("filename"), "etag": etag}
                    document = self._ask("import", uploaded)
                done = self._finished("import", document, {"action": "poll"}, told)
        queries, bookmark = done.get("num_queries") or 0, done.get("final_bookmark") or ""
        return Imported(queries, bookmark, wire.decode_meta(done.get("meta")))

    def _ask(self, noun: str, body: Mapping[str, Any], *, repeatable: bool = False) -> Mapping[str, Any]:
        reply = self._api.call(
            "POST", f"{self._path}/{noun}", body=body, repeatable=repeatable, seconds=60.0, decode=decode
        )
        if not isinstance(reply.result, dict):
            raise DatabaseUnavailable(f"the reply about the {noun} of {self.database.name} does not hold its state")
        return reply.result

    def _finished(
        self, noun: str, document: Mapping[str, Any], body: Mapping[str, Any], told: Told
    ) -> Mapping[str, Any]:
        """Ask until it is over; the result. Asking again is harmless."""
        clock = self._api.clock
        asked_at = clock.monotonic()
        while True:
            for message in document.get("messages") or ():
                told(str(message))
            status, bookmark = document.get("status"), document.get("at_bookmark")
            if status == "error" or document.get("success") is False:
                raise _failure(noun, document)
            if status == "complete":
                result = document.get("result")
                return result if isinstance(result, dict) else {}
            if not isinstance(bookmark, str):
                raise DatabaseError(f"the {noun} of {self.database.name} cannot be followed: the reply has no bookmark")
            clock.sleep(POLL_SECONDS - (clock.monotonic() - asked_at))
            asked_at = clock.monotonic()
            document = self._ask(noun, {**body, "current_bookmark": bookmark}, repeatable=True)

    def _download(self, url: httpx.URL, target: BinaryIO) -> None:
        with _network(url), self._files.stream("GET", url, timeout=_TIMEOUT) as response:
            _check(response, "the exported file")
            if not unpackable(response.headers):
                raise DatabaseError(f"{url.host} packed the exported file in a way that was not asked for, or twice")
            target.seek(0)
            target.truncate()
            for size, chunk in _counted(response.iter_bytes()):
                if size > EXPORT_BYTES:
                    raise DatabaseError(f"{url.host} sends more than any database of D1 can hold")
                target.write(chunk)

    def _upload(self, url: httpx.URL, source: BinaryIO, etag: str) -> None:
        source.seek(0)
        with _network(url), self._files.stream("PUT", url, content=source, timeout=_TIMEOUT) as response:
            _check(response, "the upload")  # its body is nobody's concern, however long it is
        if response.headers.get("etag", "").removeprefix("W/").strip('"').lower() != etag:
            raise DatabaseError(
                "the file did not upload as it is here; nothing was run",
                hint="Run the same command again, while nobody writes to the file.",
            )

    def _patiently(self, attempt: Callable[[], None]) -> None:
        patiently(attempt, policy=_POLICY, clock=self._api.clock, again=lambda e: e.retryable, jitter=random.random)


def digest(source: BinaryIO, file: Path) -> str:
    """The MD5 by which Cloudflare knows the file. Raises `UsageError` for what is not SQL text of a size it takes."""
    md5, size = hashlib.md5(usedforsecurity=False), 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    while True:
        piece = source.read(_READ_BYTES)
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError:
            raise UsageError(f"{file} is not UTF-8 text", hint=_NO_SQL) from None
        if not size and piece.startswith(_SQLITE_FILE):
            raise UsageError(f"{file} is an SQLite file", hint=_NO_SQL)
        md5.update(piece)
        size += len(piece)
        if size > D1.import_bytes:
            raise UsageError(f"{file} is larger than the {D1.import_bytes:,} bytes D1 imports", hint="Split it.")
        if not piece:
            return md5.hexdigest()


def _failure(noun: str, document: Mapping[str, Any]) -> DatabaseError:
    """wrangler reads `errors`, the SDKs `error`; either may be all there is."""
    listed = document.get("errors")
    found = [document.get("error"), *(listed if isinstance(listed, list) else ())]
    texts = [str(each.get("message", each)) if isinstance(each, dict) else str(each) for each in found if each]
    message = "; ".join(dict.fromkeys(texts)) or f"the {noun} failed; D1 does not say why"
    if any(part in message for part in NOT_THE_STATEMENT):
        return DatabaseError(message, hint=USE_HINT)
    if any(part in message for part in wire.TRANSIENT):
        return DatabaseUnavailable(message, hint="Run the same command again.")
    return SqlError(message)


def _counted(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each chunk with the bytes there were up to its end."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        yield size, chunk


def _address(text: object, base_url: str) -> httpx.URL:
    """Only what HTTP leads to, and no way from https back to http. Raises `DatabaseError`."""
    try:
        url = httpx.URL(text) if isinstance(text, str) else None
    except httpx.InvalidURL:
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise DatabaseError("Cloudflare's reply names no address of the file that begins with https:// or http://")
    if base_url.startswith("https:") and url.scheme != "https":
        raise DatabaseError(f"Cloudflare's reply leads from https to http at {url.host}, which is not followed")
    return url


def _check(response: httpx.Response, what: str) -> None:
    host, status = response.url.netloc.decode("ascii", "replace").rpartition("@")[2], response.status_code
    if status == 429 or status >= 500:
        raise ApiUnavailable(f"{host} answered HTTP {status} to {what}")
    if status != 200:
        raise DatabaseError(f"{host} answered HTTP {status} to {what}", hint="Run the same command again.")


@contextmanager
def _network(url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError as error:
        raise ApiUnavailable(f"cannot connect to {url.host}: {error}", hint="Check the network connection.") from error
    except httpx.TimeoutException as error:
        raise ApiUnavailable(f"{url.host} did not answer in time") from error
    except httpx.RequestError as error:
        raise ApiUnavailable(f"the connection to {url.host} broke off: {str(error) or type(error).__name__}") from error


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
