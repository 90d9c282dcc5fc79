"""`coinswarm dev`: the whole stack in one process."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from coinswarm.commands.run import Run, command
from coinswarm.commands.serve import announce, server_token

if TYPE_CHECKING:
    from coinswarm.cron.runner import Ran
    from coinswarm.dev.supervisor import Part

app = typer.Typer(add_completion=False)

_POLL_SECONDS = 0.2


@command(app, "dev")
def dev(
    run: Run,
    host: Annotated[str, typer.Option("--host", help="Another one than loopback needs a token of your own.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8787,
    no_cron: Annotated[bool, typer.Option("--no-cron", help="Leave the cron triggers alone; consume and serve.")] = (
        False
    ),
) -> None:
    """The whole stack in one process: HTTP, the cron producer and the consumer. What fails is started again."""
    from coinswarm import render, wiring
    from coinswarm.dev.operations import StackOperations
    from coinswarm.dev.parts import consumer_part, cron_part
    from coinswarm.dev.supervisor import Supervisor
    from coinswarm.interrupt import graceful
    from coinswarm.log.opening import open_log
    from coinswarm.server.app import create_app
    from coinswarm.server.listening import Server
    from coinswarm.server.opening import open_account

    stack, clock = run.stack, run.clock
    token, new = server_token(run, host)
    with ExitStack() as opened:
        log = opened.enter_context(open_log(stack, clock))
        queues = opened.enter_context(wiring.local_queues(stack, clock))
        account = opened.enter_context(open_account(stack, queues, clock))
        parts = [consumer_part(stack, clock, log=log)]
        if not no_cron and stack.crons:
            parts.insert(0, cron_part(stack, clock, told=_tell_run, log=log))
        supervisor = Supervisor(parts, clock, told=_tell_part)
        operations = StackOperations(stack, clock, log=log, supervisor=supervisor)
        served = create_app(account, token=token, host=host, operations=operations)
        interrupt = opened.enter_context(graceful())
        with Server(served, host=host, port=port) as server:
            announce(run, server, account, token if new else None, what="Running the stack:")
            _show_next(run, with_cron=not no_cron)
            supervisor.start()
            try:
                while not interrupt():
                    clock.sleep(_POLL_SECONDS)
                render.note("stopping: what is under way is finished or given back first; again: at once")
            finally:
                supervisor.stop()
    raise typer.Exit(interrupt.exit_code or 0)


def _show_next(run: Run, *, with_cron: bool) -> None:
    from coinswarm import render
    from coinswarm.config.plan import messages_per_run
    from coinswarm.dev.schedule import described

    plan = run.stack.plan
    if not with_cron or not run.stack.crons:
        render.note("cron: off" if run.stack.crons else "cron: no trigger is configured")
        return
    messages = render.count(messages_per_run(plan), "message")
    render.note(f"every run: {plan.points:,} candles of {len(plan.series)} series in {messages}")
    for job in described(run.stack, run.clock):
        fires = ", ".join(render.moment(fire) for fire in job["next"])
        render.note(f"cron {job['cron']} ({job['worker']}): next {fires} UTC")


def _tell_run(ran: Ran) -> None:
    from coinswarm import render

    text = f"cron {render.moment(ran.past.fire_ms // 1000)}: {ran.past.message}"
    (render.note if ran.past.outcome == "done" else render.warn)(text)


def _tell_part(part: Part, text: str) -> None:
    from coinswarm import render

    render.warn(f"{part.name}: {text}")
