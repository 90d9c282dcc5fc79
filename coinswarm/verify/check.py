"""What a check is, what it says, and what all of them together say."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from coinswarm.verify.subject import Subject

EXIT_WARNINGS: Final = 1
EXIT_FAILURES: Final = 2
"""The original script's, which other commands do not share: 0 all passed, 1 warnings, 2 failures."""


class Status(enum.Enum):
    """`.value` is the word in JSON."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found. `hint` is what to do about it, `evidence` what was seen, for programs."""

    status: Status
    message: str
    hint: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def passed(message: str, **evidence: Any) -> Outcome:
    return Outcome(Status.PASSED, message, None, evidence)


def warned(message: str, hint: str, **evidence: Any) -> Outcome:
    return Outcome(Status.WARNING, message, hint, evidence)


def failed(message: str, hint: str, **evidence: Any) -> Outcome:
    return Outcome(Status.FAILED, message, hint, evidence)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold. `run` returns what it found; what it raises is a failure of this check alone."""

    id: str
    """For `--only`, and for programs: never changes."""
    number: str
    """Its row in the original's list, `V1` to `V19`; others have none."""
    title: str
    run: Callable[[Subject], Outcome]
    needs: tuple[str, ...] = ()
    """Checks without which this one says nothing: it is skipped when one of them failed."""
    patient: bool = False
    """Reads the whole table: has no time limit unless the user sets one."""


@dataclass(frozen=True, slots=True)
class Result:
    """A check and what became of it."""

    id: str
    number: str
    title: str
    outcome: Outcome
    seconds: float = 0.0

    @property
    def status(self) -> Status:
        return self.outcome.status

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "number": self.number,
            "title": self.title,
            "status": self.status.value,
            "message": self.outcome.message,
            "hint": self.outcome.hint,
            "evidence": dict(self.outcome.evidence),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All results, in the order they were found."""

    where: str
    """What was verified, for people."""
    remote: bool
    results: tuple[Result, ...]

    def count(self, status: Status) -> int:
        return sum(result.status is status for result in self.results)

    def of(self, check_id: str) -> Result | None:
        return next((result for result in self.results if result.id == check_id), None)

    @property
    def exit_code(self) -> int:
        if self.count(Status.FAILED):
            return EXIT_FAILURES
        return EXIT_WARNINGS if self.count(Status.WARNING) else 0

    @property
    def summary(self) -> str:
        """The original's line; its numbers add up to the checks listed."""
        text = (
            f"{self.count(Status.PASSED)} Passed, {self.count(Status.WARNING)} Warnings, "
            f"{self.count(Status.FAILED)} Failed"
        )
        skipped = self.count(Status.SKIPPED)
        return f"{text}, {skipped} Skipped" if skipped else text

    @property
    def verdict(self) -> str:
        """The original's last line."""
        if self.count(Status.FAILED):
            return "DEPLOYMENT VERIFICATION FAILED"
        if self.count(Status.WARNING):
            return "DEPLOYMENT VERIFIED WITH WARNINGS"
        return "DEPLOYMENT VERIFIED SUCCESSFULLY!"

    def as_json(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "remote": self.remote,
            "passed": self.count(Status.PASSED),
            "warnings": self.count(Status.WARNING),
            "failed": self.count(Status.FAILED),
            "skipped": self.count(Status.SKIPPED),
            "exit_code": self.exit_code,
            "checks": [result.as_json() for result in self.results],
        }
