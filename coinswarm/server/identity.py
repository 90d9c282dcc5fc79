"""Who one is: the token, the user, the account. Only what official clients ask before they do anything."""

from __future__ import annotations

from typing import Any, Final

from coinswarm.queue.wire import timestamp
from coinswarm.server.account import Account
from coinswarm.server.calls import Answer, Call, Route

_USER_ID: Final = "c01c5aa4000000000000000000000001"
_TOKEN_ID: Final = "c01c5aa4000000000000000000000002"  # noqa: S105  # names the token, is not it
_MEMBERSHIP_ID: Final = "c01c5aa4000000000000000000000003"
_ROLE: Final = "Administrator"


def verify_token(_account: Account, _call: Call) -> Answer:
    """Whoever gets here has the token: the gate saw to that."""
    return Answer({"id": _TOKEN_ID, "status": "active"})


def user(_account: Account, _call: Call) -> Answer:
    return Answer({"id": _USER_ID, "email": "user@coinswarm.local", "username": "coinswarm", "suspended": False})


def accounts(account: Account, call: Call) -> Answer:
    part, page = call.page([_described(account)])
    return Answer(part, page)


def one_account(account: Account, _call: Call) -> Answer:
    return Answer(_described(account))


def memberships(account: Account, call: Call) -> Answer:
    membership = {
        "id": _MEMBERSHIP_ID,
        "status": "accepted",
        "account": _described(account),
        "roles": [_ROLE],
        "permissions": {},
    }
    part, page = call.page([membership])
    return Answer(part, page)


def _described(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "type": "standard",
        "settings": {"enforce_twofactor": False},
        "created_on": timestamp(0),
    }


ROUTES: Final = (
    Route("GET", "/user/tokens/verify", verify_token),
    Route("GET", "/accounts/{account}/tokens/verify", verify_token),
    Route("GET", "/user", user),
    Route("GET", "/accounts", accounts),
    Route("GET", "/accounts/{account}", one_account),
    Route("GET", "/memberships", memberships),
)
