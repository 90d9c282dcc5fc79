"""D1 over the API: databases, queries, Time Travel, exports and imports as Cloudflare answers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coinswarm.d1.ingest import ingest
from coinswarm.server import protocols, transfers
from coinswarm.storage import connect
from tests.support.served import DATABASE, DATABASE_ID, TOKEN, Api, served

BASE = "/d1/database"
MISSING = f"{BASE}/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(tmp_path) as opened:
        yield opened


def created(api: Api, name: str = "other", **more: Any) -> dict[str, Any]:
    return dict(api.result("POST", BASE, {"name": name, **more}))


def listed(api: Api, **query: Any) -> list[str]:
    return [database["name"] for database in api.result("GET", BASE, params=query)]


# Databases


def test_the_configured_database_is_always_there(api: Api) -> None:
    (only,) = api.result("GET", BASE)
    assert only == {
        "uuid": DATABASE_ID,
        "name": DATABASE,
        "version": "production",
        "created_at": "2023-11-14T22:13:20.000000Z",
        "jurisdiction": None,
    }


def test_a_database_can_be_created_found_by_name_or_uuid_and_deleted(api: Api) -> None:
    made = created(api, primary_location_hint="weur", read_replication={"mode": "auto"})
    assert made["created_in_region"] == "WEUR"
    by_name = api.result("GET", f"{BASE}/other")
    assert by_name == api.result("GET", f"{BASE}/{made['uuid'].upper()}")
    assert by_name["num_tables"] == 0
    assert by_name["file_size"] > 0
    assert by_name["read_replication"] == {"mode": "auto"}
    assert api.result("DELETE", f"{BASE}/{made['uuid']}") is None
    assert api.refusal("GET", f"{BASE}/other")[:2] == (404, 7404)
    assert listed(api) == [DATABASE]


def test_only_the_asked_fields_come_in_either_spelling(api: Api) -> None:
    comma = api.result("GET", f"{BASE}/{DATABASE}?fields=uuid%2Cname")
    assert (
        comma
        == api.result("GET", f"{BASE}/{DATABASE}?fields=uuid&fields=name")
        == {"uuid": DATABASE_ID, "name": DATABASE}
    )
    assert api.refusal("GET", f"{BASE}/{DATABASE}?fields=colour")[:2] == (400, 7400)


def test_tables_of_cloudflares_own_are_not_counted(api: Api) -> None:
    api.query("CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE b (x)")
    assert api.result("GET", f"{BASE}/{DATABASE}")["num_tables"] == 2


def test_the_list_is_paged_and_empty_beyond_its_end(api: Api) -> None:
    for number in range(11):
        created(api, f"db{number}")
    assert len(listed(api, per_page=10, page=1)) == 10
    assert len(listed(api, per_page=10, page=2)) == 2
    assert listed(api, per_page=10, page=3) == []
    info = api.send("GET", BASE, params={"per_page": 5, "page": 3}).json()["result_info"]
    assert info == {"page": 3, "per_page": 5, "count": 2, "total_count": 12, "total_pages": 3}
    assert listed(api, name="DB1") == ["db1", "db10"]


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=-1", "per_page=10001", "page=" + "9" * 30, "page=٣"])
def test_a_page_that_is_none_is_refused(api: Api, query: str) -> None:
    assert api.refusal("GET", f"{BASE}?{query}")[:2] == (400, 7400)


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        ({}, 400, 7400, "Invalid property: name => Required"),
        ({"name": ""}, 400, 7400, "Invalid property: name => Required"),
        ({"name": 7}, 400, 7400, "Invalid property: name"),
        ({"name": "with space"}, 400, 7400, "has to match"),
        ({"name": "-begins"}, 400, 7400, "has to match"),
        ({"name": "../../etc"}, 400, 7400, "has to match"),
        ({"name": DATABASE}, 400, 7502, "already exists"),
        ({"name": "x", "primary_location_hint": "moon"}, 400, 7400, "primary_location_hint"),
        ({"name": "x", "jurisdiction": 7}, 400, 7400, "jurisdiction"),
        ({"name": "x", "read_replication": {"mode": "y"}}, 400, 7400, "read_replication.mode"),
        (b"nonsense", 400, 7400, "not JSON"),
        (b"[1]", 400, 7400, "JSON object"),
    ],
)
def test_a_database_that_cannot_be_is_not_created(api: Api, body: Any, status: int, code: int, message: str) -> None:
    refusal = api.refusal("POST", BASE, body)
    assert refusal[:2] == (status, code)
    assert message in refusal.message
    assert listed(api) == [DATABASE]


def test_replication_is_set_by_put_and_patch(api: Api) -> None:
    path = f"{BASE}/{DATABASE}"
    assert api.result("PUT", path, {"read_replication": {"mode": "auto"}})["read_replication"] == {"mode": "auto"}
    assert api.result("PATCH", path, {})["read_replication"] == {"mode": "auto"}
    assert api.result("PATCH", path, {"read_replication": {"mode": "disabled"}})["read_replication"] == {
        "mode": "disabled"
    }
    assert api.refusal("PUT", path, {})[:2] == (400, 7400)
    assert api.refusal("PATCH", path, {"read_replication": "auto"})[:2] == (400, 7400)


def test_what_a_wrangler_file_binds_is_not_deleted_from_here(api: Api) -> None:
    api.query("CREATE TABLE t (v)")
    refusal = api.refusal("DELETE", f"{BASE}/{DATABASE}")
    assert refusal[:2] == (400, 7400)
    assert "bound in a wrangler file" in refusal.message
    assert "/" not in refusal.message
    assert api.rows("SELECT count(*) AS n FROM t") == [{"n": 0}]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"read_replication": {"mode": "auto"}}),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/query", {"sql": "SELECT 1"}),
        ("POST", "/raw", {"sql": "SELECT 1"}),
        ("POST", "/export", {"output_format": "polling"}),
        ("POST", "/import", {"action": "init", "etag": "0" * 32}),
        ("GET", "/time_travel/bookmark", None),
        ("POST", "/time_travel/restore?bookmark=x", None),
    ],
)
def test_a_database_that_does_not_exist_is_404_with_7404(api: Api, method: str, path: str, body: Any) -> None:
    refusal = api.refusal(method, MISSING + path, body)
    assert refusal == (404, 7404, "The database 11111111-2222-3333-4444-555555555555 could not be found")


# Queries


def test_a_text_of_several_statements_is_one_transaction_with_a_result_each(api: Api) -> None:
    found = api.query("CREATE TABLE t (v); INSERT INTO t VALUES (1), (2); SELECT v FROM t")
    assert [result["success"] for result in found] == [True] * 3
    assert found[1]["meta"]["changes"] == 2
    assert found[2]["results"] == [{"v": 1}, {"v": 2}]
    refusal = api.refusal("POST", f"{BASE}/{DATABASE}/query", {"sql": "INSERT INTO t VALUES (3); SELECT nope FROM t"})
    assert refusal == (400, 7500, "no such column: nope at offset 7: SQLITE_ERROR")
    assert api.rows("SELECT count(*) AS n FROM t") == [{"n": 2}]


def test_a_failed_query_has_an_empty_list_as_its_result(api: Api) -> None:
    reply = api.send("POST", f"{BASE}/{DATABASE}/query", {"sql": "SELECT nope"})
    assert reply.json()["result"] == []
    assert reply.headers["x-should-retry"] == "false"


def test_a_batch_is_one_transaction_and_flattens_entries_of_several_statements(api: Api) -> None:
    path = f"{BASE}/{DATABASE}/raw"
    batch = [
        {"sql": "CREATE TABLE t (v); CREATE TABLE u (v)"},
        {"sql": "INSERT INTO t VALUES (?), (?)", "params": ["a", "b"]},
        {"sql": "SELECT v, v FROM t"},
    ]
    found = api.result("POST", path, {"batch": batch})
    assert [result["results"] for result in found] == [
        {"columns": [], "rows": []},
        {"columns": [], "rows": []},
        {"columns": [], "rows": []},
        {"columns": ["v", "v"], "rows": [["a", "a"], ["b", "b"]]},
    ]
    refusal = api.refusal("POST", path, {"batch": [{"sql": "DELETE FROM t"}, {"sql": "SELECT * FROM nope"}]})
    assert refusal == (400, 7500, "no such table: nope: SQLITE_ERROR")
    assert api.rows("SELECT count(*) AS n FROM t") == [{"n": 2}]


@pytest.mark.parametrize(
    ("param", "stored"),
    [
        ("text", ("text", "text")),
        ("7", ("text", "7")),
        (7, ("real", 7)),
        (7.5, ("real", 7.5)),
        (None, ("null", None)),
        (True, ("real", 1)),
        ([0, 255], ("blob", [0, 255])),
        ([], ("blob", [])),
    ],
)
def test_a_parameter_is_bound_as_workerd_binds_it(api: Api, param: Any, stored: tuple[str, Any]) -> None:
    """Every number is JavaScript's double: https://github.com/cloudflare/workerd, src/workerd/api/sql.h."""
    (row,) = api.rows("SELECT typeof(?1) AS kind, ?1 AS value", [param])
    assert (row["kind"], row["value"]) == stored


