"""From a `Stack` to Cloudflare's API: whose token, which account. Heavy modules are imported when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from coinswarm.clock import Clock
from coinswarm.config import Stack
from coinswarm.errors import AccountForbidden, ConfigError, Unauthorized
from coinswarm.log import NO_LOG, Log

if TYPE_CHECKING:
    import httpx

    from coinswarm.cloudflare import CloudflareApi
    from coinswarm.config.masking import Secret

_MAY_NOT_LIST: Final = (
    "Set CLOUDFLARE_ACCOUNT_ID: this token may not list accounts (permission Account Settings: Read), or is not valid."
)


@contextmanager
def cloudflare(stack: Stack, clock: Clock, log: Log = NO_LOG) -> Iterator[CloudflareApi]:
    """Cloudflare's REST API with the token of the environment, for its account or the token's only one.

    Raises `ConfigError` without a token, and what `discover` raises.
    """
    from coinswarm.cloudflare import CloudflareApi
    from coinswarm.transport import http_client

    token, account = _token(stack), account_id(stack, clock)
    with http_client() as client:
        yield CloudflareApi(account, token, client=client, clock=clock, base_url=stack.api_base_url, log=log)


def account_id(stack: Stack, clock: Clock) -> str:
    """The configured account, else the only one that the token is for. Raises as `cloudflare`."""
    if stack.account_id:
        return stack.account_id
    from coinswarm.transport import http_client

    with http_client() as client:
        return discover(_token(stack), client=client, clock=clock, base_url=stack.api_base_url)


def discover(token: Secret, *, client: httpx.Client, clock: Clock, base_url: str) -> str:
    """The id of the account that the token is for, as wrangler finds it where none is configured.

    Raises `ConfigError` when there are several to choose from, `AccountForbidden` when there is none, `Unauthorized`
    for a token that may not ask, and what else the API says.
    """
    from coinswarm.cloudflare import CloudflareApi

    api = CloudflareApi("", token, client=client, clock=clock, base_url=base_url)
    try:
        found = [each for each in api.pages("/accounts") if isinstance(each, dict) and each.get("id")]
    except (Unauthorized, AccountForbidden) as error:
        error.hint = _MAY_NOT_LIST
        raise
    accounts = {str(each["id"]): str(each.get("name", "")) for each in found}
    if len(accounts) == 1:
        return next(iter(accounts))
    if not accounts:
        raise AccountForbidden(
            "the API token is for no account",
            hint="Give it one (Account Resources on the token's page), or set CLOUDFLARE_ACCOUNT_ID.",
        )
    listed = "".join(f"\n  {id_}  {name}" for id_, name in accounts.items())
    raise ConfigError(
        f"the API token is for {len(accounts)} accounts:{listed}", hint="Set CLOUDFLARE_ACCOUNT_ID to one of them."
    )


def _token(stack: Stack) -> Secret:
    if stack.api_token is None:
        raise ConfigError(
            "--remote needs CLOUDFLARE_API_TOKEN",
            hint="Set it in the environment or in .dev.vars; the token needs D1: Edit and Queues: Edit.",
        )
    return stack.api_token
