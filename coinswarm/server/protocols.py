"""D1's longer conversations: export, import, Time Travel, and the numbers for `wrangler d1 info`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from coinswarm.d1.snapshots import Point
from coinswarm.d1.wire import decode_object
from coinswarm.errors import InvalidRequest
from coinswarm.server.account import Account
from coinswarm.server.calls import Answer, Call, Route
from coinswarm.server.jobs import HOLD_SECONDS, Job

_MD5: Final = re.compile(r"[0-9a-f]{32}")
_HOUR: Final = "%Y-%m-%dT%H:00:00Z"


def export(account: Account, call: Call) -> Answer:
    """Starts an export, or asks for the one of `current_bookmark`."""
    body = decode_object(call.body)
    info = account.catalogue.info(call.ids["database"])
    if body.get("output_format", "polling") != "polling":
        raise InvalidRequest("Invalid property: output_format => Expected polling")
    if (bookmark := body.get("current_bookmark")) is not None:
        job = account.transfers.jobs.find("export", info.uuid, bookmark)
        if job is None:
            raise InvalidRequest("Invalid property: current_bookmark => There is no such export")
        return _polled(call, job, first=False)
    options = body.get("dump_options")
    if not isinstance(options, dict | None):
        raise InvalidRequest("Invalid property: dump_options => Expected object")
    options = options or {}
    tables = options.get("tables", [])
    if not isinstance(tables, list) or not all(isinstance(table, str) for table in tables):
        raise InvalidRequest("Invalid property: dump_options.tables => Expected a list of names")
    for flag in ("no_schema", "no_data"):
        if not isinstance(options.get(flag), bool | None):
            raise InvalidRequest(f"Invalid property: dump_options.{flag} => Expected boolean")
    if options.get("no_schema") and options.get("no_data"):
        raise InvalidRequest("Invalid property: dump_options => no_schema and no_data together leave nothing")
    job = account.transfers.export(
        info.uuid, tables=tables, schema=not options.get("no_schema"), data=not options.get("no_data")
    )
    return _polled(call, job, first=True)


def import_(account: Account, call: Call) -> Answer:
    """init → upload → ingest → poll."""
    body = decode_object(call.body)
    info = account.catalogue.info(call.ids["database"])
    action = body.get("action")
    if action == "init":
        begun = account.transfers.begin_import(info.uuid, _etag(body))
        if isinstance(begun, Job):
            account.imports[info.uuid] = begun
            return _polled(call, begun, first=True)
        secret, filename = begun
        return Answer({"filename": filename, "upload_url": f"{call.base_url}/transfers/{secret}/{filename}"})
    if action == "ingest":
        uploaded = body.get("filename")
        if not isinstance(uploaded, str):
            raise InvalidRequest("Invalid property: filename => Required")
        job = account.imports[info.uuid] = account.transfers.ingest(info.uuid, uploaded, _etag(body))
        return _polled(call, job, first=True)
    if action == "poll":
        found = account.transfers.jobs.find("import", info.uuid, body.get("current_bookmark"))
        if found is None:
            return Answer({"success": False, "type": "import", "error": "Not currently importing anything."})
        return _polled(call, found, first=False)
    raise InvalidRequest("Invalid property: action => Expected init, ingest or poll")


def _etag(body: dict[str, Any]) -> str:
    etag = body.get("etag")
    if not isinstance(etag, str) or not _MD5.fullmatch(etag.lower()):
        raise InvalidRequest("Invalid property: etag => Expected the file's MD5 in hexadecimal")
    return etag.lower()


def _polled(call: Call, job: Job, *, first: bool) -> Answer:
    job.done.wait(HOLD_SECONDS)
    document = job.as_json()
    if job.kind == "export" and document.get("result"):
        document["result"] = {**document["result"], "signed_url": call.base_url + document["result"]["signed_url"]}
    return Answer(document, status=202 if first and job.status == "active" else 200)


def bookmark(account: Account, call: Call) -> Answer:
    """The bookmark of now, or the last one by then: `timestamp` is ISO 8601."""
    identifier = call.ids["database"]
    text = call.query.get("timestamp")
    point = account.time_travel.at(identifier, _moment_ms(text)) if text else account.time_travel.now(identifier)
    return Answer({"bookmark": point.bookmark})


def restore(account: Account, call: Call) -> Answer:
    """Where to is in the query, as clients send it without a body."""
    identifier = account.catalogue.info(call.ids["database"]).uuid
    before = account.time_travel.restore(identifier, _target(account, identifier, call))
    now = account.time_travel.now(identifier)
    return Answer(
        {
            "bookmark": now.bookmark,
            "previous_bookmark": before.bookmark,
            "message": f"Database restored. To undo this, restore the bookmark {before.bookmark}",
        }
    )


def _target(account: Account, identifier: str, call: Call) -> Point:
    if name := call.query.get("bookmark"):
        return account.time_travel.named(identifier, name)
    if moment := call.query.get("timestamp"):
        return account.time_travel.at(identifier, _moment_ms(moment))
    raise InvalidRequest("Invalid query parameter: bookmark or timestamp => Required")


def _moment_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return round(moment.astimezone(UTC).timestamp() * 1000 if moment.tzinfo else _utc_ms(moment))
    except (ValueError, OverflowError):
        raise InvalidRequest(f"Invalid query parameter: timestamp => {text!r} is not ISO 8601") from None


def _utc_ms(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp() * 1000


def graphql(account: Account, call: Call) -> Answer:
    """The one query that `wrangler d1 info` makes, from what went through this server; anything else gets no rows."""
    variables = _variables(call.body)
    database_id, from_ms, to_ms = variables
    groups = [
        {
            "sum": used.as_json(),
            "dimensions": {
                "databaseId": used_id,
                "datetimeHour": datetime.fromtimestamp(hour_ms / 1000, UTC).strftime(_HOUR),
            },
        }
        for used_id, hour_ms, used in account.usage.hours(database_id, from_ms, to_ms)
    ]
    return Answer(document={"data": {"viewer": {"accounts": [{"d1AnalyticsAdaptiveGroups": groups}]}}, "errors": None})


def _variables(body: bytes) -> tuple[str | None, int, int]:
    """Database and span (ms) of the query's filter, as far as it names them."""
    try:
        document = msgspec.json.decode(body, type=_GraphQl)
        filters = document.variables.filter.AND
        found = filters[0] if filters else _Filter()
        return (
            found.databaseId,
            _moment_ms(found.datetimeHour_geq) if found.datetimeHour_geq else 0,
            _moment_ms(found.datetimeHour_leq) if found.datetimeHour_leq else 2**62,
        )
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The GraphQL request is malformed: {error}") from None


class _Filter(msgspec.Struct):
    databaseId: str | None = None  # noqa: N815  # Cloudflare's names
    datetimeHour_geq: str | None = None  # noqa: N815
    datetimeHour_leq: str | None = None  # noqa: N815


class _Filters(msgspec.Struct):
    AND: list[_Filter] = []


class _Variables(msgspec.Struct):
    filter: _Filters = msgspec.field(default_factory=_Filters)


class _GraphQl(msgspec.Struct):
    query: str
    variables: _Variables = msgspec.field(default_factory=_Variables)


ROUTES: Final = (
    Route("POST", "/accounts/{account}/d1/database/{database}/export", export),
    Route("POST", "/accounts/{account}/d1/database/{database}/import", import_),
    Route("GET", "/accounts/{account}/d1/database/{database}/time_travel/bookmark", bookmark),
    Route("POST", "/accounts/{account}/d1/database/{database}/time_travel/restore", restore),
    Route("POST", "/graphql", graphql),
)
