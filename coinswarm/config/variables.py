"""`[vars]` of a wrangler file: plain settings of a Worker, and too often a secret. Values are never repeated."""

from __future__ import annotations

from typing import Any

from coinswarm.config.checks import Section
from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.masking import is_placeholder, looks_secret, names_a_secret


def read_vars(table: dict[str, Any], section: Section) -> dict[str, Any]:
    """The variables of the chosen environment: text, or any JSON value."""
    values = table.get("vars", {})
    if not isinstance(values, dict):
        # Whatever it is instead may be a secret: only its kind is told.
        section.fault(f'The field "{section.prefix}vars" should be an object but got {type(values).__name__}.')
        return {}
    for name, value in values.items():
        if not isinstance(value, str | int | float | bool | dict | list | None):
            section.fault(
                f'The field "{section.prefix}vars.{name}" is a TOML date, which is not supported.'
                f' Please use a string instead, e.g. {name} = "2025-12-19".'
            )
    return values


def warn_of_secrets(
    table: dict[str, Any], environments: dict[str, dict[str, Any]], where: str, diagnostics: Diagnostics
) -> None:
    """Name every secret and placeholder in `[vars]`, in environments that are not chosen too: the file is committed."""
    sections = {"vars": table.get("vars")}
    sections |= {f"env.{name}.vars": environment.get("vars") for name, environment in environments.items()}
    for section, values in sections.items():
        if isinstance(values, dict):
            for name, value in values.items():
                _warn_of_secret(value, name, f"{section}.{name}", where, diagnostics)


def _warn_of_secret(value: object, name: str, field: str, where: str, diagnostics: Diagnostics) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _warn_of_secret(item, key, f"{field}.{key}", where, diagnostics)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _warn_of_secret(item, name, f"{field}[{index}]", where, diagnostics)
    elif isinstance(value, str) and is_placeholder(value):
        diagnostics.warn(where, f"{field} holds a placeholder and is ignored; put the real value into .dev.vars")
    elif value and not isinstance(value, bool) and (names_a_secret(name) or looks_secret(str(value))):
        diagnostics.warn(
            where,
            f"{field} looks like a secret, and this file is meant to be committed: move it to .dev.vars"
            f" or the environment, use `wrangler secret put {name}` for production, and revoke what was published",
        )
