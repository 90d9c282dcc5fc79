"""D1 databases: list, create, look into, change, delete, query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from coinswarm.d1 import splitter
from coinswarm.d1.catalogue import DatabaseInfo, ReplicationMode
from coinswarm.d1.types import Database, QueryResult, Statement
from coinswarm.d1.wire import QueryRequest, decode_object, decode_request, encode_results
from coinswarm.errors import InvalidRequest, StorageLocked
from coinswarm.queue.wire import timestamp
from coinswarm.server.account import Account
from coinswarm.server.calls import Answer, Call, Route

_LOCATIONS: Final = ("wnam", "enam", "weur", "eeur", "apac", "oc")
_JURISDICTIONS: Final = ("eu", "fedramp", "us")
_FIELDS: Final = frozenset(
    {"uuid", "name", "created_at", "version", "jurisdiction", "num_tables", "file_size", "running_in_region"}
    | {"read_replication"}
)
_READING: Final = frozenset({"SELECT", "VALUES", "EXPLAIN", "PRAGMA", ""})
_TABLES: Final = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' "
    r"AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE '\_cf\_%' ESCAPE '\'"
)


def databases(account: Account, call: Call) -> Answer:
    """`name` filters by any part of it, in whatever case, as miniflare's copy of this endpoint does."""
    part = (call.query.get("name") or "").lower()
    found, page = call.page([info for info in account.catalogue.databases() if part in info.name.lower()])
    return Answer([_listed(info) for info in found], page)


def create(account: Account, call: Call) -> Answer:
    body = decode_object(call.body)
    name = body.get("name")
    if name is None or name == "":
        raise InvalidRequest("Invalid property: name => Required")
    if not isinstance(name, str):
        raise InvalidRequest("Invalid property: name => Expected string")
    mode = _mode(body) if body.get("read_replication") is not None else None
    info = account.catalogue.create(
        name,
        location=_one_of(body, "primary_location_hint", _LOCATIONS),
        jurisdiction=_one_of(body, "jurisdiction", _JURISDICTIONS),
    )
    if mode is not None:
        info = account.catalogue.set_replication(info.uuid, mode)
    created = _described(account, info)
    if info.location:
        created |= {"primary_location_hint": info.location, "created_in_region": info.location.upper()}
    return Answer(created)


def _one_of(body: dict[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value.lower() not in known:
        raise InvalidRequest(f"Invalid property: {name} => Expected one of {', '.join(known)}")
    return value.lower()


def _mode(body: dict[str, Any]) -> ReplicationMode:
    replication = body.get("read_replication")
    mode = replication.get("mode") if isinstance(replication, dict) else None
    if mode == "auto":
        return "auto"
    if mode == "disabled":
        return "disabled"
    raise InvalidRequest("Invalid property: read_replication.mode => Expected auto or disabled")


def database(account: Account, call: Call) -> Answer:
    """By uuid or by name. `fields` chooses: the SDK repeats it, wrangler lists with commas."""
    described = _described(account, account.catalogue.info(call.ids["database"]))
    fields = {field for text in call.query.getlist("fields") for field in text.split(",") if field}
    if unknown := sorted(fields - _FIELDS):
        raise InvalidRequest(f"Invalid query parameter: fields => Unknown field {', '.join(unknown)}")
    return Answer({key: value for key, value in described.items() if not fields or key in fields})


def update(account: Account, call: Call) -> Answer:
    return Answer(_updated(account, call, decode_object(call.body)))


def update_partly(account: Account, call: Call) -> Answer:
    body = decode_object(call.body)
    if body.get("read_replication") is None:
        return database(account, call)
    return Answer(_updated(account, call, body))


def _updated(account: Account, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    account.catalogue.info(call.ids["database"])
    return _described(account, account.catalogue.set_replication(call.ids["database"], _mode(body)))


def delete(account: Account, call: Call) -> Answer:
    info = account.catalogue.info(call.ids["database"])
    account.catalogue.delete(info.uuid)
    account.time_travel.forget(info.uuid)
    return Answer()


def query(account: Account, call: Call) -> Answer:
    return Answer(encode_results(_run(account, call), raw=False))


def raw(account: Account, call: Call) -> Answer:
    return Answer(encode_results(_run(account, call), raw=True))


def _run(account: Account, call: Call) -> list[QueryResult]:
    """One transaction, whatever the request holds."""
    info = account.catalogue.info(call.ids["database"])
    request = decode_request(call.body)
    with account.catalogue.use(info.uuid) as opened:
        try:
            if any(_changes(statement.sql) for statement in request.statements):
                account.refuse_during_import(info.uuid)
                account.time_travel.before_change(info.uuid)
            results = _executed(opened, request)
        except StorageLocked:
            account.refuse_during_import(info.uuid)
            raise
    account.usage.count(info.uuid, results)
    return results


def _executed(opened: Database, request: QueryRequest) -> list[QueryResult]:
    if not request.batch:
        sql, params = request.statements[0]
        return opened.execute(sql, params)
    return opened.batch([single for statement in request.statements for single in _singles(statement)])


def _singles(statement: Statement) -> Iterable[Statement]:
    """An entry of a batch may hold several statements too; those with parameters are left for the database to judge."""
    texts = [] if statement.params else splitter.split(statement.sql)
    return [Statement(text) for text in texts] if len(texts) > 1 else [statement]


def _changes(sql: str) -> bool:
    """Whether the text may change the database: by its first word, and by what else it holds."""
    return splitter.verb(sql) not in _READING or ";" in sql.rstrip().rstrip(";")


def _listed(info: DatabaseInfo) -> dict[str, Any]:
    return {
        "uuid": info.uuid,
        "name": info.name,
        "version": "production",
        "created_at": timestamp(info.created_on_ms),
        "jurisdiction": info.jurisdiction,
    }


def _described(account: Account, info: DatabaseInfo) -> dict[str, Any]:
    with account.catalogue.use(info.uuid) as opened:
        (result,) = opened.execute(_TABLES)
    region = {"running_in_region": info.location.upper()} if info.location else {}
    return {
        **_listed(info),
        "num_tables": result.rows[0][0],
        "file_size": result.meta.size_after,
        **region,
        "read_replication": {"mode": info.read_replication},
    }


ROUTES: Final = (
    Route("GET", "/accounts/{account}/d1/database", databases),
    Route("POST", "/accounts/{account}/d1/database", create),
    Route("GET", "/accounts/{account}/d1/database/{database}", database),
    Route("PUT", "/accounts/{account}/d1/database/{database}", update),
    Route("PATCH", "/accounts/{account}/d1/database/{database}", update_partly),
    Route("DELETE", "/accounts/{account}/d1/database/{database}", delete),
    Route("POST", "/accounts/{account}/d1/database/{database}/query", query),
    Route("POST", "/accounts/{account}/d1/database/{database}/raw", raw),
)
