"""Faults and warnings collected on the way, so that a person hears of all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from coinswarm.errors import ConfigError

HINT: Final = "Every key is explained in docs/configuration.md; `coinswarm init` writes files to start from."


class Diagnostics:
    """Every message names the file and the key it is about."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []

    def fault(self, where: str, message: str) -> None:
        _add(self.faults, f"{where}: {message}")

    def warn(self, where: str, message: str) -> None:
        _add(self.warnings, f"{where}: {message}")

    def unexpected(self, where: str, field: str, present: Iterable[str], known: Iterable[str]) -> None:
        """Warn, in wrangler's words, of keys that nothing reads; a near miss gets a suggestion."""
        names = set(known)
        unknown = [key for key in present if key not in names]
        if not unknown:
            return
        listed = ",".join(f'"{key}"' for key in unknown)
        self.warn(where, f"Unexpected fields found in {field} field: {listed}{_suggestions(unknown, names)}")

    def raise_if_faulty(self) -> None:
        """Raises `ConfigError` with every fault in its message, and every warning: no stack will carry those."""
        if not self.faults:
            return
        if len(self.faults) == 1 and not self.warnings:
            raise ConfigError(self.faults[0], hint=HINT)
        message = f"the configuration has {_listed(self.faults, 'fault')}"
        if self.warnings:
            message += f"\nand {_listed(self.warnings, 'warning')}"
        raise ConfigError(message, hint=HINT)


def _listed(messages: list[str], kind: str) -> str:
    count = f"{len(messages)} {kind}{'s' * (len(messages) > 1)}"
    return f"{count}:" + "".join(f"\n  - {message}" for message in messages)


def _add(messages: list[str], message: str) -> None:
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    if clean not in messages:
        messages.append(clean)


def _suggestions(unknown: list[str], known: set[str]) -> str:
    from difflib import get_close_matches

    near = [match for key in unknown for match in get_close_matches(key, known, n=1, cutoff=0.75)]
    return f" (did you mean {', '.join(near)}?)" if near else ""