def test_an_integer_column_turns_a_double_back_into_an_integer(api: Api) -> None:
    api.query("CREATE TABLE t (i INTEGER, x TEXT)")
    api.query("INSERT INTO t VALUES (?, ?)", [1, 1])
    assert api.rows("SELECT typeof(i) AS i, x FROM t") == [{"i": "integer", "x": "1.0"}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"sql": "SELECT " + ", ".join("?" * 101), "params": list(range(101))}, "too many SQL variables at offset"),
        ({"sql": "SELECT ?", "params": []}, "Wrong number of parameter bindings for SQL query."),
        ({"sql": "-- nothing"}, "SQL code did not contain a statement."),
        ({"sql": "BEGIN"}, "To execute a transaction, please use"),
        ({"sql": "PRAGMA journal_mode"}, "not authorized: SQLITE_AUTH"),
        ({"sql": "CREATE TABLE _cf_x (y)"}, "not authorized: SQLITE_AUTH"),
        ({"sql": "SELECT sqlite_version()"}, "not authorized to use function: sqlite_version"),
        ({"sql": f"SELECT '{'x' * 100_000}'"}, "statement too long"),
        ({"sql": "SELECT ?", "params": ["x" * 2_000_001]}, "too big"),
        ({"sql": "SELECT ?; SELECT ?", "params": [1, 2]}, "must contain only one statement"),
    ],
)
def test_what_production_refuses_is_refused_with_7500(api: Api, body: Any, message: str) -> None:
    refusal = api.refusal("POST", f"{BASE}/{DATABASE}/query", body)
    assert refusal[:2] == (400, 7500)
    assert message in refusal.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r'"\ud800"', r"holds half a surrogate pair, \ud800, which UTF-8 cannot hold"),
        (r'"\\ud800 \uDFFFx"', r"holds half a surrogate pair, \uDFFF, which UTF-8 cannot hold"),
        ("1e400", "holds a number beyond any double"),
        ('"', "is not JSON: Input data was truncated"),
    ],
)
def test_a_parameter_that_cannot_be_bound_is_told_truly(api: Api, text: str, reason: str) -> None:
    body = f'{{"sql": "SELECT ?", "params": [{text}'.encode() + (b"" if text == '"' else b"]}")
    refusal = api.refusal("POST", f"/d1/database/{DATABASE}/query", body)
    assert refusal == (400, 7400, f"The request's body {reason}")


