"""`coinswarm fsck`: is what lies on this machine sound? What is not, and the way out of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinswarm.commands.run import Run, command
from coinswarm.errors import UsageError
from coinswarm.interrupt import Interrupted, graceful

if TYPE_CHECKING:
    from coinswarm.fsck.findings import Checked, Finding, Rule
    from coinswarm.upkeep import Fsck

app = typer.Typer(add_completion=False)


@command(app, "fsck")
def fsck(
    run: Run,
    queue_file: Annotated[
        Path | None, typer.Option("--queue-file", metavar="FILE", help="A file of queues; the stack's own unless said.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database", metavar="FILE|NAME", help="A SQLite file, also of the original system, or a D1 name."
        ),
    ] = None,
    repair: Annotated[
        list[str] | None,
        typer.Option("--repair", metavar="KIND", help="Move what this finding names to an archive; may be repeated."),
    ] = None,
    archive: Annotated[
        Path | None, typer.Option("--archive", metavar="DIR", help="Where archives go; needed by --repair.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", metavar="S", help="The symbol that --repair relabelled takes out.")
    ] = None,
    restore: Annotated[
        Path | None, typer.Option("--restore", metavar="FILE", help="Put the rows of an archive back.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a repair.")] = False,
) -> None:
    """Check the queue file and the database on this machine; read only, and while others use them.

    Exits 0 if all is sound (warnings aside), 1 if something is not. Nothing is changed without --repair.
    """
    from coinswarm.upkeep import Fsck

    _refuse(repair, archive, symbol, restore)
    with graceful() as stop:
        files = Fsck(lambda: run.stack, run.clock, stop, queue=queue_file, key=database)
        try:
            if restore is not None:
                _restore(run, files, restore)
                return
            checked = files.check()
            archives = _repair(run, files, checked, repair, archive, symbol, yes=yes) if repair and archive else []
            if archives:
                checked = files.check()
        except Interrupted:
            run.stopped("stopped; nothing else was changed" if files.archives else "stopped; nothing was changed")
            raise typer.Exit(stop.exit_code or 1) from None
    where = [
        *(["--queue-file", str(queue_file)] if queue_file else []),
        *(["--database", database] if database else []),
    ]
    document: dict[str, Any] = {
        "clean": all(each.clean for each in checked),
        "files": [each.as_json() for each in checked],
        "repaired": [_as_json(kept) for kept in archives],
    }
    for one, each in zip(document["files"], checked, strict=True):
        for shown, found in zip(one["findings"], each.findings, strict=True):
            shown["repair"] = _command(found, where) if found.repairable else None
    steps = [_command(found, where) for each in checked for found in each.findings if found.repairable]
    run.report(document, lambda: _show(checked, archives), *dict.fromkeys(steps), *map(_undo, archives))
    if not document["clean"]:
        raise typer.Exit(1)


def _refuse(repair: list[str] | None, archive: Path | None, symbol: str | None, restore: Path | None) -> None:
    if repair and archive is None:
        raise UsageError("--repair needs --archive DIR", hint="What a repair takes out is kept there.")
    if repair and restore:
        raise UsageError("--repair and --restore exclude each other", hint="Give one of them.")
    if symbol and "relabelled" not in (repair or ()):
        raise UsageError("--symbol belongs to --repair relabelled")
    if "relabelled" in (repair or ()) and not symbol:
        raise UsageError(
            "--repair relabelled needs --symbol S", hint="Say which of the two names is wrong; its rows are moved."
        )


def _repair(
    run: Run,
    files: Fsck,
    checked: list[Checked],
    kinds: list[str],
    folder: Path,
    symbol: str | None,
    *,
    yes: bool,
) -> list[Any]:
    from coinswarm import render

    chosen: dict[Path, list[Rule]] = {}
    told = []
    for each in checked:
        for found in each.findings:
            rule = _rule(found, symbol)
            if found.kind in kinds and rule is not None and rule.repair is not None:
                chosen.setdefault(each.path, []).append(rule)
                told.append(f"{each.path}: {found.kind}, {render.count(found.count, 'row')}: {found.what}")
    absent = [kind for kind in kinds if not any(rule.kind == kind for rules in chosen.values() for rule in rules)]
    if absent:
        present = sorted({found.kind for each in checked for found in each.findings if found.repairable})
        raise UsageError(
            f"there is no finding {', '.join(absent)} to repair; nothing was changed",
            hint=f"Found and repairable: {', '.join(present) or 'nothing'}",
        )
    for line in told:
        render.note(line)
    if not yes and not run.agreed(f"Write {folder} first, then change this?"):
        raise UsageError("nothing was changed", hint="Answer y on a terminal, or give --yes.")
    try:
        return files.repair(chosen, folder)
    except BaseException:  # of two files one may be done
        for kept in files.archives:
            render.warn(_moved(kept))
        raise


def _rule(found: Finding, symbol: str | None) -> Rule | None:
    from coinswarm.fsck.series import of_symbol

    return of_symbol(symbol) if found.kind == "relabelled" and symbol else found.rule


def _restore(run: Run, files: Fsck, archive: Path) -> None:
    from coinswarm import render

    file, rows, held = files.restore(archive)
    left = max(0, held - rows)
    document = {"archive": str(archive), "file": str(file), "rows": rows, "left": left}

    def show() -> None:
        render.line(f"Put back {render.count(rows, 'row')} into {file}.")
        if left:
            render.warn(f"{left:,} of {held:,} are there already, or another row has their place; {archive} keeps them")

    run.report(document, show, "coinswarm fsck")


def _show(checked: list[Checked], archives: list[Any]) -> None:
    from coinswarm import render

    for kept in archives:
        render.line(_moved(kept))
    if not checked:
        render.line("There is no local state yet: no queue file and no database.")
    for each in checked:
        noun = "candle" if each.kind == "d1" else "message"
        verdict = "sound" if not each.findings else f"{render.count(len(each.findings), 'finding')}"
        held = f"{render.count(each.rows, noun)}, {render.size(each.size_bytes)}"
        render.line(f"{each.path}: {verdict} ({held}, {each.seconds:.1f} s)")
        for found in each.findings:
            mark = "✘" if found.severity == "error" else "⚠"
            render.line(f"  {mark} {found.kind}: {found.count:,} × {found.what}")
            for example in found.examples:
                render.line(
                    "      " + ", ".join(f"{key} {value}" for key, value in example.items() if value is not None)
                )
            if found.advice:
                render.line(f"    {found.advice}")


def _moved(kept: Any) -> str:
    from coinswarm import render

    return f"Moved {render.count(kept.rows, 'row')} of {kept.table} ({kept.kind}) to {kept.path}."


def _command(found: Finding, where: list[str]) -> str:
    return shlex.join(["coinswarm", "fsck", *where, "--repair", found.kind, "--archive", "fsck-archive"])


def _undo(kept: Any) -> str:
    return shlex.join(["coinswarm", "fsck", "--restore", str(kept.path)])


def _as_json(kept: Any) -> dict[str, Any]:
    return {
        "kind": kept.kind,
        "table": kept.table,
        "rows": kept.rows,
        "file": str(kept.file),
        "archive": str(kept.path),
        "restore": _undo(kept),
    }
