"""`[alerts]` of coinswarm.toml: which alerts there are, when they fire, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.masking import Secret, shown

WEBHOOK_VARIABLE: Final = "COINSWARM_ALERT_WEBHOOK"
"""Where the webhook's URL belongs when it is a secret, as those of Slack and Discord are: environment or .dev.vars."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert: it fires when its measure exceeds `limit` for `minutes`. What is measured is the alert's own."""

    limit: float
    minutes: float = 0
    """How long it has to last; for `errors` the window that is looked at, for `stale` what is tolerated at least."""
    on: bool = True


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Each alert with its default; the seed system's guide names the figures."""

    depth: Rule = Rule(5_000, minutes=10)
    """Messages stored in the pipeline's queue."""
    dead_letters: Rule = Rule(0)
    """Messages in the dead-letter queue."""
    stale: Rule = Rule(3, minutes=90)
    """Timeframes since the newest candle of a series closed, and never before so many minutes."""
    errors: Rule = Rule(5, minutes=60)
    """Per cent of HTTP requests, or of messages, that failed within the last minutes."""
    allowance: Rule = Rule(75)
    """Per cent used of what the plan includes."""
    size: Rule = Rule(4)
    """GB of the database, of the 10 GB it may have."""
    plan: Literal["free", "paid"] = "paid"
    ignore: tuple[str, ...] = ()
    """Series that may be stale, as `symbol/timeframe/source` with `*`."""
    webhook: Secret | None = None
    command: tuple[str, ...] = ()
    """A program and its arguments, run without a shell; it gets the alert as JSON on stdin."""

    def rule(self, name: str) -> Rule:
        found: Rule = getattr(self, name)
        return found


LIMIT_KEYS: Final = {
    "depth": "messages",
    "dead_letters": "messages",
    "stale": "timeframes",
    "errors": "percent",
    "allowance": "percent",
    "size": "gb",
}
"""By alert: what its limit is called in the file."""
_LASTING: Final = ("depth", "stale", "errors")
_OWN_KEYS: Final = {"allowance": ("plan",), "stale": ("ignore",)}


def with_webhook(settings: AlertSettings, url: str | None, diagnostics: Diagnostics) -> AlertSettings:
    """The same with the URL that the environment or `.dev.vars` names, which wins over the file's."""
    if not url:
        return settings
    return replace(settings, webhook=_webhook(url, WEBHOOK_VARIABLE, "does not hold", diagnostics))


def read_alerts(value: Any, where: str, diagnostics: Diagnostics) -> AlertSettings:
    """The table `[alerts]` of coinswarm.toml over the defaults."""
    if not isinstance(value, dict):
        diagnostics.fault(where, f'The field "alerts" should be an object but got {shown(value)}.')
        value = {}
    diagnostics.unexpected(where, "alerts", value, ("webhook", "command", *LIMIT_KEYS))
    reader = _Reader(where, diagnostics)
    settings = AlertSettings()
    for name in LIMIT_KEYS:
        if name in value:
            settings = reader.rule(settings, name, value[name])
    if "command" in value:
        settings = replace(settings, command=reader.words("alerts.command", value["command"], empty=False))
    if "webhook" in value:
        url = value["webhook"] if isinstance(value["webhook"], str) else ""
        settings = replace(settings, webhook=_webhook(url, where, "alerts.webhook is not", diagnostics))
    return settings


class _Reader:
    def __init__(self, where: str, diagnostics: Diagnostics) -> None:
        self.where, self.diagnostics = where, diagnostics

    def rule(self, settings: AlertSettings, name: str, value: Any) -> AlertSettings:
        default, path = settings.rule(name), f"alerts.{name}"
        if value is False:
            return replace(settings, **{name: replace(default, on=False)})  # type: ignore[arg-type]
        if not isinstance(value, dict):
            self.diagnostics.fault(self.where, f"{path} must be a table or false, got {shown(value)}")
            return settings
        limit_key, own = LIMIT_KEYS[name], _OWN_KEYS.get(name, ())
        lasting = ("minutes",) if name in _LASTING else ()
        self.diagnostics.unexpected(self.where, path, value, (limit_key, *lasting, *own))
        numbers = {
            "limit": self.number(f"{path}.{limit_key}", value.get(limit_key, default.limit)),
            "minutes": self.number(f"{path}.minutes", value.get("minutes", default.minutes)),
        }
        sound: dict[str, Any] = {key: number for key, number in numbers.items() if number is not None}
        changes: dict[str, Any] = {name: replace(default, **sound)}
        if "ignore" in own and "ignore" in value:
            changes["ignore"] = self.words(f"{path}.ignore", value["ignore"], empty=True)
        if "plan" in own and "plan" in value:
            if value["plan"] in ("free", "paid"):
                changes["plan"] = value["plan"]
            else:
                self.diagnostics.fault(self.where, f'{path}.plan must be "free" or "paid", got {shown(value["plan"])}')
        return replace(settings, **changes)

    def number(self, path: str, value: Any) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            self.diagnostics.fault(self.where, f"{path} must be a number from 0, got {shown(value)}")
            return None
        return value

    def words(self, path: str, value: Any, *, empty: bool) -> tuple[str, ...]:
        sound = isinstance(value, list) and all(isinstance(word, str) and "\0" not in word for word in value)
        if not sound or not (value or empty):
            example = '["notify", "--now"]' if not empty else '["*/1m/*"]'
            self.diagnostics.fault(self.where, f"{path} must be a list of strings such as {example}")
            return ()
        return tuple(value)


def _webhook(url: str, where: str, verb: str, diagnostics: Diagnostics) -> Secret | None:
    """No part of a wrong one is repeated: the path of a webhook is its password."""
    text = url.strip()
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if sound and text.isprintable() and " " not in text:
        return Secret(text)
    diagnostics.fault(where, f"{verb} a URL that begins with http:// or https:// and a host")
    return None
