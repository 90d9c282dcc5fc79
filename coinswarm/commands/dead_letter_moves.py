"""`coinswarm queues dlq redrive|resend|purge`: the commands that take dead letters out of their queue."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from coinswarm.commands.desk import (
    AssumeClosed,
    DryRun,
    Ids,
    MessageId,
    Name,
    Reason,
    Since,
    Source,
    Symbol,
    Until,
    consume,
    desk_of,
    flags_of,
    selection_of,
    warn_missing,
)
from coinswarm.commands.run import Remote, Run, Yes, command
from coinswarm.errors import CoinswarmError, UsageError

if TYPE_CHECKING:
    from coinswarm.queue.letters import Purged, Redriven

app = typer.Typer()

BETWEEN_STEPS: Final = "stopped when asked to, between two steps: the others are where they were"


@command(app, "redrive")
def redrive(
    run: Run,
    name: Name = None,
    ids: Ids = None,
    source: Source = None,
    reason: Reason = None,
    symbol: Symbol = None,
    since: Since = None,
    until: Until = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="QUEUE", help="To this queue; where they came from, unless said.")
    ] = None,
    rate: Annotated[int | None, typer.Option("--rate", min=1, metavar="N", help="Most messages a second.")] = None,
    dry_run: DryRun = False,
    assume_closed: AssumeClosed = False,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Send dead letters back to the queues they came from, with fresh attempts. Interrupted, it can be continued."""
    from coinswarm import render
    from coinswarm.interrupt import graceful

    selection = selection_of(run, source, reason, symbol, since, until)
    started = until or str(run.clock.now_ms() // 1000)
    if remote and not dry_run:
        run.confirm_remote("send dead letters back", yes=yes)
    with (
        desk_of(run, name, remote, assume_closed=assume_closed) as (queue, desk),
        graceful() as interrupt,
        render.progress(f"redrive {queue}", quiet=run.json) as bar,
    ):
        done = desk.redrive(
            ids or None,
            selection=selection,
            to=to,
            rate=rate,
            dry_run=dry_run,
            stop=interrupt,
            progress=lambda count: bar(count, None, "messages"),
        )
    document: dict[str, Any] = {"redriven": done.count, "orphans": done.orphans, "missing": done.missing}
    document |= {"dry_run": True} if dry_run else {}
    document |= {
        key: value
        for key in ("kept", "doubled", "hidden", "interrupted")
        if (value := getattr(done, key)) or (remote and key != "interrupted")
    }
    chosen = flags_of(id=ids, source=source, reason=reason, symbol=symbol, since=since, to=to)
    again = f"coinswarm queues dlq redrive {queue}{chosen}"
    pace = f" --rate {rate}" if rate else ""
    if dry_run:
        step = again + (f" --until {until}" if until else "") + pace
    elif interrupt.exit_code is not None:
        step = f"{again} --until {started}{pace}"
    else:
        step = consume(remote)
    run.report(document, lambda: _show_redriven(done, queue, dry_run=dry_run), *([step] if step else []))
    if interrupt.exit_code is not None:
        raise typer.Exit(interrupt.exit_code)
    if done.doubled:
        raise typer.Exit(CoinswarmError.exit_code)


def _show_redriven(done: Redriven, queue: str, *, dry_run: bool) -> None:
    from coinswarm import render

    render.line(f"{'Would send' if dry_run else 'Sent'} {render.count(done.count, 'message')} back.")
    if done.interrupted:
        render.warn(BETWEEN_STEPS)
    for source, count in done.orphans.items():
        render.warn(
            f"{count:,} stay: their queue {source} is gone or not known (create it again to redrive them, or say --to)"
        )
    for why, count in done.kept.items():
        render.warn(f"{count:,} stay: {why}")
    if done.doubled:
        render.warn(f"{len(done.doubled):,} were sent back and are still in {queue}: they were in flight there")
    if done.hidden:
        render.warn(f"{done.hidden:,} could not be looked at: Cloudflare shows the first 100 messages of a queue")
    warn_missing(done.missing)


@command(app, "resend")
def resend(
    run: Run,
    message_id: MessageId,
    name: Name = None,
    body: Annotated[
        str | None, typer.Option("--body", metavar="FILE", help="The corrected body; - reads it from stdin.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[ROW.]FIELD=VALUE", help="Change a field, of one row or of all; repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Although the corrected body still has faults.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the correction, send nothing.")] = False,
    assume_closed: AssumeClosed = False,
    remote: Remote = False,
    yes: Yes = False,
) -> None:
    """Correct one dead letter and send it back. The original is replaced in the step that stores the corrected one."""
    from coinswarm import render
    from coinswarm.dead_letters import body_document, corrected

    if remote and not dry_run:
        run.confirm_remote(f"correct the dead letter {message_id} and send it back", yes=yes)
    with desk_of(run, name, remote, assume_closed=assume_closed) as (queue, desk):
        record = desk.show(message_id)
        correction = corrected(record, None if body is None else _read(body), changes or [])
        if correction.faults and not force:
            raise UsageError(
                f"the corrected body still cannot be stored: {'; '.join(correction.faults[:3])}",
                hint=f"{message_id} stays as it is in {queue}. Send it nevertheless: --force",
            )
        source = record.source if dry_run else desk.resend(message_id, correction.message)
    document = {
        "id": message_id,
        "queue_name": source,
        "dry_run": dry_run,
        "faults": correction.faults,
        "original": body_document(record),
        "corrected": correction.message.body.decode("utf-8", "replace"),
    }
    verb = "Would send" if dry_run else "Sent"
    run.report(document, lambda: render.line(f"{verb} {message_id} corrected to {source}."), consume(remote))


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


@command(app, "purge")
def purge(
    run: Run,
    name: Name = None,
    ids: Ids = None,
    source: Source = None,
    reason: Reason = None,
    symbol: Symbol = None,
    since: Since = None,
    until: Until = None,
    output: Annotated[
        str | None, typer.Option("--archive", metavar="FILE", help="Write them to this new file before, as JSON lines.")
    ] = None,
    dry_run: DryRun = False,
    force: Annotated[bool, typer.Option("--force", "--yes", "-y", help="Do not ask.")] = False,
    remote: Remote = False,
) -> None:
    """Delete dead letters for good: archived before with --archive, else only with --force."""
    from contextlib import nullcontext

    from coinswarm.commands.archive import archive
    from coinswarm.interrupt import graceful

    if output == "-":
        raise UsageError(
            "--archive needs a file: what goes through a pipe is not kept when its dead letter is deleted",
            hint="For stdout: coinswarm queues dlq export",
        )
    selection = selection_of(run, source, reason, symbol, since, until)
    started = until or str(run.clock.now_ms() // 1000)
    chosen = flags_of(id=ids, source=source, reason=reason, symbol=symbol, since=since)
    if remote and not dry_run:
        run.confirm_remote("delete dead letters", yes=force)
    with desk_of(run, name, remote) as (queue, desk):
        again = f"coinswarm queues dlq purge {queue}{chosen}"
        if not (dry_run or force or output):
            count = desk.purge(ids or None, selection=selection, dry_run=True).count
            _agree(run, f"Delete {count:,} dead letters of {queue} for good?", again + flags_of(until=until), remote)
        with archive(output, "jsonl") if output and not dry_run else nullcontext() as target, graceful() as interrupt:
            kept = None if target is None else target.keep
            done = desk.purge(ids or None, selection=selection, dry_run=dry_run, archive=kept, stop=interrupt)
    document: dict[str, Any] = {"queue_name": queue, "purged": done.count}
    document |= {"missing": done.missing} if ids else {}
    document |= {"archive": output} if output and (dry_run or done.count) else {}
    document |= {"dry_run": True} if dry_run else {}
    document |= {"interrupted": True} if done.interrupted else {}
    how = (" --dry-run" if dry_run else "") + (" --force" if force else "")
    how += flags_of(archive=_beside(output)) if output else ""
    step = f"{again} --until {started}{how}"
    run.report(
        document,
        lambda: _show_purged(done, output, dry_run=dry_run),
        *([step] if done.interrupted else []),
    )
    if interrupt.exit_code is not None:
        raise typer.Exit(interrupt.exit_code)


def _agree(run: Run, question: str, again: str, remote: bool) -> None:
    """Raises `UsageError` unless the person at the terminal agrees."""
    if not run.agreed(question):
        where = " --remote" if remote else ""
        raise UsageError(
            "no dead letter was deleted: they would be gone for good",
            hint=f"To keep a copy: {again} --archive FILE{where}\nTo go on: {again} --force{where}",
        )


def _beside(path: str) -> str:
    """A name for the archive of the rest: what is there is never written to again."""
    first = Path(path)
    names = (first.with_stem(f"{first.stem}-{number}") for number in itertools.count(2))
    return str(next(name for name in names if not os.path.lexists(name)))


def _show_purged(done: Purged, output: str | None, *, dry_run: bool) -> None:
    from coinswarm import render

    verb = "Would delete" if dry_run else "Deleted"
    kept_in = f"; they are in {output}" if output and done.count and not dry_run else ""
    render.line(f"{verb} {done.count:,} dead letters{kept_in}.")
    if done.interrupted:
        render.warn(BETWEEN_STEPS)
    warn_missing(done.missing)
