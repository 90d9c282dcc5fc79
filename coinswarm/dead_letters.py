"""The dead-letter desk: what queues keep as bodies, read as candles, to choose by, to show and to take along.

Queues know nothing of candles and candles nothing of queues; whoever looks into a dead letter needs both.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from coinswarm.candles import COLUMNS
from coinswarm.consumer.inspection import FIELDS, Inspection, inspect
from coinswarm.errors import UsageError
from coinswarm.limits import QUEUES
from coinswarm.queue.letters import ALL, Cause, DeadLetterRecord, Purged, Redriven, Selection
from coinswarm.queue.types import ContentType, OutgoingMessage

PAGE: Final = 100
RUNNING: Final = "held a candle that was still running when it was sent; its final values are to be fetched again"
MAYBE_RUNNING: Final = (
    "were moved by Cloudflare, which does not tell when they were sent: a candle in them may have been running then"
)
_BLANKS: Final = ("\t", "\r", "\n")
_FORMULA: Final = ("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠")
"""With the full-width forms, which spreadsheets read as the others."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Half a surrogate pair: JSON can hold it, UTF-8 cannot."""
CSV_COLUMNS: Final = ("id", "queue", "reason", "dead_lettered_ms", "row", "fault", *FIELDS)


class Desk(Protocol):
    """The dead letters of one queue, local or on Cloudflare."""

    def count(self) -> int: ...

    def causes(self) -> list[Cause]: ...

    def records(
        self, selection: Selection = ALL, *, limit: int = 100, after: str | None = None, bodies: bool = False
    ) -> list[DeadLetterRecord]: ...

    def show(self, message_id: str) -> DeadLetterRecord: ...

    def redrive(
        self,
        message_ids: Sequence[str] | None = None,
        *,
        selection: Selection = ALL,
        to: str | None = None,
        rate: int | None = None,
        dry_run: bool = False,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] | None = None,
    ) -> Redriven: ...

    def purge(
        self,
        message_ids: Sequence[str] | None = None,
        *,
        selection: Selection = ALL,
        dry_run: bool = False,
        archive: Callable[[Sequence[DeadLetterRecord]], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Purged: ...

    def resend(self, message_id: str, message: OutgoingMessage) -> str: ...


def look(record: DeadLetterRecord) -> Inspection:
    """The candles of a dead letter that came with its body."""
    return inspect(record.body or b"", taken_ms=record.timestamp_ms)


def of_symbol(symbol: str) -> Callable[[DeadLetterRecord], bool]:
    """Whether a dead letter holds a row of `symbol`, in any case."""
    wanted = symbol.casefold()
    return lambda record: wanted in (name.casefold() for name in look(record).symbols)


def unfit(*, assume_closed: bool) -> Callable[[DeadLetterRecord], str | None]:
    """Why a dead letter must not be sent as a new message: as one sent now, a candle that was running then would pass.

    The first write wins, so its unfinished values would stay for ever. Where the time of sending is not known, it was
    at most the longest retention period before; `assume_closed` is the user's word that only closed ones were sent.
    """

    def judge(record: DeadLetterRecord) -> str | None:
        found = look(record)
        if record.timestamp_ms is not None:
            return RUNNING if found.ends_after(record.timestamp_ms / 1000) else None
        earliest = record.dead_lettered_ms / 1000 - QUEUES.retention_seconds_max
        return MAYBE_RUNNING if not assume_closed and found.ends_after(earliest) else None

    return judge


def everything(desk: Desk, ids: Sequence[str] | None, selection: Selection) -> Iterator[DeadLetterRecord]:
    """All that are selected, with bodies, page by page."""
    wanted = None if ids is None else set(ids)
    after: str | None = None
    while True:
        page = desk.records(selection, limit=PAGE, after=after, bodies=True)
        yield from (record for record in page if wanted is None or record.id in wanted)
        if len(page) < PAGE:
            return
        after = page[-1].id


def document(record: DeadLetterRecord) -> dict[str, Any]:
    """A dead letter for JSON, without its body."""
    return {name: getattr(record, name) for name in record.__slots__ if name != "body"}


def summary(record: DeadLetterRecord) -> dict[str, Any] | None:
    """Which candles it holds, None where none can be made out."""
    found = look(record)
    if not found.rows:
        return None
    first, last = found.opens or (None, None)
    return {
        "rows": len(found.rows),
        "symbols": found.symbols,
        "timeframes": found.timeframes,
        "first": first,
        "last": last,
    }


def body_document(record: DeadLetterRecord) -> dict[str, str]:
    """The body so that it can be had back byte for byte."""
    body = record.body or b""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def json_line(record: DeadLetterRecord) -> str:
    """One line of an archive: all that is known of it, body included. It is ASCII that steers no terminal."""
    return json.dumps(document(record) | body_document(record)).replace("\x7f", "\\u007f") + "\n"


def csv_lines(
    records: Sequence[DeadLetterRecord], *, header: bool = False, shown: Callable[[str], str] = str
) -> tuple[str, int]:
    """Every row that has the fields of a candle, its fault beside it, and how many rows have not.

    Text that a spreadsheet would take for a formula has an apostrophe before it.
    https://owasp.org/www-community/attacks/CSV_Injection
    `shown` makes of text what a terminal may be sent.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; and a cell that holds either is quoted
    left_out = 0
    if header:
        writer.writerow(CSV_COLUMNS)
    for record in records:
        found = look(record)
        left_out += (not found.rows) + sum(row.candle is None for row in found.rows)
        about = (record.id, record.source, record.reason, record.dead_lettered_ms)
        writer.writerows(
            [
                shown(cell) if isinstance(cell, str) else cell
                for cell in map(guarded, (*about, row.index, row.fault, *(getattr(row.candle, c) for c in COLUMNS)))
            ]
            for row in found.rows
            if row.candle is not None
        )
    return text.getvalue(), left_out


def guarded(cell: object) -> object:
    """`cell` as a spreadsheet shall show and not run it."""
    if not isinstance(cell, str):
        return cell
    quote = "'" if cell[:1] in _BLANKS or cell.lstrip().startswith(_FORMULA) else ""
    return quote + _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", cell)


@dataclass(frozen=True, slots=True)
class Correction:
    """A dead letter's new body, and what is still wrong with it."""

    message: OutgoingMessage
    faults: list[str]


def corrected(record: DeadLetterRecord, body: bytes | None, changes: Sequence[str]) -> Correction:
    """`record` with `body` instead of its own, or with `[ROW.]FIELD=VALUE` changed in one row or in all.

    A value is JSON if it reads as JSON, else text. Raises `UsageError` for changes that cannot be made.
    """
    if (body is None) == (not changes):
        raise UsageError("say what to correct", hint="Give --body FILE, or --set [ROW.]FIELD=VALUE (repeatable).")
    if body is None:
        body = _changed(record, changes)
    kind: ContentType = "json" if _is_json(body) else record.content_type if record.content_type != "json" else "text"
    return Correction(OutgoingMessage(body, kind), inspect(body, taken_ms=record.timestamp_ms).faults)


def _changed(record: DeadLetterRecord, changes: Sequence[str]) -> bytes:
    found = look(record)
    if found.fault is not None:
        raise UsageError(f"no field of it can be set: {found.fault}", hint="Give the whole body: --body FILE.")
    values = [row.value for row in found.rows]
    for change in changes:
        place, equals, text = change.partition("=")
        row, dot, name = place.rpartition(".")
        if not (equals and name) or (dot and not row.isdigit()):
            raise UsageError(f"{change!r} is not [ROW.]FIELD=VALUE", hint="For example: --set 0.close=105.5")
        if dot and int(row) >= len(values):
            raise UsageError(f"there is no row {row}; it has the rows 0 to {len(values) - 1}")
        for value in values[int(row) : int(row) + 1] if dot else values:
            if not isinstance(value, dict):
                raise UsageError("a row of it is no object", hint="Give the whole body: --body FILE.")
            value[name] = json.loads(text) if _is_json(text.encode()) else text
    try:
        return json.dumps(values, allow_nan=False).encode()
    except ValueError:
        raise UsageError(
            "a number of it is larger than any that can be stored",
            hint="Set it too, or give the whole body: --body FILE.",
        ) from None


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
