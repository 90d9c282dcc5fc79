"""`coinswarm d1 export` and large `d1 execute --file`: whole or not at all, here and on Cloudflare."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from coinswarm.clock import ManualClock
from coinswarm.d1.path import database_path
from coinswarm.d1.remote import DatabaseInfo
from coinswarm.d1.transfer import IMPORT_FROM, Transfer
from coinswarm.errors import CoinswarmError, DatabaseError, DatabaseUnavailable, SqlError
from tests.support.cloudflare import TOKEN, InTurn, api_to, ok
from tests.support.command_line import CommandLine
from tests.support.local_cloudflare import DATABASE, LocalCloudflare, local_cloudflare

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE TABLE other (x); CREATE INDEX i ON t (v)"
ROWS = "INSERT INTO t VALUES (1, 'it''s; two' || char(10) || 'lines'), (2, X'00FF'), (3, 1.0), (4, NULL)"
FILES = "https://files.test/secret-path"


def executed(coinswarm: CommandLine, *arguments: str) -> list[dict[str, object]]:
    result = coinswarm("d1", "execute", *arguments, "--json")
    assert result.exit_code == 0, result
    rows: list[dict[str, object]] = result.json[-1]["results"]
    return rows


def contents(state: Path) -> list[str]:
    """Of a local database, as SQLite itself dumps it."""
    with closing(sqlite3.connect(database_path(DATABASE.uuid, state))) as connection:
        return list(connection.iterdump())


@pytest.fixture
def filled(coinswarm: CommandLine) -> CommandLine:
    executed(coinswarm, "--command", f"{SCHEMA}; {ROWS}")
    return coinswarm


@pytest.fixture
def cloudflare(tmp_path: Path, coinswarm: CommandLine) -> Iterator[LocalCloudflare]:
    """The command line's `--remote` leads here."""
    with local_cloudflare(tmp_path / "cloud") as served:
        coinswarm.environment = {
            "CLOUDFLARE_API_BASE_URL": served.url,
            "CLOUDFLARE_ACCOUNT_ID": served.account.id,
            "CLOUDFLARE_API_TOKEN": TOKEN,
        }
        yield served


def large(path: Path, last: str = "") -> int:
    """A file of inserts that is too large for one query; how many."""
    line = f"INSERT INTO t (v) VALUES ('{'x' * 1000}');\n"
    count = IMPORT_FROM // len(line) + 1
    path.write_text(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v);\n{line * count}{last}")
    return count


# --- local ---


def test_an_export_executed_in_an_empty_database_gives_the_same_database(filled: CommandLine) -> None:
    folder = filled.directory
    result = filled("d1", "export", "--output", "all.sql", "--json")
    size = (folder / "all.sql").stat().st_size
    assert result.json == {"database": "coinswarm-evolution", "path": "all.sql", "bytes": size}
    executed(filled, "--file", "all.sql", "--persist-to", "copy")
    assert contents(folder / "copy") == contents(folder / ".wrangler" / "state")


def test_an_export_replaces_the_file_and_leaves_nothing_beside_it(filled: CommandLine) -> None:
    (filled.directory / "all.sql").write_text("old")
    assert filled("d1", "export", "DB", "--output", "all.sql").exit_code == 0
    assert (filled.directory / "all.sql").read_text().startswith("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t")
    assert {path.name for path in filled.directory.iterdir()} == {"all.sql", ".wrangler"}


def test_a_link_stays_one(filled: CommandLine) -> None:
    (filled.directory / "link.sql").symlink_to("real.sql")
    assert filled("d1", "export", "--output", "link.sql").exit_code == 0
    assert (filled.directory / "link.sql").is_symlink()
    assert "CREATE TABLE t" in (filled.directory / "real.sql").read_text()


@pytest.mark.parametrize(
    ("flags", "there", "absent"),
    [
        (["--no-data"], ["CREATE TABLE t", "CREATE INDEX i"], ["INSERT"]),
        (["--no-schema"], ['INSERT INTO "t"'], ["CREATE"]),
        (["--table", "other"], ["CREATE TABLE other"], ["CREATE TABLE t", "CREATE INDEX"]),
        (["--table", "other", "--table", "t"], ["CREATE TABLE other", "CREATE TABLE t"], []),
    ],
)
def test_a_part_can_be_exported_to_stdout(
    filled: CommandLine, flags: list[str], there: list[str], absent: list[str]
) -> None:
    result = filled("d1", "export", "--output", "-", *flags)
    assert (result.exit_code, result.out[:6]) == (0, "PRAGMA")
    assert [text for text in there if text not in result.out] == []
    assert [text for text in absent if text in result.out] == []


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--output", "folder"], 2, "folder cannot be written: Is a directory"),
        (["--output", "nope/all.sql"], 2, "nope/all.sql cannot be written: No such file or directory"),
        (["--output", "kept.sql/all.sql"], 2, "kept.sql/all.sql cannot be written: Not a directory"),
        (["--output", "kept.sql", "--no-schema", "--no-data"], 2, "--no-schema and --no-data together leave nothing"),
        (["--output", "-"], 2, "--json and --output - both want stdout"),
        (["--output", "kept.sql", "--local", "--remote"], 2, "--local and --remote exclude each other"),
        (["--output", "kept.sql", "--table", "nope"], 1, "no such table: nope"),
        (["--output", "kept.sql", "--persist-to", "elsewhere"], 1, "this database has no local state yet"),
        (["nope", "--output", "kept.sql"], 1, "Couldn't find a D1 DB with the name or binding 'nope'"),
        (["--output", "kept.sql", "--remote"], 1, "--remote needs CLOUDFLARE_API_TOKEN"),
    ],
)
def test_an_export_that_fails_says_why_and_leaves_the_file_that_was_there(
    filled: CommandLine, flags: list[str], code: int, message: str
) -> None:
    (filled.directory / "folder").mkdir()
    (filled.directory / "kept.sql").write_text("kept")
    result = filled("d1", "export", *flags, "--json")
    assert (result.exit_code, result.err) == (code, "")
    assert message in result.error[1]
    assert (filled.directory / "kept.sql").read_text() == "kept"
    assert {path.name for path in filled.directory.iterdir()} == {"folder", "kept.sql", ".wrangler"}


