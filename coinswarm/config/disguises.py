"""Secrets that come back encoded: as an address, JSON or XML writes them, or in base64, alone or amid other text."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

SHORTEST: Final = 8
"""Of a shorter secret the encoded form is found in other words by accident."""
_BASE64: Final = {"+": "(?:[-+]|%2[Bb])", "/": "(?:[/_]|%2[Ff])"}
"""How the standard alphabet, the one for addresses, and an address write these two."""
_ESCAPED: Final = {
    '"': r'\\+"|&quot;',
    "'": r"\\+'|&apos;",
    "/": r"\\+/",
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
}
"""How JSON, `repr` and XML write these, maybe one inside the other."""


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
    plain = "".join(_written(byte, len(list(run))) for byte, run in groupby(data))
    return re.compile("|".join([plain, *(core + rest for core in _cores(data))]))


def _written(byte: int, times: int) -> str:
    """As it is, as `%2f` (the percent sign maybe encoded again), `\\u002f`, `&#47;`, or escaped by name."""
    known = _ESCAPED.get(chr(byte))
    ways = [
        *([known] if known else []),
        re.escape(chr(byte)),
        f"%(?:25)*(?i:{byte:02x})",
        rf"\\+u00(?i:{byte:02x})",
        f"&#(?:0*{byte}|[xX]0*(?i:{byte:x}));",
    ]
    each = f"(?:{'|'.join(ways)}){{{times}}}"
    # Escaped, a run of backslashes is a longer one: as a whole, for there are too many ways to part it.
    return rf"(?:{each}|\\{{{times},{8 * times}}})" if byte == ord("\\") else each


def _cores(data: bytes) -> Iterator[str]:
    """What base64 makes of `data` after any number of other bytes: without the characters that it shares with them."""
    for before in range(3):
        text = b64encode(bytes(before) + data).decode()
        core = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield "".join(_BASE64.get(character, character) for character in core)
