"""`coinswarm cost`: what a month of the stack uses and costs on Cloudflare."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from coinswarm.commands.run import Run, command
from coinswarm.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from coinswarm.cost.free import Cap, Storage
    from coinswarm.cost.month import Table
    from coinswarm.cost.report import Forecast

app = typer.Typer(add_completion=False)

DAY_MS: Final = 86_400_000
_UNITS: Final = {"CPU time": "ms", "storage": "B"}


class PlanName(StrEnum):
    """A plan of Cloudflare Workers."""

    free = "free"
    paid = "paid"


@command(app, "cost")
def cost(
    run: Run,
    from_config: Annotated[bool, typer.Option("--from-config", help="Forecast the plan and crons (default).")] = False,
    from_usage: Annotated[bool, typer.Option("--from-usage", help="Forecast from what was metered here.")] = False,
    plan: Annotated[PlanName | None, typer.Option("--plan", help="Only this plan of Cloudflare's.")] = None,
    cron: Annotated[str | None, typer.Option("--cron", metavar="EXPR", help="What if it ran at these times?")] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, max=10_000, metavar="N", help="What if it collected so many?")
    ] = None,
    rows_per_message: Annotated[
        int | None, typer.Option("--rows-per-message", min=1, max=1000, metavar="N", help="What if messages held N?")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=31, metavar="N", help="Days in the month.")] = 30,
    cpu_ms: Annotated[
        int, typer.Option("--cpu-ms", min=1, max=900_000, metavar="MS", help="CPU time an invocation needs; assumed.")
    ] = 10,
) -> None:
    """What a month uses and costs on Cloudflare, Free and Paid, with every formula."""
    from coinswarm.cost.forecast import WhatIf

    if from_config and from_usage:
        raise UsageError("--from-config and --from-usage exclude each other", hint="Give one of them.")
    what_if = WhatIf(_checked(cron), tokens, rows_per_message)
    if from_usage and what_if:
        raise UsageError(
            "--cron, --tokens and --rows-per-message change the configuration, not what was metered",
            hint="Leave them out, or take --from-config.",
        )
    if from_usage:
        now = then = _from_usage(run, days, cpu_ms)
    else:
        now, then = _from_config(run, days, cpu_ms, what_if)
    document = _document(then, plan)
    if what_if:
        document |= {"what_if": asdict(what_if), "now": _document(now, plan), "change": _change(now, then)}

    def show() -> None:
        _show(then, plan)
        if what_if:
            _show_change(now, then)

    run.report(document, show, *(() if from_usage or not _is_metered(run) else ("coinswarm cost --from-usage",)))


def _checked(cron: str | None) -> str | None:
    """A cron expression from the command line, which is a wrong use where it is wrong."""
    from coinswarm.cron.schedule import Schedule

    if cron is not None:
        try:
            Schedule.parse(cron)
        except ConfigError as error:
            raise UsageError(f"--cron: {error.message}", hint=error.hint) from None
    return cron


def _from_config(run: Run, days: int, cpu_ms: int, what_if: Any) -> tuple[Forecast, Forecast]:
    """Now, and as it would be."""
    from coinswarm.cost.forecast import WhatIf, forecast

    table = _table(run)
    start = (run.clock.now_ms() // DAY_MS + 1) * DAY_MS
    now, then = (
        forecast(run.stack, start_ms=start, days=days, table=table, cpu_ms=cpu_ms, what_if=each)
        for each in (WhatIf(), what_if)
    )
    return now, then


def _from_usage(run: Run, days: int, cpu_ms: int) -> Forecast:
    from coinswarm import wiring
    from coinswarm.cost.forecast import fires_between
    from coinswarm.cost.metered import forecast_from_usage
    from coinswarm.d1.usage import read_usage, usage_file
    from coinswarm.limits import QUEUE_DEFAULTS

    databases = read_usage(usage_file(run.stack.state_dir))
    queues = []
    if wiring.queue_file(run.stack).exists():
        with wiring.local_queues(run.stack, run.clock) as store:
            queues = store.usage()
    now = run.clock.now_ms()
    consumer = run.stack.consumer()
    crons = [each.expression for each in run.stack.crons]
    return forecast_from_usage(
        queues,
        databases,
        now_ms=now,
        days=days,
        fires=len(fires_between(crons, (now // DAY_MS + 1) * DAY_MS, days)),
        fires_origin=", ".join(dict.fromkeys(each.file for each in run.stack.crons)) + ": triggers.crons",
        batch_size=consumer.max_batch_size if consumer else QUEUE_DEFAULTS.batch_size,
        table=_table(run),
        cpu_ms=cpu_ms,
    )


def _table(run: Run) -> Table:
    """What storing costs in the pipeline's database, as it is here or as its migrations make it."""
    from coinswarm import wiring
    from coinswarm.cost.sample import like, measure
    from coinswarm.d1.path import database_path

    declared = run.stack.database()
    schema = [migration.sql() for migration in wiring.migrations_of(declared)]
    if not _exists(database_path(declared.local_id, run.stack.state_dir)):
        return measure(schema)
    with wiring.database(run.stack, None, run.clock) as opened:
        return like(opened, schema)