def test_a_full_disk_is_told_as_one(filled: CommandLine) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    result = filled("d1", "export", "--output", "/dev/full", "--json")
    assert (result.exit_code, result.error[0]) == (1, "StorageFull")
    assert "/dev/full could not be written: No space left on device" in result.error[1]


# --- over HTTP ---


def test_a_database_goes_to_cloudflare_and_comes_back_the_same(
    coinswarm: CommandLine, cloudflare: LocalCloudflare
) -> None:
    count = large(coinswarm.directory / "large.sql", "INSERT INTO t (v) VALUES (X'00FF');\n")
    result = coinswarm("d1", "execute", "--file", "large.sql", "--remote", "--yes", "--json")
    assert result.exit_code == 0, result
    ((item,),) = (result.json,)
    assert item["success"] is True
    assert item["results"][0]["Total queries executed"] == count + 2
    assert item["meta"]["changes"] == count + 1
    assert item["finalBookmark"]
    assert coinswarm("d1", "export", "--output", "back.sql", "--remote").exit_code == 0
    executed(coinswarm, "--file", "back.sql")
    (row,) = executed(coinswarm, "--command", "SELECT count(*) AS n, hex(max(v)) AS v FROM t")
    assert row == {"n": count + 1, "v": "00FF"}


def test_a_large_file_that_fails_on_cloudflare_changes_nothing(
    coinswarm: CommandLine, cloudflare: LocalCloudflare
) -> None:
    large(coinswarm.directory / "large.sql", "INSERT INTO nope VALUES (1);\n")
    result = coinswarm("d1", "execute", "--file", "large.sql", "--remote", "--yes", "--json")
    assert (result.exit_code, result.error[0]) == (1, "SqlError")
    assert "no such table: nope" in result.error[1]
    rows = executed(coinswarm, "--remote", "--yes", "--command", "SELECT name FROM sqlite_schema WHERE name = 't'")
    assert rows == []


def test_an_unknown_table_on_cloudflare_is_refused(coinswarm: CommandLine, cloudflare: LocalCloudflare) -> None:
    executed(coinswarm, "--remote", "--yes", "--command", SCHEMA)
    result = coinswarm("d1", "export", "--output", "a.sql", "--remote", "--table", "nope", "--json")
    assert (result.exit_code, result.error[1]) == (1, "no such table: nope")
    assert coinswarm("d1", "export", "--output", "a.sql", "--remote", "--table", "other").exit_code == 0
    assert (coinswarm.directory / "a.sql").read_text().splitlines()[1:] == ["CREATE TABLE other (x);"]


@pytest.mark.parametrize(
    ("start", "message"), [(b"SQLite format 3\0", "is an SQLite file"), (b"SELECT 1;\xff", "is not UTF-8 text")]
)
def test_a_large_file_that_is_no_sql_is_not_sent(
    coinswarm: CommandLine, cloudflare: LocalCloudflare, start: bytes, message: str
) -> None:
    (coinswarm.directory / "large.sql").write_bytes(start + b" " * IMPORT_FROM)
    result = coinswarm("d1", "execute", "--file", "large.sql", "--remote", "--yes", "--json")
    assert (result.exit_code, result.error[1]) == (2, f"large.sql {message}")


# --- the conversation ---


def state(status: str, **more: object) -> httpx.Response:
    return ok({"success": True, "at_bookmark": "b1", "status": status, "messages": [], **more})


def exported(url: object) -> httpx.Response:
    return state("complete", result={"filename": "f.sql", "signed_url": url})


