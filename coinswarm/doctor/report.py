"""What the walk found and did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coinswarm.verify.check import Status


@dataclass(frozen=True, slots=True)
class Step:
    """One of the thirteen. `did` is what was changed with the user's consent."""

    number: int
    title: str
    status: Status
    message: str
    hint: str | None = None
    did: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "step": self.number,
            "title": self.title,
            "status": self.status.value,
            "message": self.message,
            "hint": self.hint,
            "did": self.did,
        }


@dataclass(slots=True)
class DoctorReport:
    steps: list[Step] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        return all(step.status is not Status.FAILED for step in self.steps)

    @property
    def changes(self) -> list[str]:
        return [step.did for step in self.steps if step.did]

    def as_json(self) -> dict[str, Any]:
        return {
            "healthy": self.healthy,
            "steps": [step.as_json() for step in self.steps],
            "changes": self.changes,
            "next_steps": self.next_steps,
        }
