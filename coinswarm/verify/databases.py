"""V8, V9: the database answers, and its table can hold candles as they are."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from coinswarm.d1.schema import KEY, TABLE, check_price_data
from coinswarm.errors import UsageError
from coinswarm.verify import ledger
from coinswarm.verify.check import Outcome, failed, passed
from coinswarm.verify.ledger import Difference
from coinswarm.verify.subject import Subject


def database(subject: Subject) -> Outcome:
    """Runs a query on the database of the configuration: the original looked for another one in a list."""
    declared = subject.stack.database()
    if not subject.remote and not subject.database_file.exists():
        hint = "Make it, with its tables: coinswarm d1 migrations apply"
        return failed(f"D1 database {declared.name} has no file yet", hint, path=str(subject.database_file))
    with subject.database() as opened:
        answer = opened.execute("SELECT 1 AS one")[0].rows
        if subject.remote and declared.id and opened.name != declared.name:
            hint = f"Correct database_name or database_id in {', '.join(declared.files)}."
            return failed(f"database {opened.id} is {opened.name} on Cloudflare, not {declared.name}", hint)
        named = f"{opened.name} ({opened.id})"
    if answer != [(1,)]:
        return failed(f"D1 database {named} answers SELECT 1 with {answer!r}", "See its state: coinswarm d1 info")
    return passed(f"D1 database accessible: {declared.name}", database=named)


def price_data(subject: Subject) -> Outcome:
    with subject.database() as opened:
        check_price_data(opened)
        if subject.remote:  # counting reads every row, and every row read is billed
            return passed(f"{TABLE} table exists, unique by {', '.join(KEY)}")
        rows = int(opened.execute(f"SELECT count(*) FROM {TABLE}")[0].rows[0][0] or 0)
    return passed(f"{TABLE} table exists, unique by {', '.join(KEY)}; {rows:,} rows", rows=rows)


def against_baseline(subject: Subject, path: Any) -> Outcome:
    """No row that the baseline holds has changed or gone since. Reads the whole table, asked for by `--baseline`."""
    with subject.database() as opened, path.open("rb") as file:
        found = ledger.compare(opened, file, stop=subject.stop.is_set)
    if not found.same:
        hint = "Take them back from a copy: `coinswarm d1 time-travel`, an export, or Cloudflare's Time Travel."
        return failed(
            f"{found.total:,} of {found.rows:,} rows of the baseline differ: {named(found)}", hint, **facts(found)
        )
    return passed(f"all {found.rows:,} rows of the baseline are as they were; {found.added:,} new", **facts(found))


def write_baseline(subject: Subject, path: Any) -> Outcome:
    """All or nothing: a baseline that was there stays until the new one is whole. Raises `UsageError`."""
    beside = path.with_name(path.name + ".new")
    try:
        with subject.database() as opened, beside.open("wb") as file:
            taken = ledger.write(opened, file, now_ms=subject.clock.now_ms(), stop=subject.stop.is_set)
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="Name another file.") from None
    finally:
        with suppress(OSError):
            beside.unlink()
    return passed(f"baseline of {taken.rows:,} rows in {taken.series:,} series written to {path}", rows=taken.rows)


def named(found: Difference) -> str:
    """The series that differ and the first rows, as far as a line holds them."""
    shown = "; ".join(f"{' '.join(key)}: {count}" for key, count in list(found.by_series().items())[:3])
    first = found.examples[0]
    return f"{shown}; first {first.timestamp} {first.what}"


def facts(found: Difference) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "added": found.added,
        "changed": sum(found.changed.values()),
        "vanished": sum(found.vanished.values()),
        "series": {" ".join(key): count for key, count in found.by_series().items()},
        "examples": [f"{' '.join(row.series)} {row.timestamp} {row.what}" for row in found.examples],
    }
