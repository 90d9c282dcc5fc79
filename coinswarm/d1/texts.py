"""What is known about SQL texts that ran, so that running one again costs next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coinswarm.d1.guard import Kind, inspect
from coinswarm.d1.joining import Joined
from coinswarm.d1.meter import Cost
from coinswarm.d1.types import QueryResult

MOST: Final = 512
LONGEST: Final = 20_000
"""So many texts up to this length are remembered."""


class Text:
    """What is known about one SQL text: its kind, and more once it has run under the present schema."""

    __slots__ = ("apart", "cost", "joined", "kind")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.apart = False
        """Not to be joined now: when it last ran, some of its rows were there already."""
        self.forget()

    def forget(self) -> None:
        """The schema has changed."""
        self.cost: Cost | None = None
        self.joined: Joined | None = None
        """How several runs of it can be one."""


class Texts(dict[str, Text]):
    """The texts that one connection has run, by their SQL. One not known yet is looked at; `SqlError` refuses it."""

    def __missing__(self, sql: str) -> Text:
        text = Text(inspect(sql))
        if len(sql) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[sql] = text
        return text

    def forget(self) -> None:
        """The schema has changed."""
        for text in self.values():
            text.forget()


def note_new(texts: Sequence[Text], results: Sequence[QueryResult]) -> None:
    """Note of inserts that might have been joined whether each row was new, so that their like may be joined next."""
    for text, result in zip(texts, results, strict=True):
        if text.joined is None:
            return
        text.apart = result.meta.changes != text.joined.rows
        if text.apart:
            return
