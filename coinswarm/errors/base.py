"""The root of the tree, exit codes, and the errors that belong to no part in particular."""

from __future__ import annotations

from typing import Any, ClassVar

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class CoinswarmError(Exception):
    """Something failed."""

    exit_code: ClassVar[int] = EXIT_FAILED
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str | None] = None

    report: Any = None
    """What a command that reports had done before it failed: a dataclass with `as_json()`."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip().splitlines()[0]
        self.hint = hint if hint is not None else self.default_hint
        super().__init__(self.message)

    def as_json(self) -> dict[str, Any]:
        """The command line's `{"error": {…}}` document (`--json`), with the report of what was done before, if any."""
        document = {"error": {"type": type(self).__name__, "message": self.message, "hint": self.hint}}
        return document if self.report is None else document | {"report": self.report.as_json()}


class UsageError(CoinswarmError):
    """The command was used wrongly."""

    exit_code = EXIT_USAGE


class OutputLost(CoinswarmError):
    """The result cannot be written to where it should go."""


class CannotListen(CoinswarmError):
    """The address is taken, or is not this machine's."""


class ConfigError(CoinswarmError):
    """The configuration has faults."""


class InvalidPayload(CoinswarmError):
    """The message body does not hold candles."""
