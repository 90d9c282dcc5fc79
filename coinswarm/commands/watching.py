"""`coinswarm tail`, `status` and `alerts`: looking at what the stack does and how it is doing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coinswarm.commands.run import Run, command
from coinswarm.errors import EXIT_FAILED, ConfigError, UsageError
from coinswarm.render import printable

if TYPE_CHECKING:
    from coinswarm.alerts.episodes import Episode
    from coinswarm.log.read import Event
    from coinswarm.status.gather import Status

app = typer.Typer(add_completion=False)
alerts = typer.Typer(
    name="alerts", help="Alerts: which there are, how they stand, telling of them.", no_args_is_help=True
)
app.add_typer(alerts)

_LOOK_SECONDS: Final = 0.25
_SHOWN_AT_FIRST: Final = 20
_SERIES_SHOWN: Final = 8
_CAUSES_SHOWN: Final = 3
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@command(app, "tail")
def tail(
    run: Run,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="T", help="From then on: 10m, 2h, 3d ago, unix seconds or ISO 8601."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="What is there, without waiting for more.")] = False,
    event: Annotated[
        str | None, typer.Option("--event", metavar="NAME", help="Only these: http, batch.written, messages.* …")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only of this exchange.")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only what went wrong.")] = False,
) -> None:
    """Show the log, and what comes to it. Without --since: from the last 20 events on; --json: one object a line."""
    from coinswarm import render
    from coinswarm.interrupt import Interrupted, graceful
    from coinswarm.log.file import log_folder
    from coinswarm.log.read import Follower, Wanted

    wanted = Wanted(event=event, source=source, troubles=errors)
    follower = Follower(log_folder(run.stack.state_dir), since_ms=_since_ms(since, run.clock.now_ms()))
    first = sorted(filter(wanted, follower.new()), key=lambda one: str(one["time"]))
    _print(first if since else first[-_SHOWN_AT_FIRST:], as_json=run.json)
    if once:
        if not first:
            render.note("the log has no such event")
        return
    with graceful() as interrupt:
        try:
            while True:
                with interrupt.waiting():
                    run.clock.sleep(_LOOK_SECONDS)
                _print(filter(wanted, follower.new()), as_json=run.json)
        except Interrupted:
            raise typer.Exit(interrupt.exit_code or 0) from None


def _since_ms(text: str | None, now_ms: int) -> int:
    from coinswarm.commands.moments import moment

    if text is None:
        return 0
    if ago := re.fullmatch(r"(\d{1,9})\s*([smhd])", text.strip(), re.ASCII):
        return max(0, now_ms - int(ago[1]) * _UNITS[ago[2]] * 1000)
    try:
        return (moment("--since", text, now_ms // 1000) or 0) * 1000
    except UsageError as error:
        raise UsageError(
            error.message, hint="Write 10m, 2h, 3d, unix seconds, 2024-01-31 or 2024-01-31T12:00Z."
        ) from None


def _print(events: Iterable[Event], *, as_json: bool) -> None:
    """All at once: a page of events is thousands of lines."""
    from coinswarm import render
    from coinswarm.log.describe import describe

    lines = [json.dumps(event) if as_json else printable(describe(event)) for event in events]
    if lines:
        render.write("\n".join(lines) + "\n", sys.stdout)


@command(app, "status")
def status(run: Run) -> None:
    """How the local stack is doing, on one screen. Queue, rate, runs, dead letters, how old the candles are."""
    from coinswarm.status.gather import EMPTY
    from coinswarm.watching import look

    found = look(run.stack, run.clock)
    steps = ["coinswarm d1 migrations apply"] if found.database_note not in (None, EMPTY) else []
    steps += ["coinswarm consume"] if found.metrics.backlog and not found.rate.messages else []
    steps += ["coinswarm queues dlq list"] if found.dead_letters else []
    run.report(found.as_json(), lambda: _show_status(found), *steps, "coinswarm tail --errors --once")


def _show_status(found: Status) -> None:
    from coinswarm import render
    from coinswarm.commands.queues import overdue

    m, now = found.metrics, found.now_ms / 1000
    oldest = f", oldest {_span(found.oldest_seconds)} old" if found.oldest_seconds is not None else ""
    render.facts(
        (
            ("queue", f"{found.queue}{' (delivery is paused)' if found.paused else ''}"),
            ("  backlog", f"{render.count(m.backlog, 'message')}, {render.size(m.bytes)}{oldest}"),
            ("  of these", f"{m.waiting:,} waiting, {m.in_flight:,} in flight, {m.delayed:,} delayed"),
            ("  rate now", f"{found.rate.messages:,.1f} messages/s, {found.rate.rows:,.0f} rows/s"),
            ("  drained in", _drained(found)),
            ("dead letters", f"{found.dead_letters:,} in {found.dead_letter_place}"),
        )
    )
    if m.overdue:
        render.warn(overdue(found.queue, m.overdue))
    for cause in found.causes[:_CAUSES_SHOWN]:
        render.line(f"  {cause.count:,} × {_cut(cause.reason, 68)}")
    for cron, fires in found.fires.items():
        render.line(f"cron  {cron}  next {', '.join(render.moment(fire / 1000)[11:] for fire in fires)} UTC")
    render.line(f"candles in {found.database}, {render.size(found.database_bytes)}")
    if found.database_note:
        render.line(f"  {found.database_note}")
    behind = sorted(found.series, key=lambda one: -(one.timeframes or 0.0))
    for one in behind[:_SERIES_SHOWN]:
        age = "unknown timeframe" if one.timeframes is None else f"{one.timeframes:,.1f} timeframes behind"
        render.line(f"  {one.name:<36} {render.moment(one.newest)}  {age}")
    if len(behind) > _SERIES_SHOWN:
        render.line(f"  and {len(behind) - _SERIES_SHOWN:,} fresher series (--json lists all)")
    render.line("last runs" if found.runs else "nothing has run yet")
    for one_run in found.runs:
        said = f" – {one_run.message}" if one_run.message else ""
        text = (
            f"  {one_run.started[5:16].replace('T', ' ')} {one_run.outcome:<11} {one_run.kind:<8} {one_run.about}{said}"
        )
        render.line(_cut(text, 79))
    for warning in found.warnings:
        render.line(_cut(f"⚠ {warning}", 79))
    render.note(f"seen at {render.moment(now)} UTC")


def _drained(found: Status) -> str:
    if (seconds := found.seconds_to_drain) is not None:
        return "nothing to drain" if seconds == 0 else _span(seconds)
    if found.last_rate:
        return f"nobody consumes now; at the last run's rate {_span(found.metrics.backlog / found.last_rate)}"
    return "nobody consumes now"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.1f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


@command(alerts, "list")
def list_(run: Run) -> None:
    """Every alert with its limit and how it stands. Tells nobody."""
    from coinswarm.watching import alerts_now

    episodes = alerts_now(run.stack, run.clock)
    run.report(_document(run, episodes), lambda: _show_alerts(run, episodes), "coinswarm alerts check")


@command(alerts, "check")
def check(run: Run) -> None:
    """Look, and tell of alerts that begin or end. Exit code 0: quiet; 1: one fires, or could not be told."""
    from coinswarm.alerts.notify import Notifier
    from coinswarm.log.opening import open_log
    from coinswarm.watching import check_alerts

    with open_log(run.stack, run.clock) as log:
        episodes = check_alerts(run.stack, run.clock, Notifier(run.stack.alerts, run.clock, log))
    run.report(_document(run, episodes), lambda: _show_alerts(run, episodes), *_after_check(episodes))
    if any(one.state == "firing" or one.undelivered for one in episodes):
        raise typer.Exit(EXIT_FAILED)


@command(alerts, "test")
def test(run: Run) -> None:
    """Send a harmless alert to the webhook and the command, to see whether it arrives."""
    from coinswarm import render
    from coinswarm.alerts.episodes import Episode
    from coinswarm.alerts.notify import Notifier
    from coinswarm.alerts.rules import Finding

    settings = run.stack.alerts
    if settings.webhook is None and not settings.command:
        raise ConfigError(
            "alerts have nobody to tell",
            hint="Set COINSWARM_ALERT_WEBHOOK in .dev.vars, or [alerts] command = [...] in coinswarm.toml.",
        )
    finding = Finding("test", exceeded=False, value=0, limit=0, message="this is a test, nothing is wrong")
    problems = Notifier(settings, run.clock)(Episode(finding, "resolved", None))
    show: Callable[[], None] = lambda: _show_test(problems)  # noqa: E731
    run.report({"undelivered": problems}, show)
    if problems:
        raise typer.Exit(EXIT_FAILED)
    if not run.json:
        render.line("sent")


def _show_test(problems: list[str]) -> None:
    from coinswarm import render

    for problem in problems:
        render.warn(problem)


def _document(run: Run, episodes: list[Episode]) -> dict[str, object]:
    settings = run.stack.alerts
    return {
        "firing": [one.finding.alert for one in episodes if one.state == "firing"],
        "alerts": [one.as_json() for one in episodes],
        "webhook": settings.webhook is not None,
        "command": list(settings.command),
    }


def _show_alerts(run: Run, episodes: list[Episode]) -> None:
    from coinswarm import render

    marks = {"quiet": "✅", "resolved": "✅", "pending": "⚠️", "firing": "❌"}
    for one in episodes:
        since = "" if one.since_ms is None else f" since {render.moment(one.since_ms / 1000)} UTC"
        told = ", told now" if one.told else ""
        render.line(f"{marks[one.state]} {one.finding.alert:<13} {one.state}{since}{told}")
        render.line(f"   {one.finding.message}")
        for problem in one.undelivered:
            render.warn(f"{one.finding.alert} could not be told: {problem}; the next check tries again")
    settings = run.stack.alerts
    told_to = ["a webhook"] * (settings.webhook is not None) + ["a command"] * bool(settings.command)
    render.note(f"told to: {' and '.join(told_to) or 'nobody but the exit code of `coinswarm alerts check`'}")


def _after_check(episodes: list[Episode]) -> list[str]:
    firing = {one.finding.alert for one in episodes if one.state == "firing"}
    steps = {
        "dead_letters": "coinswarm queues dlq list",
        "depth": "coinswarm consume",
        "errors": "coinswarm tail --errors",
    }
    return [step for name, step in steps.items() if name in firing] + ["coinswarm status"]
