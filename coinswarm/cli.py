"""The command line: which commands there are, and how a wrong use of them is told.

A command's module is imported when the command is used, so that `--help` feels instant.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

from coinswarm import __version__
from coinswarm.errors import EXIT_INTERRUPTED, CoinswarmError, UsageError

CONTENTS: Final = {
    "demo": ("stack", "The whole pipeline against six simulated exchanges, offline; takes some seconds."),
    "chaos": ("chaos", "Kill and starve the pipeline by a plan, in a folder of its own, and account for every candle."),
    "init": ("stack", "Write wrangler.toml, coinswarm.toml and migrations/ to start from."),
    "fetch": ("pipeline", "Queue closed candles of PAIR, newest first."),
    "consume": ("pipeline", "Drain the queue into price_data: write, then acknowledge."),
    "queues": ("queues", "Queues: list, create, look into, pause, purge, dead letters."),
    "serve": (
        "serve",
        "Be Cloudflare for wrangler and the SDKs: D1 and Queues over HTTP, with the data on this machine.",
    ),
    "dev": ("dev", "The whole stack in one process: HTTP, the cron producer and the consumer."),
    "cron": ("cron", "Cron triggers: when they fire next, run one now, switch one off or on."),
    "status": ("watching", "How the local stack is doing, on one screen."),
    "tail": ("watching", "Show the log, and what comes to it."),
    "alerts": ("watching", "Alerts: which there are, how they stand, telling of them."),
    "d1": ("d1", "D1 databases: look into, query, migrate."),
    "verify": ("verify", "Whether the stack works: 19 checks of behaviour."),
    "doctor": ("doctor", "Walk through the stack, mend what is missing and try one import, asking before each change."),
    "cost": ("cost", "What a month uses and costs on Cloudflare, Free and Paid, with every formula."),
    "fsck": ("fsck", "Check the queue file and the database on this machine; read only, and while others use them."),
}
"""By command: the module in `coinswarm.commands` whose `app` holds it, and what it does."""


class Contents(TyperGroup):
    """The commands by name and help; the one that is used is imported."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name=name, help=text) for name, (_, text) in CONTENTS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


@cache
def load(name: str) -> Any:
    """The command, or the group of commands, of that name; built once, however many command lines a process runs."""
    module = import_module(f"coinswarm.commands.{CONTENTS[name][0]}")
    built = typer.main.get_command(module.app)
    return getattr(built, "commands", {}).get(name, built)


app = typer.Typer(
    name="coinswarm",
    cls=Contents,
    help="Collect years of crypto candles into Cloudflare D1 without losing one.\n\n"
    "Queues and D1 run on this machine with Cloudflare's semantics; wrangler opens the same database.",
    epilog="Start with: coinswarm demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ClickUsageError = cast(type[Exception], typer.BadParameter.__mro__[1])
"""click's UsageError, which Typer carries under a private name in some versions."""


def _version(asked: bool) -> None:
    if asked:
        from coinswarm import render

        render.write(f"coinswarm {__version__}\n", sys.stdout)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Everything is in the sub-commands."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = app(args=list(arguments), prog_name="coinswarm", standalone_mode=False)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except _ClickUsageError as wrong:
        return _tell(wrong, arguments)
    except CoinswarmError as error:
        from coinswarm import render

        render.error(error, as_json=False)
        return error.exit_code
    return code if isinstance(code, int) else 0


def _flag_of_the_commands(message: str) -> str | None:
    """Which of the flags that every command takes was given to none."""
    from coinswarm.commands.run import FLAGS

    return next((word for word in message.split() if word in FLAGS), None) if "No such option" in message else None


def _tell(wrong: Exception, arguments: Sequence[str]) -> int:
    from coinswarm import render

    if type(wrong).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{wrong}\n")
        return UsageError.exit_code
    context = getattr(wrong, "ctx", None)
    path = context.command_path if context else "coinswarm"
    message = wrong.format_message() if hasattr(wrong, "format_message") else str(wrong)
    hint = f"See: {path} --help"
    flag = _flag_of_the_commands(message) if path == "coinswarm" else None
    if flag:
        message, hint = (
            f"{flag} stands before the command",
            f"It comes after it, as in: coinswarm status {flag} …\n{hint}",
        )
    error = UsageError(message.rstrip("."), hint=hint)
    render.error(error, as_json="--json" in arguments)
    return error.exit_code
