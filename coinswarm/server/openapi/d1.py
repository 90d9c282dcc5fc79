"""D1: databases, SQL, export and import, Time Travel. https://developers.cloudflare.com/api/resources/d1/"""

from __future__ import annotations

from typing import Final

from coinswarm.errors import DatabaseExists, InvalidRequest, SqlError
from coinswarm.server.openapi import forms
from coinswarm.server.openapi.forms import listed, one_of, or_null, ref, sent, told
from coinswarm.server.openapi.operations import OF_A_DATABASE, OF_AN_ACCOUNT, OF_D1, Operation, fault, in_query

_FAULTS: Final = (*OF_A_DATABASE, *OF_AN_ACCOUNT)
_SQL_FAULTS: Final = (*_FAULTS, fault(SqlError))
_DATABASES: Final = "/accounts/{account}/d1/database"
_DATABASE: Final = _DATABASES + "/{database}"
_TIMESTAMP: Final = in_query("timestamp", forms.TEXT, "ISO 8601; without a zone it is UTC.")


def _polled(kind: str, result: forms.Schema) -> forms.Schema:
    """What stands in the reply while the job runs, and when it is over."""
    return told(
        {
            "success": {"const": True},
            "type": {"const": kind},
            "at_bookmark": forms.BOOKMARK,
            "status": one_of("active", "complete", "error"),
            "messages": listed(forms.TEXT),
            "error": forms.TEXT,
            "errors": listed(forms.TEXT),
            "result": result,
        },
        *("error", "errors", "result"),
    )


_EXPORT: Final = sent(
    {
        "output_format": {"const": "polling"},
        "current_bookmark": or_null({"type": "string", "description": "Asks for the export that began with it."}),
        "dump_options": or_null(
            sent({"tables": listed(forms.TEXT), "no_schema": or_null(forms.FLAG), "no_data": or_null(forms.FLAG)})
        ),
    }
)
_EXPORTED: Final = _polled("export", told({"filename": forms.TEXT, "signed_url": {"type": "string", "format": "uri"}}))
_IMPORT: Final = {
    "description": "init → PUT to `upload_url` → ingest → poll.",
    "type": "object",
    "anyOf": [
        sent({"action": {"const": "init"}, "etag": forms.MD5}, "action", "etag"),
        sent({"action": {"const": "ingest"}, "etag": forms.MD5, "filename": forms.TEXT}, "action", "etag", "filename"),
        sent({"action": {"const": "poll"}}, "action"),
    ],
}
_IMPORTED: Final = {
    "anyOf": [
        told({"filename": forms.TEXT, "upload_url": {"type": "string", "format": "uri"}}),
        told({"success": {"const": False}, "type": {"const": "import"}, "error": forms.TEXT}),
        _polled(
            "import",
            told({"num_queries": forms.COUNT, "final_bookmark": forms.BOOKMARK, "meta": ref("Meta")}, "final_bookmark"),
        ),
    ]
}
_REPLICATION: Final = {"read_replication": ref("Replication")}
_GROUP: Final = told(
    {
        "sum": told(dict.fromkeys(("readQueries", "writeQueries", "rowsRead", "rowsWritten"), forms.COUNT)),
        "dimensions": told({"databaseId": forms.TEXT, "datetimeHour": forms.TEXT}),
    }
)

OPERATIONS: Final = {
    f"GET {_DATABASES}": Operation(
        "List the databases",
        listed(ref("ListedDatabase")),
        query=(in_query("name", forms.TEXT, "Any part of the name, in whatever case."),),
        paged=True,
        faults=(*OF_D1, *OF_AN_ACCOUNT),
    ),
    f"POST {_DATABASES}": Operation(
        "Create a database",
        ref("Database"),
        sent(
            {
                "name": {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$"},
                "primary_location_hint": or_null(one_of("wnam", "enam", "weur", "eeur", "apac", "oc")),
                "jurisdiction": or_null(one_of("eu", "fedramp", "us")),
                "read_replication": or_null(ref("Replication")),
            },
            "name",
        ),
        faults=(*OF_D1, *OF_AN_ACCOUNT, fault(DatabaseExists)),
    ),
    f"GET {_DATABASE}": Operation(
        "Describe a database, by uuid or name",
        {**ref("PartOfDatabase"), "description": "With `fields` only those."},
        query=(in_query("fields", listed(forms.TEXT), "Repeated, or listed with commas."),),
        faults=_FAULTS,
    ),
    f"PUT {_DATABASE}": Operation(
        "Set the read replication", ref("Database"), sent(_REPLICATION, "read_replication"), faults=_FAULTS
    ),
    f"PATCH {_DATABASE}": Operation(
        "Change the read replication, if the body names one",
        ref("Database"),
        sent({"read_replication": or_null(ref("Replication"))}),
        body_required=False,
        faults=_FAULTS,
    ),
    f"DELETE {_DATABASE}": Operation(
        "Delete a database; one that a wrangler file binds cannot be deleted here", faults=_FAULTS
    ),
    f"POST {_DATABASE}/query": Operation(
        "Run SQL in one transaction; rows as objects", listed(ref("QueryResult")), ref("Query"), faults=_SQL_FAULTS
    ),
    f"POST {_DATABASE}/raw": Operation(
        "Run SQL in one transaction; rows as arrays", listed(ref("RawResult")), ref("Query"), faults=_SQL_FAULTS
    ),
    f"POST {_DATABASE}/export": Operation(
        "Begin an export, or ask how far it is",
        _EXPORTED,
        _EXPORT,
        body_required=False,
        also_accepted=True,
        faults=_SQL_FAULTS,
    ),
    f"POST {_DATABASE}/import": Operation(
        "Import SQL text in steps", _IMPORTED, _IMPORT, also_accepted=True, faults=_SQL_FAULTS
    ),
    f"GET {_DATABASE}/time_travel/bookmark": Operation(
        "The bookmark of now, or the last one by then",
        told({"bookmark": forms.BOOKMARK}),
        query=(_TIMESTAMP,),
        faults=_FAULTS,
    ),
    f"POST {_DATABASE}/time_travel/restore": Operation(
        "Restore a bookmark, or the last one by a time; one of the two is needed",
        told({"bookmark": forms.BOOKMARK, "previous_bookmark": forms.BOOKMARK, "message": forms.TEXT}),
        query=(in_query("bookmark", forms.TEXT), _TIMESTAMP),
        faults=_FAULTS,
    ),
    "POST /graphql": Operation(
        "How much the databases were used through this server, by the hour, whatever the query",
        body=sent(
            {
                "query": forms.TEXT,
                "variables": sent(
                    {
                        "filter": sent(
                            {
                                "AND": listed(
                                    sent(
                                        {
                                            "databaseId": or_null(forms.TEXT),
                                            "datetimeHour_geq": or_null(forms.TEXT),
                                            "datetimeHour_leq": or_null(forms.TEXT),
                                        }
                                    )
                                )
                            }
                        )
                    }
                ),
            },
            "query",
        ),
        document=told(
            {
                "data": told(
                    {"viewer": told({"accounts": listed(told({"d1AnalyticsAdaptiveGroups": listed(_GROUP)}))})}
                ),
                "errors": forms.NOTHING,
            }
        ),
        faults=(fault(InvalidRequest),),
    ),
}