def test_a_whole_surrogate_pair_is_one_character(api: Api) -> None:
    body = rb'{"sql": "SELECT ? AS v", "params": ["\ud83d\ude00\\ud800"]}'
    (result,) = api.result("POST", f"/d1/database/{DATABASE}/query", body)
    assert result["results"] == [{"v": "\U0001f600\\ud800"}]


def test_a_malformed_query_is_400_with_7400(api: Api) -> None:
    assert api.refusal("POST", f"{BASE}/{DATABASE}/query", {}) == (400, 7400, "Invalid property: sql => Required")
    assert api.refusal("POST", f"{BASE}/{DATABASE}/raw", b"{")[:2] == (400, 7400)


def test_the_database_in_use_by_another_process_is_a_passing_fault(api: Api, tmp_path: Path) -> None:
    api.query("CREATE TABLE t (v)")
    (path,) = (tmp_path / "state").rglob("*DatabaseObject/*.sqlite")
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    with api.account.catalogue.use(DATABASE) as metered:
        database = metered._database  # type: ignore[attr-defined]
        database._busy_timeout = 0.01
        database._drop()
        reply = api.send("POST", f"{BASE}/{DATABASE}/query", {"sql": "INSERT INTO t VALUES (1)"})
    other.close()
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (503, 7500)
    assert reply.json()["errors"][0]["message"] == "Another process holds the lock on the file."
    assert reply.headers["x-should-retry"] == "true"


