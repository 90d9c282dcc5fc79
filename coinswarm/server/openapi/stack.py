"""The routes beside Cloudflare's API: what runs the producer, and what tells how the stack does."""

from __future__ import annotations

from typing import Any, Final

from coinswarm.server.openapi.forms import COUNT, FLAG, TEXT, Schema, listed, mapped, or_null, ref, told
from coinswarm.server.openapi.operations import in_query

_MOMENT: Final = or_null({**COUNT, "description": "Unix seconds."})
_WRONG: Final = told({"type": TEXT, "message": TEXT, "hint": or_null(TEXT)})
_STATUSES: Final = {
    400: "The request, or the configuration, is wrong.",
    401: "The server is bound to more than this machine, and this is not its token.",
    403: "A page of another site asks, or the host is not this one.",
    404: "What the stack needs is not there: the queue, for example.",
    405: "The path has another method.",
    408: "The body did not arrive.",
    409: "What was asked for is under way, or cannot be done as things are.",
    413: "The body is too large.",
    429: "Too many requests.",
    500: "It failed; a bug is logged.",
    502: "The exchange failed; `report` says what was queued before.",
    503: "It failed for now, as when a file is locked.",
}
_LACKING: Final = {
    "anyOf": [
        ref("Error"),
        {
            "type": "object",
            "properties": {"error": _WRONG, "report": {"type": "object"}},
            "required": ["error"],
            "additionalProperties": False,
        },
    ],
}
_SKIPPED: Final = mapped(COUNT)
_FETCHED: Final = told(
    {
        "success": FLAG,
        "source": TEXT,
        "symbol": TEXT,
        "timeframe": TEXT,
        "inserted": {**COUNT, "description": "Candles queued."},
        "messages": COUNT,
        "message": TEXT,
        "oldest": _MOMENT,
        "newest": _MOMENT,
        "next_toTs": {**_MOMENT, "description": "`toTs` of the page before this one; null where nothing is older."},
        "next_trigger": or_null(TEXT),
        "skipped": _SKIPPED,
        "examples": listed(TEXT),
        "gaps": listed(listed(COUNT, minItems=2, maxItems=2)),
        "missing": COUNT,
        "requests": COUNT,
        "pages": COUNT,
        "dry_run": FLAG,
        "notes": listed(TEXT),
        "incomplete": or_null(TEXT),
        "interrupted": FLAG,
    }
)
_RAN: Final[Schema] = {
    "type": "object",
    "properties": {"outcome": {"enum": ["ok", "exception"]}, "noRetry": FLAG, "error": _WRONG},
    "required": ["outcome", "noRetry"],
    "description": "What every source brought goes along.",
}
_SERIES: Final = {"symbol": TEXT, "timeframe": TEXT, "source": TEXT}
_STORED: Final = told(
    {
        "total": COUNT,
        "oldest": _MOMENT,
        "newest": _MOMENT,
        "database": TEXT,
        "size_bytes": COUNT,
        "rows": COUNT,
        "series": listed(told({**_SERIES, "rows": COUNT, "first": COUNT, "last": COUNT, "gaps": or_null(COUNT)})),
        "by_source": mapped(COUNT),
    }
)
_CRON: Final = told(
    {"cron": TEXT, "worker": TEXT, "file": or_null(TEXT), "next": listed(COUNT), "last": or_null({"type": "object"})}
)
_PART: Final = told({"state": TEXT, "restarts": COUNT, "error": or_null(TEXT), "since": COUNT})
_UNDER_WAY: Final[Schema] = {
    "type": "object",
    "properties": {
        "queue": {"type": "object"},
        "dead_letters": {"type": "object"},
        "database": {"type": "object"},
        "series": listed({"type": "object"}),
        "runs": listed({"type": "object"}),
        "crons": listed(_CRON),
        "parts": mapped(_PART),
        "warnings": listed(TEXT),
    },
    "required": ["queue", "dead_letters", "database", "series", "runs", "crons", "parts", "warnings"],
    "description": "The document of `coinswarm status --json`, with the cron jobs' last runs and the parts.",
}
_ASKED: Final[dict[str, Schema]] = {
    "toTs": {**COUNT, "description": "Unix seconds of the newest candle asked for."},
    "pair": {**TEXT, "example": "BTC-USDC"},
    "source": {**TEXT, "example": "binance"},
    "timeframe": {**TEXT, "example": "1h"},
    "limit": {"type": "integer", "minimum": 1, "maximum": 100_000, "description": "Candles."},
}


def _operation(name: str, summary: str, good: Schema, **more: Any) -> Schema:
    answers = {"200": _json("Done.", good)}
    wrong = {str(status): _json(text, _LACKING) for status, text in _STATUSES.items()}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["Stack"],
        "security": [{}, {"token": []}],
        "responses": {**answers, **wrong, **more.pop("also", {})},
        **more,
    }


def _json(text: str, schema: Schema) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _health(status: str, **reasons: int) -> Schema:
    properties = {"status": {"const": status}, "version": TEXT, "reasons": listed(TEXT, **reasons)}
    return told(properties, "reasons") if status == "ok" else told(properties)


def _scheduled(name: str, summary: str, **more: Any) -> Schema:
    """It answers a word, or the JSON that was asked for; refusals and faults are JSON."""
    described = _operation(
        name,
        summary,
        _RAN,
        parameters=[
            in_query("cron", TEXT, "One of the configured expressions; the first unless said."),
            in_query("time", COUNT, "The moment it fired at, unix milliseconds; now unless said."),
            in_query("format", {"const": "json"}, "A document instead of `ok` or `exception`."),
        ],
        **more,
    )
    words = {"text/plain": {"schema": {"enum": ["ok", "exception"]}}}
    described["responses"]["200"]["content"] |= words
    described["responses"]["500"] = _json("A source failed.", {"anyOf": [_RAN, *_LACKING["anyOf"]]})
    described["responses"]["500"]["content"] |= words
    return described


PATHS: Final[dict[str, Any]] = {
    "/trigger": {
        "post": _operation(
            "post_trigger",
            "Fetch a page of candles into the queue",
            _FETCHED,
            parameters=[in_query(field, schema) for field, schema in _ASKED.items()],
            requestBody={
                "required": False,
                "description": "The same fields; the query wins.",
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "properties": _ASKED, "additionalProperties": False}
                    }
                },
            },
        )
    },
    "/cdn-cgi/local/scheduled": {"get": _scheduled("get_scheduled", "Run a cron job now, as `wrangler dev` has it")},
    "/cdn-cgi/handler/scheduled": {
        "get": _scheduled("get_scheduled_by_handler", "The same; an earlier path of wrangler's", deprecated=True)
    },
    "/cdn-cgi/mf/scheduled": {
        "get": _scheduled("get_scheduled_by_mf", "The same; the earliest path of wrangler's", deprecated=True)
    },
    "/stats": {"get": _operation("get_stats", "What is stored", _STORED)},
    "/status": {"get": _operation("get_status", "What is under way", _UNDER_WAY)},
}
"""Where the server has a stack, as in `coinswarm serve` and `coinswarm dev`."""
HEALTH: Final = {
    "get": _operation(
        "get_health",
        "Whether all is well",
        _health("ok", maxItems=0),
        also={
            "503": _json("Something is not: `reasons`.", {"anyOf": [_health("broken", minItems=1), *_LACKING["anyOf"]]})
        },
    )
}
