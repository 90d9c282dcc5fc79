"""What a check looks for and what it found: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

EXAMPLES: Final = 5

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Move:
    """Rows that a repair takes out of their table once an archive holds them; `after` brings totals back in step."""

    table: str
    where: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Columns of bookkeeping that a repair sets anew; never those of a candle or a message body."""

    table: str
    where: str
    columns: tuple[str, ...]
    key: str
    statements: tuple[str, ...]
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of fault, as a condition on the rows of a table."""

    kind: str
    what: str
    table: str
    where: str
    shown: tuple[str, ...]
    """The columns of an example."""
    repair: Move | Change | None = None
    advice: str | None = None
    """What to do where there is no repair, or besides it."""
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of fault that a file has."""

    kind: str
    what: str
    count: int
    examples: tuple[Mapping[str, Any], ...] = ()
    repairable: bool = False
    advice: str | None = None
    severity: Severity = "error"
    rule: Rule | None = field(default=None, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "what": self.what,
            "count": self.count,
            "examples": [dict(example) for example in self.examples],
            "repairable": self.repairable,
            "advice": self.advice,
        }


@dataclass(slots=True)
class Checked:
    """One file and what was found in it."""

    path: Path
    kind: Literal["d1", "queues"]
    size_bytes: int
    rows: int = 0
    """Candles of a D1 file, messages of a queue file."""
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether there is nothing but warnings."""
        return all(finding.severity == "warning" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "kind": self.kind,
            "size_bytes": self.size_bytes,
            "rows": self.rows,
            "clean": self.clean,
            "findings": [finding.as_json() for finding in self.findings],
            "seconds": round(self.seconds, 3),
        }


def shown(value: object) -> Any:
    """A value of a row as JSON and a terminal can show it, never at length."""
    if isinstance(value, bytes):
        return f"X'{value[:32].hex()}'" + ("…" if len(value) > 32 else "")
    if isinstance(value, float) and value - value != 0:
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str) and len(value) > 120:
        return value[:119] + "…"
    return value