class Conversation:
    """A transfer whose API and file store answer in turn."""

    def __init__(self, api: list[httpx.Response | Exception], files: list[httpx.Response | Exception]) -> None:
        self.api, self.files, self.clock = InTurn(*api), InTurn(*files), ManualClock()
        handler: Callable[[httpx.Request], httpx.Response] = self.files
        self.transfer = Transfer(
            api_to(self.api, clock=self.clock),
            DatabaseInfo("id", "name"),
            files=httpx.Client(transport=httpx.MockTransport(handler)),
        )

    def export(self) -> bytes:
        target = io.BytesIO()
        self.transfer.export(target)
        return target.getvalue()


def test_an_export_is_asked_for_with_its_bookmark_until_it_is_there_and_fetched_without_the_token() -> None:
    talk = Conversation([state("active"), state("active"), exported(FILES)], [httpx.Response(200, text="SELECT 1;")])
    assert talk.export() == b"SELECT 1;"
    assert [body.get("current_bookmark") for body in talk.api.bodies] == [None, "b1", "b1"]
    assert talk.clock.slept == [1.0, 1.0]
    assert [(str(r.url), "authorization" in r.headers) for r in talk.files.requests] == [(FILES, False)]


def test_a_download_that_breaks_off_is_begun_again() -> None:
    talk = Conversation(
        [exported(FILES)], [httpx.ReadError("gone"), httpx.Response(503), httpx.Response(200, text="all")]
    )
    assert talk.export() == b"all"


@pytest.mark.parametrize("url", [None, 7, "file:///etc/passwd", "ftp://files.test/a", "https://", "http://a:b", "/a"])
def test_only_addresses_of_http_are_followed(url: object) -> None:
    talk = Conversation([exported(url)], [])
    with pytest.raises(DatabaseError, match="names no address"):
        talk.export()


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (state("error", error="cannot export databases with Virtual Tables"), SqlError, "Virtual Tables"),
        (state("error", errors=[{"message": "a"}, "b"]), SqlError, "a; b"),
        (state("error"), SqlError, "D1 does not say why"),
        (ok({"success": False, "error": "Network connection lost"}), DatabaseUnavailable, "Network connection lost"),
        (state("error", error="Exceeded maximum DB size"), DatabaseError, "Exceeded maximum DB size"),
        (ok({"success": True, "status": "active"}), DatabaseError, "has no bookmark"),
        (ok([]), DatabaseUnavailable, "does not hold its state"),
    ],
)
def test_what_d1_says_went_wrong_is_told(answer: httpx.Response, kind: type[CoinswarmError], message: str) -> None:
    talk = Conversation([answer], [])
    with pytest.raises(kind, match=message) as raised:
        talk.export()
    assert type(raised.value) is kind


@pytest.mark.parametrize("status", [302, 403, 404])
def test_a_file_store_that_refuses_is_named_without_the_secret_address(status: int) -> None:
    talk = Conversation([exported(FILES)], [httpx.Response(status, headers={"location": "https://other.test"})])
    with pytest.raises(DatabaseError, match=rf"files\.test answered HTTP {status}") as raised:
        talk.export()
    assert "secret-path" not in raised.value.message


def test_an_import_announces_uploads_runs_and_follows_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.sql"
    file.write_text("SELECT 1;")
    etag = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    talk = Conversation(
        [
            ok({"filename": "f.sql", "upload_url": FILES}),
            state("active"),
            state("complete", result={"num_queries": 1, "final_bookmark": "b2"}),
        ],
        [httpx.ConnectError("no"), httpx.Response(200, headers={"ETag": f'"{etag}"'})],
    )
    done = talk.transfer.run_file(file)
    assert (done.queries, done.bookmark) == (1, "b2")
    assert talk.api.bodies == [
        {"action": "init", "etag": etag},
        {"action": "ingest", "filename": "f.sql", "etag": etag},
        {"action": "poll", "current_bookmark": "b1"},
    ]
    sent = talk.files.requests[-1]
    assert (sent.method, sent.content, sent.headers["content-length"]) == ("PUT", b"SELECT 1;", "9")
    assert not {"authorization", "content-type", "transfer-encoding"} & set(sent.headers)


def test_a_file_that_is_already_there_is_not_uploaded_again(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;")
    talk = Conversation([state("active"), state("complete", result={"num_queries": 1})], [])
    assert talk.transfer.run_file(tmp_path / "a.sql").queries == 1


def test_a_file_that_arrives_changed_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;")
    talk = Conversation(
        [ok({"filename": "f", "upload_url": FILES})], [httpx.Response(200, headers={"ETag": "another"})]
    )
    with pytest.raises(DatabaseError, match="nothing was run"):
        talk.transfer.run_file(tmp_path / "a.sql")
    assert [json.loads(r.content)["action"] for r in talk.api.requests] == ["init"]


def test_a_run_whose_answer_is_lost_is_not_begun_again(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;")
    etag = hashlib.md5(b"SELECT 1;", usedforsecurity=False).hexdigest()
    talk = Conversation(
        [ok({"filename": "f", "upload_url": FILES}), httpx.ReadError("gone")],
        [httpx.Response(200, headers={"ETag": etag})],
    )
    with pytest.raises(DatabaseUnavailable, match="whether the request was carried out is not known"):
        talk.transfer.run_file(tmp_path / "a.sql")
