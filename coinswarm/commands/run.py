"""What every command shares: the flags that work everywhere, how a result and an error reach the user."""

from __future__ import annotations

import inspect
import shlex
import sys
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_type_hints

import typer

from coinswarm.errors import EXIT_INTERRUPTED, CoinswarmError, OutputLost, UsageError
from coinswarm.interrupt import Stopped, StoppedAtOnce, stoppable

if TYPE_CHECKING:
    from coinswarm.clock import Clock
    from coinswarm.config import Stack
    from coinswarm.queue.types import QueueStore

ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A wrangler.toml, .json or .jsonc; may be repeated. Default: the one here, else the built-in stack.",
        rich_help_panel="Everywhere",
    ),
]
Environment = Annotated[
    str | None,
    typer.Option(
        "--env", "-e", metavar="NAME", help="An environment of the wrangler file.", rich_help_panel="Everywhere"
    ),
]
PersistTo = Annotated[
    Path | None,
    typer.Option(
        "--persist-to",
        metavar="DIR",
        help="Where local state lives; .wrangler/state unless said.",
        rich_help_panel="Everywhere",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel="Everywhere")]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Show the traceback of an error.", rich_help_panel="Everywhere")
]

Remote = Annotated[bool, typer.Option("--remote", help="On Cloudflare, not on this machine.")]
Local = Annotated[bool, typer.Option("--local", help="On this machine (the default).")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a remote write.")]

_SHARED: dict[str, Any] = {
    "config": (ConfigFiles, None),
    "env": (Environment, None),
    "persist_to": (PersistTo, None),
    "json": (Json, False),
    "verbose": (Verbose, False),
}
FLAGS: Final = {f"--{key.replace('_', '-')}" for key in _SHARED}


_WHERE: Final = {
    **dict.fromkeys(("queues", "d1", "fetch", "verify", "doctor", "cron list", "cron run"), "--remote"),
    "consume": "--remote-queue --remote",
}
"""By the words of a command, as many as are needed: what keeps a next step on Cloudflare, after one that was there."""


@dataclass
class Run:
    """One invocation of a command: its shared flags, and what they resolve to when asked for."""

    config: list[Path] | None = None
    env: str | None = None
    persist_to: Path | None = None
    json: bool = False
    verbose: bool = False
    on_cloudflare: bool = False
    """Whether the command works on Cloudflare, where its next steps then belong, too."""
    reported: bool = False
    """Whether the one JSON document is written."""

    @property
    def flags(self) -> list[str]:
        """The flags that say where everything is; a command that follows this one needs them, too."""
        words = [word for file in self.config or () for word in ("--config", str(file))]
        words += ["--env", self.env] if self.env else []
        return words + (["--persist-to", str(self.persist_to)] if self.persist_to else [])

    def deploy_step(self, file: Path) -> str:
        """What deploys the Worker of one of the wrangler files, named as the user named it."""
        given = [one for one in self.config or () if Path.cwd() / one.expanduser() == file]
        words = [word for one in given[:1] for word in ("--config", str(one))]
        words += ["--env", self.env] if self.env else []
        return shlex.join(["wrangler", "deploy", *words])

    @cached_property
    def clock(self) -> Clock:
        from coinswarm.clock import SystemClock

        return SystemClock()

    @cached_property
    def stack(self) -> Stack:
        """The configuration, read once; its warnings go to stderr."""
        import os

        from coinswarm import render
        from coinswarm.config import load

        stack = load(
            self.config or (), env_name=self.env, cwd=Path.cwd(), environ=os.environ, persist_to=self.persist_to
        )
        for warning in stack.warnings:
            render.warn(str(warning))
        return stack

    @contextmanager
    def queues(self, *, remote: bool, write: str | None = None, yes: bool = False) -> Iterator[QueueStore]:
        """All queues; `write` says what is about to be done to them, asked about first where they are remote."""
        from coinswarm import wiring

        self.on_cloudflare = self.on_cloudflare or remote
        if remote and write:
            self.confirm_remote(write, yes=yes)
        with wiring.queues(self.stack, self.clock, remote=remote) as store:
            yield store

    def confirm_remote(self, what: str, *, yes: bool) -> None:
        """Name the account before a remote write and, on a terminal, ask. Raises `UsageError` on a no."""
        from coinswarm import render
        from coinswarm.cloudflare_account import account_id

        self.on_cloudflare = True
        if self.stack.account_id is None:
            self.stack = replace(self.stack, account_id=account_id(self.stack, self.clock))
        render.note(f"remote: account {self.stack.account_id}: {what}")
        if not yes and sys.stdin.isatty() and not self.agreed("Go on?"):
            raise UsageError("nothing was changed", hint="Answer y, or give --yes.")

    @property
    def asks(self) -> bool:
        """Whether there is a person to be asked."""
        return sys.stdin.isatty()

    def agreed(self, question: str) -> bool:
        """What the person at the terminal answers; without a terminal nobody agrees."""
        return sys.stdin.isatty() and typer.confirm(question, default=False, err=True)

    def report(self, document: Any, show: Callable[[], None], *next_steps: str) -> None:
        """The result: `document` as JSON, or `show()` and the next steps for a person."""
        from coinswarm import render

        if self.json:
            self.reported = True
            render.json_document(document)
            return
        show()
        render.next_steps([self.here(step) for step in next_steps])

    def stopped(self, message: str) -> None:
        """What a command says that was stopped and has no report; its exit code is the caller's."""
        from coinswarm import render

        render.warn(message)
        if self.json and not self.reported:
            with suppress(OutputLost):
                render.json_document({"error": {"type": "Stopped", "message": message, "hint": None}})

    def here(self, step: str) -> str:
        """A next step with the flags that say where everything is."""
        if not step.startswith("coinswarm ") or step.startswith("coinswarm init"):
            return step
        flags, words = shlex.join(self.flags), step.split()
        where = _WHERE.get(words[1]) or _WHERE.get(" ".join(words[1:3])) or ""
        remote = where if self.on_cloudflare and "--remote" not in step else ""
        return " ".join(word for word in (step, remote, "" if flags in step else flags) if word)


STOPPED: Final = "stopped before it was done; what it had finished by then stays"
"""Of a command that has not said itself how far it came: some are one step, others many."""

STACK: Final = ("config", "env", "persist_to")
"""The shared flags that say which stack is meant."""


def command(
    app: typer.Typer, name: str, *, unused: Collection[str] = (), **settings: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function whose first parameter is a `Run`; the shared flags it has not itself are added to its own.

    Those in `unused` mean nothing to it: they are taken, as everywhere, but not in its help, and who gives one is told.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        ]
        added = {key: flag for key, flag in _SHARED.items() if key not in hints}
        shared = [
            inspect.Parameter(
                key,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=_hidden(annotation) if key in unused else annotation,
            )
            for key, (annotation, default) in added.items()
        ]

        def invoke(**values: Any) -> None:
            run = Run(**{key: values.pop(key) for key in added})
            _tell_unused([key for key in unused if key in added and getattr(run, key) is not None], name)
            with_errors_shown(run, lambda: function(run, **values))

        invoke.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
        )
        invoke.__doc__ = function.__doc__
        invoke.__name__ = function.__name__
        app.command(name, **settings)(invoke)
        return function

    return register