def test_a_damaged_file_is_told_without_a_traceback(api: Api) -> None:
    api.query("SELECT 1")  # its neighbour is open
    path = api.account.catalogue.path(api.account.catalogue.create("damaged"))
    path.write_bytes(b"this is no database at all" * 1000)
    reply = api.send("POST", f"{BASE}/damaged/query", {"sql": "SELECT 1 FROM t"})
    assert reply.status_code == 500
    assert reply.json()["errors"][0]["code"] == 7500
    assert "Traceback" not in reply.text
    assert str(path.parent) not in reply.text


# Time Travel


def test_the_way_back_and_forth_again(api: Api) -> None:
    travel = f"{BASE}/{DATABASE}/time_travel"
    api.query("CREATE TABLE t (v); INSERT INTO t VALUES ('kept')")
    bookmark = api.result("GET", f"{travel}/bookmark")["bookmark"]
    api.clock.advance(60)
    api.query("DROP TABLE t")
    restored = api.result("POST", f"{travel}/restore", params={"bookmark": bookmark})
    assert api.rows("SELECT v FROM t") == [{"v": "kept"}]
    assert restored["previous_bookmark"] in restored["message"]
    api.result("POST", f"{travel}/restore", params={"bookmark": restored["previous_bookmark"]})
    assert api.refusal("POST", f"{BASE}/{DATABASE}/query", {"sql": "SELECT v FROM t"}).code == 7500


@pytest.mark.parametrize("moment", ["2023-11-14T22:13:50Z", "2023-11-14T22:13:50.000Z", "2023-11-14T23:13:50+01:00"])
def test_a_moment_finds_its_bookmark(api: Api, moment: str) -> None:
    travel = f"{BASE}/{DATABASE}/time_travel"
    api.query("CREATE TABLE t (v)")
    first = api.result("GET", f"{travel}/bookmark")
    api.clock.advance(60)
    api.query("INSERT INTO t VALUES (1)")
    assert api.result("GET", f"{travel}/bookmark") != first
    assert api.result("GET", f"{travel}/bookmark", params={"timestamp": moment}) == first
    api.result("POST", f"{travel}/restore", params={"timestamp": moment})
    assert api.rows("SELECT count(*) AS n FROM t") == [{"n": 0}]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "bookmark or timestamp => Required"),
        ("?bookmark=nonsense", "not a bookmark"),
        ("?bookmark=00000001-00000001-00000001-" + "0" * 32, "no restore point"),
        ("?timestamp=yesterday", "not ISO 8601"),
        ("?timestamp=0001-01-01T00:00:00%2B14:00", "not ISO 8601"),
        ("?timestamp=2001-01-01T00:00:00Z", "no restore point at or before"),
    ],
)
def test_a_restore_to_nowhere_is_refused(api: Api, query: str, message: str) -> None:
    refusal = api.refusal("POST", f"{BASE}/{DATABASE}/time_travel/restore{query}")
    assert refusal[:2] == (400, 7400)
    assert message in refusal.message


def test_the_first_change_after_a_while_can_be_undone_without_a_bookmark(api: Api) -> None:
    api.query("CREATE TABLE t (v); INSERT INTO t VALUES ('years of candles')")
    api.clock.advance(3600)
    api.query("DELETE FROM t")
    hour_ago = "2023-11-14T23:13:20Z"
    api.clock.advance(60)
    api.result("POST", f"{BASE}/{DATABASE}/time_travel/restore", params={"timestamp": hour_ago})
    assert api.rows("SELECT v FROM t") == [{"v": "years of candles"}]


# Export and import


def exported(api: Api, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"output_format": "polling", "dump_options": options}
    answer = api.send("POST", f"{BASE}/{DATABASE}/export", body).json()["result"]
    while answer["status"] == "active":
        answer = api.result("POST", f"{BASE}/{DATABASE}/export", body | {"current_bookmark": answer["at_bookmark"]})
    return dict(answer)


