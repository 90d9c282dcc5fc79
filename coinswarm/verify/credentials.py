"""V1, V2: the token and the account, which only Cloudflare asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coinswarm.cloudflare import CloudflareApi, segment
from coinswarm.errors import AccountForbidden, CloudflareError, ConfigError, NotRouted, Unauthorized
from coinswarm.verify.check import Outcome, failed, passed, warned
from coinswarm.verify.subject import Subject

_INVALID_TOKEN: Final = 1000
"""What `/user/tokens/verify` calls a token that belongs to an account and not to a user."""
_DENIED: Final = (Unauthorized, AccountForbidden, NotRouted)
_SET: Final = "Set it in the environment or in .dev.vars"
_PERMISSIONS: Final = {"D1": "D1: Edit", "Queues": "Queues: Edit", "Workers": "Workers Scripts: Read"}


def token(subject: Subject) -> Outcome:
    """Whether the token is alive, and what it may read: each permission is tried. Writing is proved by the canary."""
    if not subject.remote:
        return passed("CLOUDFLARE_API_TOKEN: not needed on this machine")
    if subject.stack.api_token is None:
        hint = f"{_SET}; it needs D1: Edit and Queues: Edit: https://dash.cloudflare.com/profile/api-tokens"
        return failed("CLOUDFLARE_API_TOKEN is not set", hint)
    try:
        with subject.api() as api:
            status = _status(api)
            denied = {name: _denied(api, path) for name, path in _probes(subject, api).items()}
            elsewhere = _is_elsewhere(api, denied)
    except ConfigError:  # several accounts: the next check says so
        return passed("CLOUDFLARE_API_TOKEN is set; what it may do depends on the account")
    if status != "active":
        return failed(f"CLOUDFLARE_API_TOKEN is {status}", "Make a new one, with D1: Edit and Queues: Edit.")
    if elsewhere:
        return passed("CLOUDFLARE_API_TOKEN is set and active; what it may do depends on the account")
    return _permitted({name: error is None for name, error in denied.items()})


def _permitted(scopes: dict[str, bool]) -> Outcome:
    lacking = [name for name, allowed in scopes.items() if not allowed]
    told = ", ".join(name for name, allowed in scopes.items() if allowed) or "nothing of the stack"
    needed = " and ".join(_PERMISSIONS[name] for name in lacking)
    if {"D1", "Queues"} & set(lacking):
        hint = f"Give the token the permission {needed} for this account."
        return failed(f"CLOUDFLARE_API_TOKEN may not read {' and '.join(lacking)}", hint, scopes=scopes)
    if lacking:
        hint = f"Give the token the permission {needed}: deployments cannot be looked up without it."
        return warned(f"CLOUDFLARE_API_TOKEN is active and may read {told}, not Workers", hint, scopes=scopes)
    return passed(f"CLOUDFLARE_API_TOKEN is set and active; it may read {told}", scopes=scopes)


def _status(api: CloudflareApi) -> str:
    try:
        found = api.call("GET", "/user/tokens/verify").result
    except CloudflareError as error:
        if error.code != _INVALID_TOKEN:
            raise
        found = api.call("GET", f"{api.account}/tokens/verify").result
    return str(found.get("status", "of unknown state")) if isinstance(found, dict) else "of unknown state"


def _probes(subject: Subject, api: CloudflareApi) -> dict[str, str]:
    probes = {"D1": f"{api.account}/d1/database", "Queues": f"{api.account}/queues"}
    workers = [worker for worker in (c.worker for c in subject.stack.crons) if worker]
    return probes | {"Workers": f"{api.account}/workers/scripts/{segment(workers[0])}/schedules"} if workers else probes


def _denied(api: CloudflareApi, path: str) -> CloudflareError | None:
    """What kept the token from reading there; None where it may."""
    try:
        api.call("GET", path)
    except _DENIED as error:
        return error
    except CloudflareError as error:
        if error.http_status != 404:  # what is not there was looked for, so looking is allowed
            raise
    return None


def _is_elsewhere(api: CloudflareApi, denied: Mapping[str, CloudflareError | None]) -> bool:
    """Whether everything was denied because the account is not one of the token's, which is no fault of the token.

    Where the token may not list its accounts, the errors have to tell: those that name the account.
    """
    needed = [denied["D1"], denied["Queues"]]
    if None in needed:
        return False
    accounts = _accounts(api)
    if accounts:
        return api.account_id.lower() not in accounts
    return all(isinstance(error, AccountForbidden | NotRouted) for error in needed)


def _accounts(api: CloudflareApi) -> list[str]:
    """The ids of the token's accounts, as far as it may list them."""
    try:
        return [str(each["id"]) for each in api.pages("/accounts") if isinstance(each, dict) and each.get("id")]
    except _DENIED:
        return []


def account(subject: Subject) -> Outcome:
    """Whether the account answers; where none is set, whether the token is for one only."""
    if not subject.remote:
        return passed("CLOUDFLARE_ACCOUNT_ID: not needed on this machine")
    with subject.api() as api:
        known = api.account_id
        told = "is set" if subject.stack.account_id else "is not set, the token is for one account only"
        try:
            found = api.call("GET", api.account).result
        except _DENIED:  # a token for queues and databases alone may use the account and not look at it
            error = _denied(api, f"{api.account}/queues")
            if error is None:
                return passed(f"CLOUDFLARE_ACCOUNT_ID {told} and answers: {known}", account_id=known)
            own = ", ".join(_accounts(api))
            hint = f"Correct CLOUDFLARE_ACCOUNT_ID, or give the token that account.{f' It has: {own}' if own else ''}"
            return failed(f"the token may not use the account {known} ({error.message})", hint, accounts=own)
    name = found.get("name") if isinstance(found, dict) else None
    return passed(f"CLOUDFLARE_ACCOUNT_ID {told}: {name or known}", account_id=known)
