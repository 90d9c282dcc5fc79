"""What runs a stack without a person: workflows of GitHub Actions, units of systemd; made from templates/."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coinswarm.config import TEMPLATES, Stack
from coinswarm.errors import UsageError

WORKFLOWS: Final = ("deploy.yml", "collect.yml")
UNITS: Final = ("coinswarm.service", "coinswarm-alerts.service", "coinswarm-alerts.timer")

_PLACEHOLDER: Final = re.compile(r"@([A-Z_]+)@")
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))


@dataclass(frozen=True, slots=True)
class Service:
    """Who runs `coinswarm dev` under systemd, and the command line that starts coinswarm, the program with its path."""

    user: str
    program: tuple[str, ...]


def workflows(stack: Stack) -> dict[Path, bytes]:
    """deploy.yml and collect.yml for the queues of `stack`, by path in the repository.

    Raises `UsageError` where the stack has no queue, or none to put dead letters into.
    """
    queue, consumer = stack.queue(), stack.consumer()
    if consumer is None or consumer.dead_letter_queue is None:
        raise UsageError(
            f'the consumer of "{queue}" has no dead_letter_queue: Cloudflare deletes what cannot be stored',
            hint="Give it one in the wrangler file; the workflows create it.",
        )
    values = {
        "QUEUE": queue,
        "DEAD_LETTER_QUEUE": consumer.dead_letter_queue,
        "BATCH_SIZE": str(consumer.max_batch_size),
        "MAX_RETRIES": str(consumer.max_retries),
    }
    return {Path(".github", "workflows", name): _filled(f"github/{name}", values) for name in WORKFLOWS}


def units(stack: Stack, folder: Path, service: Service) -> dict[Path, bytes]:
    """A unit for `coinswarm dev` in `folder`, a timer for its alerts, by path below the folder.

    Raises `UsageError` for a path that no unit file can hold.
    """
    folder = folder.resolve()
    at_home = any(path.is_relative_to(home) for path in (folder, Path(service.program[0])) for home in _HOMES)
    values = {
        "DATABASE": _literal(stack.database().name),
        "USER": _literal(service.user),
        "WORKING_DIRECTORY": _literal(str(folder)),
        "COINSWARM": " ".join(_quoted(word).replace("$", "$$") for word in service.program),
        "READ_WRITE_PATHS": _quoted(str(folder)),
        "PROTECT_HOME": "read-only" if at_home else "yes",
    }
    values["HARDENING"] = _filled("systemd/hardening.conf", values).decode().rstrip()
    return {Path("systemd", name): _filled(f"systemd/{name}", values) for name in UNITS}


def _filled(template: str, values: Mapping[str, str]) -> bytes:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text).encode()


def _literal(text: str) -> str:
    """`text` in a unit file, where % begins a specifier; https://www.freedesktop.org/software/systemd/man/systemd.unit.html"""
    if not text.isprintable():
        raise UsageError(f"{text!r} cannot stand in a unit file", hint="Choose a path of printable characters.")
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    literal = _literal(text)
    if re.fullmatch(r"[\w%+,./:=@-]+", literal):
        return literal
    escaped = literal.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
