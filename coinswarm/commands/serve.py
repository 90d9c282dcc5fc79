"""`coinswarm serve`: Cloudflare's REST API for D1 and Queues, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.commands.run import Run, command
from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.server.account import Account
    from coinswarm.server.listening import Server

app = typer.Typer(add_completion=False)

_POLL_SECONDS = 0.2


@command(app, "serve")
def serve(
    run: Run,
    host: Annotated[str, typer.Option("--host", help="Another one than loopback needs a token of your own.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8787,
    plain_json: Annotated[
        bool, typer.Option("--plain-json", help="Pull JSON messages as they are instead of in base64.")
    ] = False,
) -> None:
    """Be Cloudflare for wrangler and the SDKs: D1 and Queues over HTTP, with the data on this machine."""
    from coinswarm import render, wiring
    from coinswarm.dev.operations import StackOperations
    from coinswarm.interrupt import graceful
    from coinswarm.log.opening import open_log
    from coinswarm.server.app import create_app
    from coinswarm.server.listening import Server
    from coinswarm.server.opening import open_account

    token, new = server_token(run, host)
    with (
        open_log(run.stack, run.clock) as log,
        wiring.local_queues(run.stack, run.clock) as queues,
        open_account(run.stack, queues, run.clock, plain_json=plain_json) as account,
        graceful() as stop,
        Server(
            create_app(account, token=token, host=host, operations=StackOperations(run.stack, run.clock, log=log)),
            host=host,
            port=port,
        ) as server,
    ):
        announce(run, server, account, token if new else None)
        while not stop():
            run.clock.sleep(_POLL_SECONDS)
        render.note("stopping: requests in flight are answered first")
    raise typer.Exit(stop.exit_code or 0)


def server_token(run: Run, host: str) -> tuple[str, bool]:
    """The user's token, else our own, and whether that was made just now."""
    from coinswarm.server.account import state_folder
    from coinswarm.server.gate import LOOPBACK
    from coinswarm.server.token import load_or_create

    if run.stack.api_token is not None:
        return run.stack.api_token.reveal(), False
    if host not in LOOPBACK:
        raise UsageError(
            f"--host {host} opens the server to others; that needs a token of your own",
            hint="Set CLOUDFLARE_API_TOKEN to a long random text, here and for the clients.",
        )
    return load_or_create(state_folder(run.stack.state_dir) / "api-token")


def announce(run: Run, server: Server, account: Account, new_token: str | None, *, what: str = "Serving") -> None:
    """Where the server is and what to paste. A token of ours is shown when it is made, and never again."""
    from coinswarm import render
    from coinswarm.server.account import state_folder

    base_url = f"{server.url}/client/v4"
    kept = state_folder(run.stack.state_dir) / "api-token"
    if run.stack.api_token is not None:
        line = "export CLOUDFLARE_API_TOKEN=…   # the one that is set here"
    elif new_token is not None:
        line = f"export CLOUDFLARE_API_TOKEN={new_token}"
    else:
        line = f'export CLOUDFLARE_API_TOKEN="$(cat {kept})"'
    document = {"url": base_url, "account_id": account.id, "token": new_token, "token_file": str(kept)}
    if run.stack.api_token is not None:
        document |= {"token_file": None}

    def show() -> None:
        render.line(f"{what} D1 and Queues at {base_url}; Ctrl-C stops.")
        render.line("")
        render.line(f"export CLOUDFLARE_API_BASE_URL={base_url}   # the SDKs call it CLOUDFLARE_BASE_URL")
        render.line(f"export CLOUDFLARE_ACCOUNT_ID={account.id}")
        render.line(line)

    run.report(document, show, "wrangler d1 list", "wrangler queues list")