def _exists(path: Path) -> bool:
    """Raises `StorageError` for a state folder that is none."""
    from coinswarm.storage import translated

    with translated(path):
        try:
            path.stat()
        except FileNotFoundError:
            return False
    return True


def _is_metered(run: Run) -> bool:
    from coinswarm.d1.usage import usage_file

    return usage_file(run.stack.state_dir).exists()


def _document(forecast: Forecast, plan: PlanName | None) -> dict[str, Any]:
    document = forecast.as_json()
    for name in PlanName:
        if plan is not None and name is not plan:
            del document[name.value]
    return document


def _change(now: Forecast, then: Forecast) -> dict[str, Any]:
    use = {name: getattr(then.use, name) - value for name, value in asdict(now.use).items()}
    return {"use": use, "paid": float(then.bill.total - now.bill.total), "fits_free": [now.fits_free, then.fits_free]}


def _show(forecast: Forecast, plan: PlanName | None) -> None:
    from coinswarm import render
    from coinswarm.pricing import READ

    origin = "the configuration" if forecast.source == "config" else "what was metered here"
    render.line(f"{forecast.days} days from {forecast.first_day} UTC, by {origin}. Prices as of {READ}.")
    for figure in forecast.figures:
        unit = _UNITS.get(figure.name, "")
        render.line("")
        render.line(f"{figure.name}: {figure.value:,} {unit}".rstrip())
        render.line(f"  = {figure.formula}")
        for source in figure.origins:
            render.line(f"    {source}")
    if plan is not PlanName.free:
        _show_paid(forecast)
    if plan is not PlanName.paid:
        _show_free(forecast)
    render.line("")
    for note in forecast.notes:
        render.line(f"note: {note}")


def _show_paid(forecast: Forecast) -> None:
    from coinswarm import render

    bill = forecast.bill
    render.line("")
    render.line(f"Workers Paid: ${bill.total} a month, ${bill.base} of it the plan itself")
    for item in bill.lines:
        render.line(f"  {item.name}: {item.formula} ({item.share:.2%})")


def _show_free(forecast: Forecast) -> None:
    from coinswarm import render

    render.line("")
    render.line("Workers Free: $0.00, and it fits" if forecast.fits_free else "Workers Free: it does not fit")
    for cap in forecast.caps:
        render.line(f"  {'✘' if cap.exceeded else '✔'} {_cap(cap)}")
    render.line(f"  {'✘' if forecast.storage.exceeded else '✔'} {_storage(forecast.storage)}")


def _cap(cap: Cap) -> str:
    text = f"{cap.name}: {cap.used:,} of {cap.allowed:,} a{'n' if cap.per[0] in 'ai' else ''} {cap.per}"
    if cap.exceeded_at:
        return f"{text}; on {cap.day} it stops at {cap.exceeded_at} UTC until midnight"
    return text


def _storage(storage: Storage) -> str:
    from coinswarm import render

    text = f"storage: {render.size(storage.stored_bytes)} of {render.size(storage.allowed_bytes)} a database"
    if storage.exceeded:
        return f"{text}; no row can be stored beyond that"
    if storage.full_in_days is None:
        return text
    return f"{text}; {render.size(round(storage.bytes_a_day))} more a day fill it in {storage.full_in_days:,.0f} days"


def _show_change(now: Forecast, then: Forecast) -> None:
    from coinswarm import render

    render.line("")
    names = asdict(now.use)
    rows = [
        (name.replace("_", " "), before, getattr(then.use, name), f"{getattr(then.use, name) - before:+,}")
        for name, before in names.items()
    ]
    money = ("Paid, US dollars", str(now.bill.total), str(then.bill.total), f"{then.bill.total - now.bill.total:+}")
    fits = ("fits into Free", now.fits_free, then.fits_free, "")
    shown = [[_text(value) for value in row] for row in (*rows, money, fits)]
    render.table(("", "now", "then", "change"), shown)


def _text(value: object) -> str:
    from coinswarm import render

    return render.printable(value)