def _hidden(annotation: Any) -> Any:
    kind, option = get_args(annotation)
    option = copy(option)
    option.hidden = True
    return Annotated[kind, option]


def _tell_unused(given: list[str], name: str) -> None:
    from coinswarm import render

    for key in given:
        render.warn(f"--{key.replace('_', '-')} means nothing to coinswarm {name}, which reads no stack of yours")


def _run(action: Callable[[], None]) -> None:
    try:
        action()
    except UnicodeEncodeError as error:
        # What the shell hands over that is not UTF-8 comes as lone surrogates, which only paths and bodies may hold.
        raise UsageError(f"{error.object!r} is not UTF-8 text", hint="Check the encoding of the terminal.") from error


def with_errors_shown(run: Run, action: Callable[[], None]) -> None:
    """Errors we know leave as one line (or JSON) and their exit code; a bug leaves as a traceback."""
    from coinswarm import render

    try:
        with stoppable() as stopped:
            _run(action)
    except CoinswarmError as error:
        if stopped.exit_code is not None:
            run.stopped(STOPPED)
            raise typer.Exit(stopped.exit_code) from None
        if run.verbose:
            render.trace(traceback.format_exc())
        render.error(error, as_json=run.json)
        raise typer.Exit(error.exit_code) from None
    except Stopped as once:
        run.stopped(STOPPED)
        raise typer.Exit(once.exit_code) from None
    except KeyboardInterrupt as twice:
        run.stopped("stopped at once; what was not finished comes back after its visibility timeout")
        raise typer.Exit(twice.exit_code if isinstance(twice, StoppedAtOnce) else EXIT_INTERRUPTED) from None
