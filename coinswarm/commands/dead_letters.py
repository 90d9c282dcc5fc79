"""`coinswarm queues dlq …`: why messages were dead-lettered, another chance for them, or an end.

Here are the commands that look; those that move something are in `dead_letter_moves`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands import dead_letter_moves
from coinswarm.commands.desk import (
    Ids,
    MessageId,
    Name,
    Reason,
    Since,
    Source,
    Symbol,
    Until,
    desk_of,
    flags_of,
    selection_of,
)
from coinswarm.commands.run import Remote, Run, command
from coinswarm.errors import UsageError

if TYPE_CHECKING:
    from coinswarm.commands.archive import Archive
    from coinswarm.queue.letters import DeadLetterRecord

app = typer.Typer(help="Dead letters: list, show, redrive, resend, export, purge.", no_args_is_help=True)


@command(app, "list")
def list_dead_letters(
    run: Run,
    name: Name = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 100,
    source: Source = None,
    reason: Reason = None,
    symbol: Symbol = None,
    since: Since = None,
    until: Until = None,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Continue behind this message.")] = None,
    remote: Remote = False,
) -> None:
    """What was dead-lettered, from where and why, and which candles it holds."""
    from coinswarm import render
    from coinswarm.dead_letters import document, summary

    selection = selection_of(run, source, reason, symbol, since, until)
    with desk_of(run, name, remote) as (queue, desk):
        found = desk.records(selection, limit=limit, after=after, bodies=True)
        causes = desk.causes() if not run.json else []
        total = desk.count()
    rows = [document(record) | {"candles": summary(record)} for record in found]

    def show() -> None:
        if not found:
            render.line(f"No dead letters{' like these' if total else ''} in {queue}.")
            return
        render.table(("messages", "from", "reason"), [(c.count, c.source, c.reason) for c in causes], title="Causes")
        for row in rows:
            _show_in_list(row)
        if total > len(found):
            shown = "Cloudflare shows the first 100" if remote else f"--limit {limit}"
            render.line(f"{len(found):,} of {total:,} dead letters ({shown}, and those selected).")

    chosen = flags_of(source=source, reason=reason, symbol=symbol, since=since, until=until)
    steps = [f"coinswarm queues dlq show {record.id} {queue}" for record in found[:1]]
    steps += [f"coinswarm queues dlq redrive {queue}{chosen}"] if found else []
    run.report(rows, show, *steps)


def _show_in_list(row: dict[str, Any]) -> None:
    from coinswarm import render

    when = render.moment(row["dead_lettered_ms"] / 1000)
    attempts = "" if row["attempts"] is None else f", {render.count(row['attempts'], 'attempt')}"
    render.line(f"{row['id']}  {render.size(row['size_bytes'])}, from {row['source'] or '(not known)'}")
    render.line(f"  {when}{attempts}: {row['reason'] or '(not known)'}")
    render.line(f"  {_candles(row['candles'])}")


def _candles(found: dict[str, Any] | None) -> str:
    from coinswarm import render

    if found is None:
        return "no candles can be made out"
    words = [render.count(found["rows"], "row"), " ".join([*found["symbols"], *found["timeframes"]])]
    if found["first"] is not None:
        words.append(f"{render.moment(found['first'])} to {render.moment(found['last'])}")
    return ", ".join(filter(None, words))


@command(app, "show")
def show_dead_letter(run: Run, message_id: MessageId, name: Name = None, remote: Remote = False) -> None:
    """One dead letter with its story, its candles and what is wrong with them."""
    from coinswarm import render
    from coinswarm.dead_letters import body_document, document, look

    with desk_of(run, name, remote) as (queue, desk):
        record = desk.show(message_id)
    found = look(record)
    rows = [
        {"row": r.index, "fault": r.fault, "offending": r.offending, "value": _in_json(r.value)} for r in found.rows
    ]
    described = document(record) | body_document(record) | {"fault": found.fault, "rows": rows}

    def show() -> None:
        render.facts(_facts(record))
        if found.fault is not None:
            render.line(f"\n{found.fault}")
            render.line((record.body or b"").decode("utf-8", "replace"))
            return
        for row in found.rows:
            render.line("")
            render.line(f"row {row.index}: {row.fault or 'sound'}")
            if not isinstance(row.value, dict):
                render.line(f"  {row.value!r}")
                continue
            for field in [*row.value, *(name for name in row.offending if name not in row.value)]:
                mark = "✘" if field in row.offending else " "
                value = repr(row.value[field]) if field in row.value else "(missing)"
                render.line(f"  {mark} {field} = {value}")

    steps = [f"coinswarm queues dlq redrive {queue} --id {record.id}"]
    if found.faults:
        steps.insert(0, f"coinswarm queues dlq resend {record.id} {queue} --set ROW.FIELD=VALUE")
    run.report(described, show, *steps)


def _in_json(value: Any) -> Any:
    """A number beyond any double as text: the body had digits for it, JSON has no word."""
    if not isinstance(value, dict):
        return value
    return {name: str(v) if isinstance(v, float) and not math.isfinite(v) else v for name, v in value.items()}


def _facts(record: DeadLetterRecord) -> list[tuple[str, object]]:
    from coinswarm import render

    def moment(time_ms: int | None) -> str:
        return "(not known)" if time_ms is None else render.moment(time_ms / 1000)

    def known(value: object) -> object:
        return "(not known)" if value is None else value

    return [
        ("id", record.id),
        ("from", known(record.source)),
        ("reason", known(record.reason)),
        ("attempts", known(record.attempts)),
        ("sent", moment(record.timestamp_ms)),
        ("first failed", moment(record.first_failed_ms)),
        ("last failed", moment(record.last_failed_ms)),
        ("redrives", known(record.redrives)),
        ("size", render.size(record.size_bytes)),
    ]


@command(app, "export")
def export(
    run: Run,
    name: Name = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="A new file; - is stdout.")] = "-",
    form: Annotated[
        str, typer.Option("--format", help="jsonl: everything, byte for byte; csv: the rows that are candles.")
    ] = "jsonl",
    ids: Ids = None,
    source: Source = None,
    reason: Reason = None,
    symbol: Symbol = None,
    since: Since = None,
    until: Until = None,
    remote: Remote = False,
) -> None:
    """Write dead letters to a file; they stay where they are."""
    from coinswarm.commands.archive import whole_archive
    from coinswarm.dead_letters import everything
    from coinswarm.interrupt import Interrupted, graceful

    if form not in ("jsonl", "csv"):
        raise UsageError(f"unknown format {form!r}", hint="Choose jsonl or csv.")
    if output == "-" and run.json:
        raise UsageError("--json and the export both want stdout", hint="Give --output FILE.")
    selection = selection_of(run, source, reason, symbol, since, until)
    missing = dict.fromkeys(ids or ())
    stopped = False
    with desk_of(run, name, remote) as (queue, desk), graceful() as interrupt:
        try:
            with whole_archive(output, form) as target:
                for record in everything(desk, ids or None, selection):
                    if interrupt():
                        raise Interrupted
                    target.add([record])
                    missing.pop(record.id, None)
        except Interrupted:
            stopped = True
    gone = stopped and output != "-"
    document: dict[str, Any] = {
        "queue_name": queue,
        "exported": 0 if gone else target.count,
        "rows_left_out": target.left_out,
        "file": None if gone else output,
    }
    document |= {"missing": [] if stopped else list(missing)} if ids else {}
    document |= {"interrupted": True} if stopped else {}
    chosen = flags_of(id=ids, source=source, reason=reason, symbol=symbol, since=since, until=until)
    again = f"coinswarm queues dlq export {queue}{chosen} --format {form}{flags_of(output=output)}"
    run.report(document, lambda: _show_exported(document, target, output), *([again] if stopped else []))
    if interrupt.exit_code is not None:
        raise typer.Exit(interrupt.exit_code)


def _show_exported(document: dict[str, Any], target: Archive, output: str) -> None:
    from coinswarm import render

    letters = render.count(target.count, "dead letter")
    if "interrupted" in document:
        rest = "there may be more" if output == "-" else f"{output} was not made; the dead letters are where they were"
        render.warn(f"stopped when asked to, after {letters}: {rest}")
        return
    for message_id in document.get("missing", ()):
        render.warn(f"{message_id} is no dead letter here, or is not one of those selected")
    if output == "-":
        return
    render.line(f"Wrote {letters} of {document['queue_name']} to {output}.")
    if target.left_out:
        render.warn(f"{render.count(target.left_out, 'row')} not in it: no candles; --format jsonl has them")


app.add_typer(dead_letter_moves.app)