def test_an_export_is_fetched_from_the_url_it_names_without_a_token(api: Api) -> None:
    api.query("CREATE TABLE t (v); INSERT INTO t VALUES ('ü')")
    answer = exported(api)
    assert (answer["type"], answer["status"], answer["success"]) == ("export", "complete", True)
    assert answer["result"]["signed_url"].startswith("http://127.0.0.1:8787/transfers/")
    assert answer["result"]["signed_url"].endswith(answer["result"]["filename"])
    for _ in range(2):  # for an hour
        file = api.client.get(answer["result"]["signed_url"])
        assert (
            file.text == 'PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t (v);\nINSERT INTO "t" ("v") VALUES(\'ü\');\n'
        )
    api.clock.advance(3601)
    assert api.client.get(answer["result"]["signed_url"]).status_code == 404


def test_an_export_can_be_asked_for_again_by_its_bookmark(api: Api) -> None:
    answer = exported(api)
    again = api.result("POST", f"{BASE}/{DATABASE}/export", {"current_bookmark": answer["at_bookmark"]})
    assert again == answer
    refusal = api.refusal("POST", f"{BASE}/{DATABASE}/export", {"current_bookmark": "x"})
    assert refusal[:2] == (400, 7400)


def test_an_export_that_fails_says_so_in_its_answer(api: Api) -> None:
    api.query("CREATE VIRTUAL TABLE f USING fts5(x)")
    answer = exported(api)
    assert answer["status"] == "error"
    assert answer["error"] == "D1 Export error: cannot export databases with Virtual Tables (fts5)"
    assert answer["messages"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"output_format": "file"},
        {"dump_options": []},
        {"dump_options": {"tables": "t"}},
        {"dump_options": {"tables": [1]}},
        {"dump_options": {"no_data": True, "no_schema": True}},
    ],
)
def test_an_export_that_is_none_is_refused(api: Api, body: Any) -> None:
    assert api.refusal("POST", f"{BASE}/{DATABASE}/export", body)[:2] == (400, 7400)


def begun(api: Api, sql: bytes) -> dict[str, Any]:
    """An import up to the finished upload: what to say for ingest."""
    etag = hashlib.md5(sql).hexdigest()
    init = api.result("POST", f"{BASE}/{DATABASE}/import", {"action": "init", "etag": etag})
    reply = api.client.put(init["upload_url"], content=sql)
    assert reply.status_code == 200
    assert reply.headers["etag"].strip('"') == etag
    return {"action": "ingest", "etag": etag, "filename": init["filename"]}


def imported(api: Api, sql: bytes) -> dict[str, Any]:
    answer = api.send("POST", f"{BASE}/{DATABASE}/import", begun(api, sql)).json()["result"]
    while answer["status"] == "active":
        poll = {"action": "poll", "current_bookmark": answer["at_bookmark"]}
        answer = api.result("POST", f"{BASE}/{DATABASE}/import", poll)
    return dict(answer)


def test_an_import_runs_the_uploaded_file_and_reports(api: Api) -> None:
    answer = imported(api, b"CREATE TABLE t (v); INSERT INTO t VALUES (1), (2);")
    assert (answer["type"], answer["status"], answer["success"]) == ("import", "complete", True)
    assert answer["messages"] == ["Processed 2 queries."]
    result = answer["result"]
    assert result["num_queries"] == 2
    assert {"duration", "rows_read", "rows_written", "size_after"} <= set(result["meta"])
    assert result["final_bookmark"] == api.result("GET", f"{BASE}/{DATABASE}/time_travel/bookmark")["bookmark"]
    assert api.rows("SELECT sum(v) AS s FROM t") == [{"s": 3}]


def test_a_write_during_an_import_is_told_of_it_and_a_read_is_answered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.query("CREATE TABLE t (v)")
    go_on = threading.Event()

    def held(*args: Any, **how: Any) -> Any:
        assert go_on.wait(10)
        return ingest(*args, **how)

    monkeypatch.setattr(transfers, "ingest", held)
    monkeypatch.setattr(protocols, "HOLD_SECONDS", 0)
    begin = begun(api, b"INSERT INTO t VALUES (1);")
    job = api.send("POST", f"{BASE}/{DATABASE}/import", begin).json()["result"]
    assert job["status"] == "active"
    refusal = api.refusal("POST", f"{BASE}/{DATABASE}/query", {"sql": "INSERT INTO t VALUES (2)"})
    assert refusal == (503, 7500, "Currently processing a long-running import.")
    assert api.rows("SELECT v FROM t") == []
    go_on.set()
    api.account.imports[api.account.catalogue.info(DATABASE).uuid].done.wait(10)
    api.query("INSERT INTO t VALUES (2)")
    assert api.rows("SELECT v FROM t") == [{"v": 1}, {"v": 2}]


