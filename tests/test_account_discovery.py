"""`--remote` without CLOUDFLARE_ACCOUNT_ID: the account is the one that the token is for, as with wrangler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from coinswarm.clock import ManualClock
from coinswarm.cloudflare_account import discover
from coinswarm.config.masking import Secret
from coinswarm.errors import AccountForbidden, CoinswarmError, ConfigError, Unauthorized
from tests.support.cloudflare import BASE, TOKEN, Handler, InTurn, ok, refused
from tests.support.command_line import CommandLine
from tests.support.local_cloudflare import LocalCloudflare, local_cloudflare

MINE, OTHER = {"id": "a" * 32, "name": "Mine"}, {"id": "b" * 32, "name": "The other"}


@pytest.fixture
def cloudflare(tmp_path: Path, coinswarm: CommandLine) -> Iterator[LocalCloudflare]:
    """The command line's `--remote` leads here, by the token alone."""
    with local_cloudflare(tmp_path / "cloud") as served:
        coinswarm.environment = {"CLOUDFLARE_API_BASE_URL": served.url, "CLOUDFLARE_API_TOKEN": TOKEN}
        yield served


def discovered(handler: Handler) -> str:
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return discover(Secret(TOKEN), client=client, clock=ManualClock(), base_url=BASE)


def test_one_account_is_the_account() -> None:
    handler = InTurn(ok([MINE]), ok([]))
    assert discovered(handler) == "a" * 32
    assert [r.url.path for r in handler.requests] == ["/client/v4/accounts"] * 2
    assert all(r.headers["authorization"] == f"Bearer {TOKEN}" for r in handler.requests)


def test_of_several_none_is_chosen_and_all_are_named_over_all_pages() -> None:
    pages = [ok([each], result_info={"total_count": 2}) for each in (MINE, OTHER)]
    with pytest.raises(ConfigError) as refusal:
        discovered(InTurn(*pages))
    assert refusal.value.message == f"the API token is for 2 accounts:\n  {'a' * 32}  Mine\n  {'b' * 32}  The other"
    assert refusal.value.hint == "Set CLOUDFLARE_ACCOUNT_ID to one of them."


def test_no_account_says_what_the_token_lacks() -> None:
    with pytest.raises(AccountForbidden, match="for no account") as refusal:
        discovered(InTurn(ok([])))
    assert "Account Resources" in (refusal.value.hint or "")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(10000, "Authentication error", 403), Unauthorized),
        (refused(9109, "Unauthorized to access requested resource", 403), Unauthorized),
        (refused(7403, "not authorized", 403), AccountForbidden),
    ],
)
def test_a_token_that_may_not_list_accounts_is_told_to_name_one(
    answer: httpx.Response, kind: type[CoinswarmError]
) -> None:
    with pytest.raises(kind) as refusal:
        discovered(InTurn(answer))
    assert (refusal.value.hint or "").startswith("Set CLOUDFLARE_ACCOUNT_ID: this token may not list accounts")


@pytest.mark.parametrize("command", [["queues", "list"], ["d1", "list"], ["d1", "info"]])
def test_a_command_that_reads_needs_the_token_alone(
    coinswarm: CommandLine, cloudflare: LocalCloudflare, command: list[str]
) -> None:
    cloudflare.queues.create("there")
    result = coinswarm(*command, "--remote", "--json")
    assert result.exit_code == 0, result.err
    assert "there" in result.out or "coinswarm-evolution" in result.out


def test_a_command_that_writes_names_the_account_it_found(coinswarm: CommandLine, cloudflare: LocalCloudflare) -> None:
    result = coinswarm("queues", "create", "made", "--remote", "-y")
    assert result.exit_code == 0, result.err
    assert f"remote: account {cloudflare.account.id}: create the queue made" in result.err
    assert [info.name for info in cloudflare.queues.queues()] == ["made"]
    result = coinswarm("d1", "execute", "--remote", "-y", "--command", "CREATE TABLE t (v)")
    assert f"remote: account {cloudflare.account.id}: run SQL" in result.err
    assert result.exit_code == 0, result.err


def test_a_wrong_token_is_told_before_anything_is_asked_of_an_account(
    coinswarm: CommandLine, cloudflare: LocalCloudflare
) -> None:
    coinswarm.environment["CLOUDFLARE_API_TOKEN"] = "not-so-secret"
    result = coinswarm("queues", "list", "--remote", "--json", "--verbose")
    kind, message, hint = result.error
    assert (result.exit_code, kind, message) == (1, "Unauthorized", "Authentication error")
    assert "CLOUDFLARE_ACCOUNT_ID" in (hint or "")
    assert "not-so-secret" not in result.out + result.err
