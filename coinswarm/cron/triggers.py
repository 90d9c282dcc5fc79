"""The array of cron triggers in the text of a wrangler file, and one of them switched so that all else stays as it is.

A trigger that nothing follows on its line becomes a comment by what is put in front of it, and a trigger again when
that is taken away: not one other character changes. One that a bracket or another trigger follows gets a line of its
own while it is off. The comment tells which it was: `# off: "…",` and `# off:"…"` have the line they had before; that
of `# off: "…"` was made for it, and with two spaces only its end was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

_STRING: Final = r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\''
_TOML: Final = re.compile(rf"(?P<string>{_STRING})|(?P<comment>\#[^\r\n]*)|(?P<other>.)", re.DOTALL)
_JSON: Final = re.compile(rf"(?P<string>{_STRING})|(?P<comment>//[^\r\n]*|/\*.*?\*/)|(?P<other>.)", re.DOTALL)
_OFF: Final = re.compile(r"""(?:\#|//)\s*off:(?P<gap>\s*)(?P<string>"[^"]*"|'[^']*')(?P<comma>[ \t]*,)?(?P<rest>.*)""")
_COMMA: Final = re.compile(r"[ \t]*,")
_LINE_END: Final = re.compile(r"\r?\n|\Z")
_BROKEN: Final = re.compile(r"\r?\n[ \t]*")
_BREAK_BEFORE: Final = re.compile(r"\r?\n[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger, from `start` to `end` in the text: its string, or the comment that it is while off."""

    expression: str
    start: int
    end: int
    comment: re.Match[str] | None

    @property
    def on(self) -> bool:
        return self.comment is None


def tokens(text: str, *, toml: bool, start: int = 0) -> Iterator[re.Match[str]]:
    """Strings, comments, and every other character."""
    return (_TOML if toml else _JSON).finditer(text, start)


@dataclass(frozen=True, slots=True)
class TriggerArray:
    """The array whose opening bracket is at `start` of a file's text. Switching gives that of the new text."""

    text: str
    start: int
    toml: bool

    @property
    def triggers(self) -> list[Trigger]:
        """In their order, those that are off among them."""
        found = []
        for token in self.inside():
            off = _OFF.fullmatch(token["comment"] or "")
            if token["string"] or off:
                expression = off["string"] if off else token["string"]
                found.append(Trigger(expression.strip("\"'"), token.start(), token.end(), off))
        return found

    def off(self, index: int) -> TriggerArray:
        """With the trigger of that number, which is on, as a comment."""
        text, triggers = self.text, self.triggers
        trigger, last = triggers[index], index == len(triggers) - 1
        line_end = self._line_end(trigger.end)
        following = self._closing if last else triggers[index + 1].start
        before = text[self._line_start(trigger.start) : trigger.start]
        head, tail, rest = text[: trigger.start], text[trigger.end : following], text[following:]
        if following >= line_end:
            gap = " " if _COMMA.match(tail) else ""
            return replace(self, text=f"{head}{self._mark} off:{gap}{text[trigger.start :]}")
        gap, indent = "  ", before
        if before.strip():
            gap, indent = " ", self._indent + ("    " if self.toml else "  ")
            head = (head[:-1] if head.endswith(", ") else head) + self._newline + indent
        if last:
            tail += self._newline + self._indent
        else:
            tail = _COMMA.sub("", tail, count=1).removesuffix(" ") + self._newline + indent
        return replace(self, text=f"{head}{self._mark} off:{gap}{text[trigger.start : trigger.end]}{tail}{rest}")

    def on(self, index: int) -> TriggerArray:
        """With the trigger of that number, which is off, as one that is on."""
        trigger = self.triggers[index]
        head, rest, off = self.text[: trigger.start], self.text[trigger.end :], trigger.comment
        if off is None:
            return self
        behind, made = off["rest"], bool(off["gap"]) and not off["comma"]
        if behind.strip() and not behind.lstrip().startswith(("#",) if self.toml else ("//", "/*")):
            behind = f" {self._mark} {behind.strip()}"
        if made and self._mark in behind:
            behind = "," + behind
        elif made:
            head = self._joined_before(head) if off["gap"] == " " else head
            rest = _joined_behind(rest)
        return _with_commas(replace(self, text=f"{head}{off['string']}{off['comma'] or ''}{behind}{rest}"))

    def _joined_before(self, head: str) -> str:
        """Without the line break that was made there; after a comment or an empty line it has to stay."""
        broken = _BREAK_BEFORE.search(head)
        above = head[: broken.start()] if broken else ""
        comments = [token for token in self.inside() if (token["comment"] or "").startswith(self._mark)]
        if not above[self._line_start(len(above)) :].strip() or any(c.end() == len(above) for c in comments):
            return head
        return above + ("" if above[-1] in "[ \t" else " ")

    def inside(self) -> Iterator[re.Match[str]]:
        """The tokens between the brackets."""
        for token in tokens(self.text, toml=self.toml, start=self.start + 1):
            if token["other"] == "]":
                return
            yield token

    @property
    def _closing(self) -> int:
        return max((token.end() for token in self.inside()), default=self.start + 1)

    @property
    def _mark(self) -> str:
        return "#" if self.toml else "//"

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def _indent(self) -> str:
        """Of the line in which the array begins."""
        line = self.text[self._line_start(self.start) : self.start]
        return line[: len(line) - len(line.lstrip())]

    def _line_start(self, place: int) -> int:
        return self.text.rfind("\n", 0, place) + 1

    def _line_end(self, place: int) -> int:
        found = _LINE_END.search(self.text, place)
        return found.start() if found else len(self.text)


def _joined_behind(rest: str) -> str:
    """Without the line break that was made there, where a bracket or another trigger follows."""
    broken = _BROKEN.match(rest)
    if broken and rest[broken.end() :].startswith("]"):
        return rest[broken.end() :]
    return " " + rest[broken.end() :] if broken and rest[broken.end() :].startswith(('"', "'")) else rest


def _with_commas(array: TriggerArray) -> TriggerArray:
    """With a comma behind every trigger that another one follows."""
    last: int | None = None
    missing: list[int] = []
    for token in array.inside():
        if token["string"]:
            missing += [last] if last is not None else []
            last = token.end()
        elif token["other"] == ",":
            last = None
    text = array.text
    for place in reversed(missing):
        text = f"{text[:place]},{text[place:]}"
    return replace(array, text=text)