@pytest.mark.parametrize("automatic_bytes", [256_000_000, 0], ids=["small", "above the limit of automatic points"])
def test_an_import_can_always_be_undone_however_near_the_last_point_is(
    api: Api, monkeypatch: pytest.MonkeyPatch, automatic_bytes: int
) -> None:
    monkeypatch.setattr("coinswarm.d1.time_travel.AUTOMATIC_BYTES", automatic_bytes)
    api.query("CREATE TABLE t (v)")
    api.query("INSERT INTO t VALUES (1), (2)")
    api.clock.advance(2)
    answer = imported(api, b"DELETE FROM t; INSERT INTO t VALUES (100);")
    restore = f"{BASE}/{DATABASE}/time_travel/restore"
    rows = "SELECT v FROM t"
    api.result("POST", restore, params={"bookmark": answer["at_bookmark"]})
    assert api.rows(rows) == [{"v": 1}, {"v": 2}]
    api.result("POST", restore, params={"bookmark": answer["result"]["final_bookmark"]})
    assert api.rows(rows) == [{"v": 100}]


@pytest.mark.parametrize("automatic_bytes", [256_000_000, 0], ids=["small", "above the limit of automatic points"])
def test_the_bookmark_of_an_export_leads_back_to_what_was_exported(
    api: Api, monkeypatch: pytest.MonkeyPatch, automatic_bytes: int
) -> None:
    monkeypatch.setattr("coinswarm.d1.time_travel.AUTOMATIC_BYTES", automatic_bytes)
    api.query("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    bookmarks = [exported(api)["at_bookmark"], exported(api, no_data=True)["at_bookmark"]]
    assert bookmarks[0] != bookmarks[1]
    for bookmark in bookmarks:
        api.query("DELETE FROM t")
        api.result("POST", f"{BASE}/{DATABASE}/time_travel/restore", params={"bookmark": bookmark})
        assert api.rows("SELECT v FROM t") == [{"v": 1}]


def test_where_no_point_can_be_stored_exports_and_imports_go_on_and_say_so(api: Api, tmp_path: Path) -> None:
    (tmp_path / "state" / "v3" / "coinswarm").mkdir(parents=True, exist_ok=True)
    (tmp_path / "state" / "v3" / "coinswarm" / "time-travel").write_text("in the way")
    unstored = "There is no restore point of the state before: it could not be stored"
    answer = imported(api, b"CREATE TABLE t (v);")
    assert (answer["status"], answer["messages"]) == ("complete", [unstored, "Processed 1 queries."])
    assert "final_bookmark" not in answer["result"]
    assert exported(api)["messages"] == [unstored, "Exported 2 statements"]


def test_a_finished_import_can_still_be_polled(api: Api) -> None:
    answer = imported(api, b"SELECT 1;")
    poll = {"action": "poll", "current_bookmark": answer["at_bookmark"]}
    assert api.result("POST", f"{BASE}/{DATABASE}/import", poll) == answer
    nothing = api.result("POST", f"{BASE}/{DATABASE}/import", {"action": "poll", "current_bookmark": "x"})
    assert (nothing["success"], nothing["error"]) == (False, "Not currently importing anything.")


def test_an_import_that_fails_changes_nothing_and_says_so_for_both_clients(api: Api) -> None:
    api.query("CREATE TABLE t (v)")
    answer = imported(api, b"INSERT INTO t VALUES (1); INSERT INTO nope VALUES (1);")
    assert (answer["status"], answer["error"]) == ("error", "no such table: nope: SQLITE_ERROR")
    assert answer["errors"] == [answer["error"]]
    assert answer["messages"] == []
    assert api.rows("SELECT count(*) AS n FROM t") == [{"n": 0}]


def test_what_is_uploaded_already_is_run_at_once(api: Api) -> None:
    sql = b"CREATE TABLE t (v);"
    ingest = begun(api, sql)
    answer = api.send("POST", f"{BASE}/{DATABASE}/import", {"action": "init", "etag": ingest["etag"]}).json()["result"]
    assert "upload_url" not in answer
    assert answer["type"] == "import"


def test_an_upload_counts_only_when_it_is_what_was_announced(api: Api) -> None:
    etag = hashlib.md5(b"SELECT 1;").hexdigest()
    init = api.result("POST", f"{BASE}/{DATABASE}/import", {"action": "init", "etag": etag})
    reply = api.client.put(init["upload_url"], content=b"DROP TABLE price_data;")
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, 7400)
    ingest = {"action": "ingest", "etag": etag, "filename": init["filename"]}
    assert api.refusal("POST", f"{BASE}/{DATABASE}/import", ingest)[:2] == (400, 7400)
    assert api.client.put(init["upload_url"], content=b"SELECT 1;").status_code == 200  # tried again
    assert api.client.put(init["upload_url"], content=b"SELECT 1;").status_code == 404  # but not twice


