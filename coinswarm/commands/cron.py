"""`coinswarm cron`: when the producer runs, running it now, switching a trigger off and on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands.moments import moment
from coinswarm.commands.run import Remote, Run, Yes, command
from coinswarm.errors import CoinswarmError

if TYPE_CHECKING:
    from coinswarm.collecting.report import CollectReport
    from coinswarm.cron.runner import Ran

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Cron triggers: when they fire next, run one now, switch one off or on.",
)

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="A worker or an expression, where there are several.")
]


@command(app, "list")
def list_(run: Run, remote: Remote = False) -> None:
    """Every cron trigger with its next three fires, UTC, and its last run; with --remote those that are deployed."""
    if remote:
        _list_deployed(run)
        return
    from coinswarm import render
    from coinswarm.dev.schedule import described

    jobs = described(run.stack, run.clock)

    def show() -> None:
        if not jobs:
            render.line("No cron trigger is on.")
        for job in jobs:
            _show_job(job)
            if last := job["last"]:
                render.line(f"  last  {render.moment(last['fire'])} UTC, {last['outcome']}: {last['message']}")
            else:
                render.line("  last  not run yet")

    steps = ["coinswarm cron run"] if jobs else ["coinswarm cron enable", 'crons = ["*/30 * * * *"] under [triggers]']
    run.report({"crons": jobs}, show, *steps)


def _list_deployed(run: Run) -> None:
    from coinswarm import render
    from coinswarm.dev.remote_schedules import described

    jobs, workers = described(run.stack, run.clock)

    def show() -> None:
        for worker in workers:
            for job in (job for job in jobs if job["worker"] == worker["worker"]):
                _show_job(job)
                if not job["configured"]:
                    render.line(f"  not in {worker['file']}")
            for cron in worker["not_deployed"]:
                render.line(f"{cron}  ({worker['worker']})")
                render.line(f"  in {worker['file']}, not deployed")
            if not worker["crons"] and not worker["not_deployed"]:
                render.line(f"none  ({worker['worker']})")

    run.report({"crons": jobs, "workers": workers}, show)


def _show_job(job: dict[str, Any]) -> None:
    from coinswarm import render

    render.line(f"{job['cron']}  ({job['worker']})")
    render.line("  next  " + ", ".join(render.moment(fire) for fire in job["next"]) + " UTC")


@command(app, "run")
def run_(
    run: Run,
    name: Name = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="T", help="As if it fired then: unix seconds or ISO 8601; now unless said."),
    ] = None,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Collect the plan now: the newest closed candles of every series, into the queue."""
    from coinswarm import render
    from coinswarm.cron.runner import choose, jobs_of
    from coinswarm.dev.schedule import cron_runner, producer
    from coinswarm.interrupt import graceful
    from coinswarm.log.opening import open_log

    stack = run.stack
    job = choose(jobs_of(stack.crons), name)
    fire = None if at is None else (moment("--at", at, run.clock.now_ms() // 1000) or 0) * 1000
    if remote:
        run.confirm_remote(f"send candles to the queue {stack.queue()}", yes=yes)
    with (
        open_log(stack, run.clock) as log,
        graceful() as interrupt,
        render.progress("cron", quiet=run.json) as bar,
    ):
        action = producer(
            stack,
            run.clock,
            remote=remote,
            stop=interrupt,
            waiting=interrupt.waiting,
            on_source=lambda status: bar(status.candles, None, f"candles of {status.source}"),
            log=log,
        )
        with cron_runner(stack, run.clock, action) as runner:
            ran = runner.run_now(job, fire)
    _report(run, ran)
    if interrupt.exit_code is not None:
        raise typer.Exit(interrupt.exit_code)
    if ran.past.outcome != "done":
        raise typer.Exit(CoinswarmError.exit_code)


def _report(run: Run, ran: Ran) -> None:
    if ran.error is not None:
        raise ran.error
    report: Any = ran.result
    run.report(report.as_json(), lambda: _show(report), *(["coinswarm consume"] if report.candles else []))


def _show(report: CollectReport) -> None:
    from coinswarm import render

    render.line(f"Queued {render.count(report.candles, 'candle')} in {render.count(report.messages, 'message')}.")
    if report.newest is not None:
        render.line(f"  opens {render.moment(report.oldest)} to {render.moment(report.newest)} UTC")
    for status in report.sources.values():
        render.line(
            f"  {status.source:<14}{status.candles:>6,} candles of {status.collected} of {status.series} series, "
            f"{render.count(status.requests, 'request')}"
        )
    for status in report.sources.values():
        for failure in status.failures[:5]:
            render.warn(f"{status.source}: {failure}")
    if error := report.error():
        render.error(error, as_json=False)


@command(app, "disable")
def disable(run: Run, name: Name = None) -> None:
    """Switch a trigger off in its wrangler file; its expression stays there as a comment."""
    _switch(run, name, on=False)


@command(app, "enable")
def enable(run: Run, name: Name = None) -> None:
    """Switch a trigger on again that `disable` switched off."""
    _switch(run, name, on=True)


def _switch(run: Run, name: str | None, *, on: bool) -> None:
    from coinswarm import render
    from coinswarm.cron.switch import switch

    changed = switch(run.stack.files, name, env_name=run.stack.env_name, on=on)
    document = {"file": str(changed.file), "crons": list(changed.changed), "active": list(changed.active)}
    verb = "Enabled" if on else "Disabled"
    run.report(
        document,
        lambda: render.line(f"{verb} {', '.join(changed.changed)} in {changed.file}."),
        "coinswarm cron list",
        run.deploy_step(changed.file),
    )
