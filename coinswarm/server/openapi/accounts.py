"""Who one is, and the little of Workers that belongs to a stack."""

from __future__ import annotations

from typing import Final

from coinswarm.errors import InvalidRequest, InvalidWorkersRequest, WorkerNotFound
from coinswarm.server.openapi import forms
from coinswarm.server.openapi.forms import listed, mapped, ref, sent, told
from coinswarm.server.openapi.operations import OF_AN_ACCOUNT, Operation, fault
from coinswarm.server.schedules import MOST

_VERIFIED: Final = told({"id": forms.ID, "status": forms.TEXT})
_SCHEDULES: Final = "/accounts/{account}/workers/scripts/{script}/schedules"
_CRON: Final[forms.Schema] = {
    "type": "string",
    "description": "Five fields with spaces between them.",
    "pattern": r"^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$",
    "example": "*/30 * * * *",
}
_DEPLOYMENT: Final = told(
    {
        "id": forms.TEXT,
        "source": forms.TEXT,
        "strategy": forms.TEXT,
        "author_email": forms.TEXT,
        "created_on": forms.MOMENT,
        "versions": listed(told({"percentage": forms.COUNT, "version_id": forms.TEXT})),
    }
)
_CRONS: Final = listed(sent({"cron": _CRON}, "cron"), maxItems=MOST)

OPERATIONS: Final = {
    "GET /user/tokens/verify": Operation("Whether the token is valid", _VERIFIED),
    "GET /accounts/{account}/tokens/verify": Operation("Whether the token is valid", _VERIFIED, faults=OF_AN_ACCOUNT),
    "GET /user": Operation(
        "The user", told({"id": forms.ID, "email": forms.TEXT, "username": forms.TEXT, "suspended": forms.FLAG})
    ),
    "GET /accounts": Operation(
        "The accounts: the one there is", listed(ref("Account")), paged=True, faults=(fault(InvalidRequest),)
    ),
    "GET /accounts/{account}": Operation("The account", ref("Account"), faults=OF_AN_ACCOUNT),
    "GET /memberships": Operation(
        "The user's memberships",
        listed(
            told(
                {
                    "id": forms.ID,
                    "status": forms.TEXT,
                    "account": ref("Account"),
                    "roles": listed(forms.TEXT),
                    "permissions": mapped({}),
                }
            )
        ),
        paged=True,
        faults=(fault(InvalidRequest),),
    ),
    f"GET {_SCHEDULES}": Operation("The cron triggers of a Worker", ref("Schedules"), faults=OF_AN_ACCOUNT),
    "GET /accounts/{account}/workers/scripts/{script}/deployments": Operation(
        "The deployments of a Worker, the latest first",
        told({"deployments": listed(_DEPLOYMENT)}),
        faults=(*OF_AN_ACCOUNT, fault(WorkerNotFound)),
    ),
    f"PUT {_SCHEDULES}": Operation(
        "Give a Worker these cron triggers and no others",
        ref("Schedules"),
        {"anyOf": [_CRONS, sent({"schedules": _CRONS}, "schedules")]},
        faults=(*OF_AN_ACCOUNT, fault(InvalidWorkersRequest)),
    ),
}
