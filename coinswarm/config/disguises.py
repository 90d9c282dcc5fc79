"""Secrets that come back encoded: percent by percent as in an address, or in base64, alone or amid other text."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

SHORTEST: Final = 8
"""Of a shorter secret the encoded form is found in other words by accident."""
_BASE64: Final = {"+": "(?:[-+]|%2[Bb])", "/": "(?:[/_]|%2[Ff])"}
"""How the standard alphabet, the one for addresses, and an address write these two."""


def undisguised(text: str, secret: str, mask: str) -> str:
    """`text` with `mask` wherever `secret` stands in an encoding."""
    return text if len(secret) < SHORTEST else _pattern(secret).sub(mask, text)


def struck(value: Any, secret: str, mask: str) -> Any:
    """A JSON value without `secret`, as it is or in an encoding, in any of its texts."""
    if isinstance(value, str):
        return undisguised(value.replace(secret, mask), secret, mask)
    if isinstance(value, dict):
        return {name: struck(item, secret, mask) for name, item in value.items()}
    return [struck(item, secret, mask) for item in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=64)
def _pattern(secret: str) -> re.Pattern[str]:
    data = secret.encode("utf-8", "surrogateescape")
    rest = "(?:[A-Za-z0-9+/_-]|%2[BbFf])*(?:=|%3[Dd]){0,2}"
    return re.compile("|".join([_percent(data), *(core + rest for core in _cores(data))]))


def _percent(data: bytes) -> str:
    """Each byte as it is or as `%2f`, the percent sign maybe encoded again."""
    return "".join(f"(?:{re.escape(chr(byte))}|%(?:25)*(?i:{byte:02x}))" for byte in data)


def _cores(data: bytes) -> Iterator[str]:
    """What base64 makes of `data` after any number of other bytes: without the characters that it shares with them."""
    for before in range(3):
        text = b64encode(bytes(before) + data).decode()
        core = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield "".join(_BASE64.get(character, character) for character in core)
