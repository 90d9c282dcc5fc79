"""How results look: tables, bars and hints for people, one JSON document for programs.

The only importer of rich. Results go to stdout; progress, warnings, hints and errors to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from coinswarm.errors import CoinswarmError

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 240
"""Columns where there is no terminal to fit into."""


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, highlight=False, width=width)


def json_document(document: Any) -> None:
    """`document` on stdout. Bytes become arrays of numbers, as D1 shows blobs."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=list) + "\n")


def printable(value: object) -> str:
    """`value` as text that cannot steer a terminal: control characters are shown escaped."""
    text = value if isinstance(value, str) else _plain(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, bytes):
        return "X'" + value[:32].hex() + ("…'" if len(value) > 32 else "'")
    return str(value)


def moment(timestamp: float | None) -> str:
    """Unix seconds as a person reads them."""
    if timestamp is None:
        return "–"
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")


def size(count: int) -> str:
    """Bytes as a person reads them (1 KB = 1,000 B)."""
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def line(text: str) -> None:
    """One line of the result."""
    _console().print(printable(text), markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Rows under headings; numbers stand to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(value)) for value in row))
    _console().print(shown)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one a line."""
    known = [(name, printable(value)) for name, value in pairs]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        line(f"{name:<{width}}  {value}")


def next_steps(steps: Sequence[str]) -> None:
    """What one may type next."""
    if steps:
        console = _console(stderr=True)
        console.print()
        for step in steps:
            console.print(f"  → {printable(step)}", style="dim", markup=False, soft_wrap=True)


def note(text: str) -> None:
    _console(stderr=True).print(printable(text), style="dim", markup=False, soft_wrap=True)


def warn(text: str) -> None:
    _console(stderr=True).print(f"⚠ {printable(text)}", style="yellow", markup=False, soft_wrap=True)


def error(problem: CoinswarmError, *, as_json: bool) -> None:
    """One line that says what happened and one that says what to do; in JSON mode the contract's document."""
    if as_json:
        json_document(problem.as_json())
        return
    console = _console(stderr=True)
    first, *more = problem.message.splitlines() or [""]
    console.print(f"✘ {printable(first)}", style="red", markup=False, soft_wrap=True)
    for extra in more:
        console.print(f"  {printable(extra)}", markup=False, soft_wrap=True)
    if problem.hint:
        console.print(f"  {problem.hint}", markup=False, soft_wrap=True)


class Progress(Protocol):
    """A bar that a long command moves."""

    def __call__(self, done: int, total: int | None, text: str, /) -> None: ...


@contextmanager
def progress(title: str, *, quiet: bool) -> Iterator[Progress]:
    """A progress bar on stderr while the block runs; nothing when `quiet` or when stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total, _text: None
        return
    from rich import progress as bars

    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(bar_width=30),
        bars.TextColumn("{task.completed:,.0f}"),
        bars.TextColumn("{task.fields[text]}", style="dim"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=_console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None, text="")
        yield lambda done, total, text: shown.update(task, completed=done, total=total, text=printable(text))
