"""The forms that bodies and replies are made of, in JSON Schema 2020-12, and short words to write them with."""

from __future__ import annotations

from typing import Any, Final

from coinswarm.limits import D1, QUEUES

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
NUMBER: Final[Schema] = {"type": "number", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
NOTHING: Final[Schema] = {"type": "null"}
ANYTHING: Final[Schema] = {}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time", "description": "UTC, with microseconds."}
ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
BOOKMARK: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$"}
MD5: Final[Schema] = {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def sent(properties: Schema, *required: str) -> Schema:
    """An object in a request; what it holds besides is passed over, as on Cloudflare."""
    return {"type": "object", "properties": properties, "required": list(required)}


def told(properties: Schema, *optional: str) -> Schema:
    """An object in a reply: these properties and no others, all but `optional` in every reply."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def listed(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


def mapped(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def or_null(schema: Schema) -> Schema:
    """`schema`, or null, which says the same as leaving it out."""
    return {"anyOf": [schema, NOTHING]}


_DELAY: Final = or_null(whole(0, QUEUES.delay_seconds))
_QUEUE_NAME: Final[Schema] = {"type": "string", "pattern": QUEUES.name_pattern}
_BYTES: Final = listed(whole(0, 255))
_META: Final = told(
    {
        "served_by": TEXT,
        "served_by_primary": FLAG,
        "duration": {**NUMBER, "description": "Milliseconds."},
        "timings": told({"sql_duration_ms": NUMBER}),
        "changes": COUNT,
        "last_row_id": {"type": "integer"},
        "changed_db": FLAG,
        "size_after": COUNT,
        "rows_read": COUNT,
        "rows_written": COUNT,
        "total_attempts": COUNT,
    }
)
_VALUE: Final[Schema] = {
    "description": "Text, a number (a double), null, or a blob as an array of bytes.",
    "anyOf": [{"type": ["string", "number", "null"]}, _BYTES],
}
_PARAMETERS: Final = or_null(listed({"anyOf": [{"type": ["string", "number", "boolean", "null"]}, _BYTES]}))
_MESSAGE: Final = {
    "id": ID,
    "body": {"description": "Plain for `text`; base64 for all else, unless the server was started with --plain-json."},
    "attempts": {"type": "integer", "minimum": 0},
    "timestamp_ms": COUNT,
    "metadata": told({"CF-Content-Type": one_of("json", "text", "bytes", "v8"), "CF-sourceMessageSource": TEXT}),
}
_CONSUMER_SETTINGS: Final = {
    "batch_size": or_null(whole(1, QUEUES.batch_messages)),
    "max_retries": or_null(whole(0, QUEUES.max_retries)),
    "retry_delay": _DELAY,
}
_WORKER_SETTINGS: Final = {
    **_CONSUMER_SETTINGS,
    "max_wait_time_ms": or_null(whole(0, QUEUES.batch_timeout_seconds * 1000)),
    "max_concurrency": or_null(whole(1, QUEUES.concurrency)),
}
_PULL_SETTINGS: Final = {
    **_CONSUMER_SETTINGS,
    "visibility_timeout_ms": or_null(whole(1, QUEUES.visibility_timeout_ms)),
}
_PUSHED: Final = sent({"body": ANYTHING, "content_type": or_null(TEXT), "delay_seconds": _DELAY}, "body")
_TEXT_ONLY_STRINGS: Final = {
    "if": {"properties": {"content_type": {"const": "text"}}, "required": ["content_type"]},
    "then": {"properties": {"body": TEXT}},
    "else": {"properties": {"content_type": {"enum": ["json", None]}}},
}

_DATABASE: Final = {
    "uuid": {"type": "string", "format": "uuid"},
    "name": TEXT,
    "version": TEXT,
    "created_at": MOMENT,
    "jurisdiction": or_null(TEXT),
    "num_tables": COUNT,
    "file_size": {**COUNT, "description": "Bytes."},
    "running_in_region": TEXT,
    "read_replication": told({"mode": one_of("auto", "disabled")}),
    "primary_location_hint": TEXT,
    "created_in_region": TEXT,
}
_WHERE_IT_IS: Final = ("running_in_region", "primary_location_hint", "created_in_region")
"""Only where a location was asked for."""

SCHEMAS: Final[Schema] = {
    "Error": {
        "type": "object",
        "properties": {
            "result": {"description": "null, or an empty list after an SQL error."},
            "success": {"const": False},
            "errors": listed(told({"code": {"type": "integer", "minimum": 900}, "message": TEXT}), minItems=1),
            "messages": listed(TEXT, maxItems=0),
        },
        "required": ["result", "success", "errors", "messages"],
        "additionalProperties": False,
    },
    "PageInfo": told({"page": COUNT, "per_page": COUNT, "count": COUNT, "total_count": COUNT, "total_pages": COUNT}),
    "Account": told(
        {
            "id": ID,
            "name": TEXT,
            "type": TEXT,
            "settings": told({"enforce_twofactor": FLAG}),
            "created_on": MOMENT,
        }
    ),
    "ListedDatabase": told(
        {
            "uuid": {"type": "string", "format": "uuid"},
            "name": TEXT,
            "version": TEXT,
            "created_at": MOMENT,
            "jurisdiction": or_null(TEXT),
        }
    ),
    "Database": told(_DATABASE, *_WHERE_IT_IS),
    "PartOfDatabase": told(_DATABASE, *_DATABASE),
    "Replication": sent({"mode": one_of("auto", "disabled")}, "mode"),
    "Query": {
        "description": f"One text with parameters, or several; each text up to {D1.statement_bytes:,} bytes.",
        "type": "object",
        "anyOf": [
            sent({"sql": TEXT, "params": _PARAMETERS, "batch": NOTHING}, "sql"),
            sent({"batch": listed(sent({"sql": TEXT, "params": _PARAMETERS}, "sql"), minItems=1)}, "batch"),
        ],
    },
    "Meta": _META,
    "QueryResult": told({"results": listed(mapped(_VALUE)), "success": {"const": True}, "meta": ref("Meta")}),
    "RawResult": told(
        {
            "results": told({"columns": listed(TEXT), "rows": listed(listed(_VALUE))}),
            "success": {"const": True},
            "meta": ref("Meta"),
        }
    ),
    "QueueSettings": {
        "anyOf": [
            sent(
                {
                    "delivery_delay": _DELAY,
                    "delivery_paused": or_null(FLAG),
                    "message_retention_period": or_null(
                        whole(QUEUES.retention_seconds_min, QUEUES.retention_seconds_max)
                    ),
                }
            ),
            NOTHING,
        ]
    },
    "QueueName": _QUEUE_NAME,
    "Queue": told(
        {
            "queue_id": ID,
            "queue_name": TEXT,
            "created_on": MOMENT,
            "modified_on": MOMENT,
            "producers": listed(told({"type": TEXT, "script": TEXT})),
            "producers_total_count": COUNT,
            "consumers": listed(ref("Consumer")),
            "consumers_total_count": COUNT,
            "settings": told(
                {"delivery_delay": COUNT, "delivery_paused": FLAG, "message_retention_period": COUNT},
            ),
        }
    ),
    "ConsumerRequest": {
        "type": "object",
        "anyOf": [
            sent(
                {
                    "type": {"const": "worker"},
                    "script_name": {"type": "string", "minLength": 1},
                    "dead_letter_queue": or_null(TEXT),
                    "settings": or_null(sent(_WORKER_SETTINGS)),
                },
                *("type", "script_name"),
            ),
            sent(
                {
                    "type": {"const": "http_pull"},
                    "dead_letter_queue": or_null(TEXT),
                    "settings": or_null(sent(_PULL_SETTINGS)),
                },
                "type",
            ),
        ],
    },
    "Consumer": told(
        {
            "consumer_id": ID,
            "created_on": MOMENT,
            "type": one_of("worker", "http_pull"),
            "queue_name": TEXT,
            "dead_letter_queue": TEXT,
            "settings": mapped(or_null(COUNT)),
            "script": TEXT,
            "script_name": TEXT,
            "environment": TEXT,
        },
        *("script", "script_name", "environment"),
    ),
    "Push": {**_PUSHED, **_TEXT_ONLY_STRINGS},
    "PushBatch": sent(
        {"messages": listed(ref("Push"), minItems=1, maxItems=QUEUES.batch_messages), "delay_seconds": _DELAY},
        "messages",
    ),
    "Pull": sent(
        {
            "batch_size": or_null(whole(1, QUEUES.batch_messages)),
            "visibility_timeout_ms": or_null(whole(1, QUEUES.visibility_timeout_ms)),
        }
    ),
    "Ack": sent(
        {
            "acks": or_null(listed(sent({"lease_id": TEXT}, "lease_id"))),
            "retries": or_null(listed(sent({"lease_id": TEXT, "delay_seconds": _DELAY}, "lease_id"))),
        }
    ),
    "PulledMessage": told({**_MESSAGE, "lease_id": TEXT}),
    "PeekedMessage": told({**_MESSAGE, "ref": TEXT}),
    "Metrics": told({"backlog_count": COUNT, "backlog_bytes": COUNT, "oldest_message_timestamp_ms": COUNT}),
    "Metadata": told({"metrics": ref("Metrics")}),
    "PurgeStatus": told({"started_at": TEXT, "complete": FLAG, "completed": TEXT}),
    "Schedules": told({"schedules": listed(told({"cron": TEXT, "created_on": MOMENT, "modified_on": MOMENT}))}),
}
