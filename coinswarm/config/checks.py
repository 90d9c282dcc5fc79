"""The checks that sections of a wrangler file share, with wrangler's texts where it has some."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.masking import is_placeholder, shown
from coinswarm.limits import QUEUES

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """Where a check stands: in which file, and under which environment (`prefix` is `env.NAME.` or empty)."""

    where: str
    diagnostics: Diagnostics
    prefix: str = ""

    def fault(self, message: str) -> None:
        self.diagnostics.fault(self.where, message)

    def text(self, table: Table, key: str) -> str | None:
        """An optional string of the section itself; an empty one counts as left out."""
        value = table.get(key)
        if value is None or isinstance(value, str):
            return value or None
        self.fault(f'Expected "{key}" to be of type string but got {shown(value)}.')
        return None

    def required(self, entry: Table, field: str, key: str, demand: str) -> str | None:
        """A string that must be there and not empty."""
        value = entry.get(key)
        if isinstance(value, str) and value.strip():
            return value
        self.fault(f'"{field}" {demand} have a string "{key}" field but got {shown(entry)}.')
        return None

    def optional(self, entry: Table, field: str, key: str, demand: str) -> str | None:
        """A string that may be left out."""
        value = entry.get(key)
        if key not in entry or isinstance(value, str):
            return value
        self.fault(f'"{field}" {demand}, optionally, have a string "{key}" field but got {shown(entry)}.')
        return None

    def number(
        self, entry: Table, field: str, key: str, default: Any, bounds: tuple[int, int], *, whole: bool = True
    ) -> Any:
        """A number within `bounds`, both inclusive, or `default` where it is left out or wrong."""
        if key not in entry:
            return default
        value = entry[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(f'"{field}" should, optionally, have a number "{key}" field but got {shown(entry)}.')
            return default
        low, high = bounds
        if not low <= value <= high:
            self.fault(f"{field}.{key} must be {low} to {high}, got {value}")
            return default
        if whole and value != int(value):
            self.fault(f"{field}.{key} must be a whole number, got {value}")
            return default
        return int(value) if value == int(value) else value

    def tables(self, table: Table, key: str, *, of: str = "") -> Iterator[tuple[str, Table]]:
        """The entries of an array of tables, each with its key path; `of` is the table it stands in."""
        field = f"{self.prefix}{of}{key}"
        entries = table.get(key, [])
        if not isinstance(entries, list):
            self.fault(f'The field "{field}" should be an array but got {shown(entries)}.')
            return
        for index, entry in enumerate(entries):
            if isinstance(entry, dict):
                yield f"{field}[{index}]", entry
            else:
                self.fault(f'"{field}[{index}]" should be an object but got {shown(entry)}.')

    def refuse_placeholder(self, value: object, field: str) -> None:
        if isinstance(value, str) and is_placeholder(value):
            self.fault(f"{field} is still the placeholder {shown(value)}: put the real value there")

    def queue_name(self, name: str, field: str) -> None:
        """Refuse, in the API's words (code 11003), a name under which no queue can exist."""
        if is_placeholder(name):
            self.refuse_placeholder(name, field)
        elif not re.fullmatch(QUEUES.name_pattern, name):
            self.fault(f"{field}: Invalid queue name: {shown(name)}. Must match {QUEUES.name_pattern}")
