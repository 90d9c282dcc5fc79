"""How results look: tables, bars and hints for people, one JSON document for programs.

The only importer of rich. Results go to stdout; progress, warnings, hints and errors to stderr.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from coinswarm.errors import CoinswarmError, OutputLost

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 240
"""Columns where there is no terminal to fit into."""


_STEERING = re.compile(r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What JSON lets through and a terminal may obey: C1 controls, and characters that turn the direction of text.

And half a surrogate pair, which no stream can write.
"""


class _Draft(io.StringIO):
    """What rich draws on in the manner of `stream`, before any of it leaves."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()


def _console(file: TextIO) -> Console:
    from rich.console import Console

    width = None if file.isatty() else PIPED_WIDTH
    console = Console(file=file, highlight=False, width=width)
    if console.no_color:  # rich would still set text in bold
        console = Console(file=file, highlight=False, width=width, color_system=None)
    return console


def _print(what: object, *, stderr: bool = False, style: str | None = None) -> None:
    stream = sys.stderr if stderr else sys.stdout
    draft = _Draft(stream)
    _console(draft).print(what, style=style, markup=False, soft_wrap=isinstance(what, str))
    write(draft.getvalue(), stream)


def write(text: str, stream: TextIO) -> None:
    """Raises `OutputLost` for a result that cannot be written, for want of space for example.

    A reader that went away, as `| head` does, is no error: the command ends as it would have, in silence.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        discard(stream)
    except OSError as error:
        discard(stream)
        if stream is sys.stdout:
            raise OutputLost(f"the output could not be written: {error.strerror}") from None


def discard(stream: TextIO) -> None:
    """What is still to come, and what Python would write when it ends, goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def json_document(document: Any) -> None:
    """`document` on stdout. Bytes become arrays of numbers, as D1 shows blobs."""
    text = json.dumps(document, indent=2, ensure_ascii=not _is_unicode(sys.stdout), default=list)
    write(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n", sys.stdout)


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


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


def count(number: int, noun: str, *, plural: str | None = None) -> str:
    """`1 row`, `2,000 rows`; `plural` where an s at the end does not make it."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def line(text: str) -> None:
    """One line of the result."""
    _print(printable(text))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Rows under headings; numbers stand to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        shown.add_column(Text(printable(column)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(value)) for value in row))
    console = _console(sys.stdout)
    # A space less between columns keeps many a table of 86 columns from breaking its cells in a terminal of 80.
    wanted = console.measure(shown, options=console.options.update(max_width=10 * PIPED_WIDTH)).maximum
    shown.collapse_padding = wanted > console.width
    _print(shown)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one a line."""
    known = [(name, printable(value)) for name, value in pairs]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        line(f"{name:<{width}}  {value}")


def next_steps(steps: Sequence[str]) -> None:
    """What one may type next."""
    if steps:
        _print("", stderr=True)
        for step in steps:
            _print(f"  → {printable(step)}", stderr=True, style="dim")


def note(text: str) -> None:
    _print(printable(text), stderr=True, style="dim")


def warn(text: str) -> None:
    _print(f"⚠ {printable(text)}", stderr=True, style="yellow")


def error(problem: CoinswarmError, *, as_json: bool) -> None:
    """One line that says what happened and one that says what to do; in JSON mode the contract's document."""
    if as_json and not isinstance(problem, OutputLost):
        try:
            json_document(problem.as_json())
            return
        except OutputLost:
            pass  # then people shall at least see it on stderr
    first, *more = problem.message.split("\n")
    _print(f"✘ {printable(first)}", stderr=True, style="red")
    for extra in more + (problem.hint or "").split("\n"):
        if extra:
            _print(f"  {printable(extra)}", stderr=True)


def trace(text: str) -> None:
    """A traceback, whose last lines quote what others said."""
    write("".join(printable(part) + "\n" for part in text.splitlines()), sys.stderr)


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
    with bars.Progress(*columns, console=_console(sys.stderr), transient=True) as shown:
        task = shown.add_task(title, total=None, text="")
        yield lambda done, total, text: shown.update(task, completed=done, total=total, text=printable(text))