def test_nobody_guesses_a_transfer(api: Api) -> None:
    assert api.client.get("/transfers/guess/file.sql").status_code == 404
    assert api.client.put("/transfers/guess/file.sql", content=b"x").status_code == 404
    assert api.client.get("/transfers/..%2F..%2Fapi-token/x").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "explode"},
        {"action": "init"},
        {"action": "init", "etag": "../../../etc/passwd"},
        {"action": "ingest", "etag": "0" * 32},
        {"action": "ingest", "etag": "0" * 32, "filename": "../x"},
    ],
)
def test_an_import_that_is_none_is_refused(api: Api, body: Any) -> None:
    assert api.refusal("POST", f"{BASE}/{DATABASE}/import", body)[:2] == (400, 7400)


def transferred(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "state" / "v3" / "coinswarm" / "transfers").rglob("*") if path.is_file()]


def test_an_export_that_fails_leaves_no_file(api: Api, tmp_path: Path) -> None:
    api.query("CREATE TABLE t (v); CREATE VIRTUAL TABLE f USING fts5(x)")
    assert exported(api)["status"] == "error"
    assert transferred(tmp_path) == []


def test_what_a_killed_server_left_goes_when_the_next_one_starts_and_what_is_in_use_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "v3" / "coinswarm" / "transfers"
    (folder / ".server-killed").mkdir(parents=True)
    (folder / ".server-killed" / "secret.sql").write_text("SELECT 1;")
    (folder / "of-an-earlier-version.sql").write_text("SELECT 1;")
    with served(tmp_path) as api:
        assert transferred(tmp_path) == []
        url = exported(api)["result"]["signed_url"]
        with served(tmp_path):
            pass
        assert api.client.get(url).status_code == 200


def test_no_file_is_left_when_the_server_ends(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        exported(api)
        begun(api, b"SELECT 1;")
        assert list((tmp_path / "state" / "v3" / "coinswarm" / "transfers").iterdir())
    assert not (tmp_path / "state" / "v3" / "coinswarm" / "transfers").exists()


# GraphQL


def test_the_numbers_of_d1_info_are_what_went_through(api: Api) -> None:
    api.query("CREATE TABLE t (v)")
    api.query("INSERT INTO t VALUES (1), (2)")
    api.query("SELECT * FROM t")
    hour = {"datetimeHour_geq": "2023-11-13T23:00:00.000Z", "datetimeHour_leq": "2023-11-14T23:00:00.000Z"}
    variables = {"accountTag": "x", "filter": {"AND": [{**hour, "databaseId": DATABASE_ID}]}}
    reply = api.send("POST", "//graphql", {"query": "query x {viewer}", "variables": variables})
    (group,) = reply.json()["data"]["viewer"]["accounts"][0]["d1AnalyticsAdaptiveGroups"]
    assert (group["sum"]["readQueries"], group["sum"]["writeQueries"]) == (1, 2)
    assert group["sum"]["rowsWritten"] >= 2
    assert group["sum"]["rowsRead"] >= 2
    assert group["dimensions"] == {"databaseId": DATABASE_ID, "datetimeHour": "2023-11-14T22:00:00Z"}
    variables["filter"] = {"AND": [{"databaseId": "another"}]}
    reply = api.send("POST", "//graphql", {"query": "x", "variables": variables})
    assert reply.json()["data"]["viewer"]["accounts"][0]["d1AnalyticsAdaptiveGroups"] == []
    assert api.refusal("POST", "//graphql", b"{")[:2] == (400, 7400)


def test_the_token_is_needed_for_all_of_it(api: Api) -> None:
    reply = api.client.get(f"/client/v4/accounts/{api.account.id}{BASE}")
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, 9106)
    assert TOKEN not in reply.text
