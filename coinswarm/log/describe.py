"""An event as a person reads it: one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coinswarm.log.read import Event, is_trouble

_TOLD_FIRST: Final = ("time", "run", "event", "source", "symbol", "timeframe", "kind", "pid")


def describe(event: Event) -> str:
    """`2026-11-23 22:15:23.042 ✘ http.request binance GET …`: when, a mark where something is wrong, what happened."""
    mark = "✘" if is_trouble(event) else " "
    when = str(event["time"]).replace("T", " ").rstrip("Z")
    name = str(event["event"])
    subject = " ".join(str(event[key]) for key in ("source", "symbol", "timeframe", "kind") if key in event)
    said = _SENTENCES.get(name, _fields)(event)
    return f"{when} {mark} {name:<16} {' '.join(filter(None, (subject, said)))}".rstrip()


def _request(event: Event) -> str:
    words = [event.get("method"), f"{event.get('host', '')}{event.get('path', '')}", event.get("status", "no reply")]
    words.append(f"{event.get('ms', 0)} ms")
    if event.get("attempt", 1) > 1:
        words.append(f"attempt {event['attempt']}")
    if event.get("limit_wait_ms"):
        words.append(f"after {event['limit_wait_ms']} ms for the rate limit")
    if "message" in event:
        words.append(f"– {event['message']}")
    return " ".join(str(word) for word in words)


def _batch(event: Event) -> str:
    seconds = event.get("seconds", 0.0)
    rows = event.get("inserted", 0) + event.get("duplicate", 0)
    parts = [
        counted(event.get("messages", 0), "message"),
        f"{counted(event.get('inserted', 0), 'row')} stored",
        f"{event.get('duplicate', 0):,} already there",
        f"{seconds * 1000:.0f} ms",
    ]
    if event.get("rejected"):
        parts.append(f"{event['rejected']:,} rejected")
    if seconds > 0:
        parts.append(f"{rows / seconds:,.0f} rows/s")
    return ", ".join(parts)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _reason(event: Event) -> str:
    return f"{event.get('messages', 0):,} × {event.get('reason', '')}"


def _fields(event: Event) -> str:
    shown: dict[str, Any] = {key: value for key, value in event.items() if key not in _TOLD_FIRST}
    return " ".join(f"{key}={value}" for key, value in shown.items())


_SENTENCES: Final[dict[str, Callable[[Event], str]]] = {
    "http.request": _request,
    "batch.written": _batch,
    "batch.failed": _reason,
    "messages.retried": _reason,
    "messages.dead_lettered": _reason,
    "messages.dropped": _reason,
    "messages.expired": _reason,
}
