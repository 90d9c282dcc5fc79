"""What must not be seen: secrets, text that looks like one, and placeholders somebody forgot to replace.

Secrets as an encoding disguises them are in `disguises`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

MASK: Final = "********"
SHOWN_CHARACTERS: Final = 160
"""How much of a wrong value an error message repeats."""


class Secret:
    """Text that only `reveal` gives away: `repr`, `str`, formatting and pickling do not."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one header it belongs into."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, specification: str) -> str:
        return format(MASK, specification)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class Vars(Mapping[str, Any]):
    """Variables of a Worker by name. `repr` names them and shows no value: any of them may be a secret."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return "Vars(" + ", ".join(f"{name}={MASK}" for name in self._values) + ")"

    def __reduce__(self) -> NoReturn:
        raise TypeError("variables are not pickled: one of them may be a secret")


_SECRET_NAME = re.compile(
    r"(^|_|-)(api_?)?(key|token|pwd|passwd|auth|credentials?)$|secret|password|passphrase", re.IGNORECASE
)
_PUBLIC_NAME = re.compile(r"(^|_|-)(public|site|primary|sort|partition|cache|foreign)_?(api_?)?key$", re.IGNORECASE)
_WORKER_KEYS: Final = frozenset({"COINGECKO", "CRYPTOCOMPARE"})
"""Names under which the original Workers keep their API keys."""


def names_a_secret(name: str) -> bool:
    """Whether a variable called so holds a secret: `*_KEY`, `*_TOKEN`, `*SECRET*`, `*PASSWORD*` and the like."""
    return name in _WORKER_KEYS or bool(_SECRET_NAME.search(name) and not _PUBLIC_NAME.search(name))


_CREDENTIALS_IN_URL = re.compile(
    r"://[^/\s@]*:[^/\s@]+@|[?&](api_?key|key|token|secret|password)=[^&\s]", re.IGNORECASE
)
_PIECE = re.compile(r"[A-Za-z0-9]{20,}")


def looks_secret(text: str) -> bool:
    """Whether text looks like a key: a long run of letters and digits mixed, or a URL that carries credentials.

    UUIDs, dates, host names and lists of symbols have no such run.
    """
    if _CREDENTIALS_IN_URL.search(text):
        return True
    return any(_is_mixed(piece) for piece in _PIECE.findall(text))


def _is_mixed(piece: str) -> bool:
    digits = sum(c.isdigit() for c in piece)
    return 3 <= digits < len(piece) and len(set(piece)) >= 8


_PLACEHOLDER = re.compile(
    r"""^<.*>$ | ^\{\{.*\}\}$ | ^\$\{.*\}$ | ^\.{3}$
      | (^|[^a-z])your[_\- ]
      | (^|[^a-z])(replace|change)[_\- ]?(me|this|with)([^a-z]|$)
      | (^|[^a-z])placeholder([^a-z]|$)
      | ^(?-i:TODO|FIXME|TBD)\b
      | [_\- ]here$
      | (^|[^a-z])x{4,}([^a-z]|$)""",
    re.IGNORECASE | re.VERBOSE,
)


def is_placeholder(text: str) -> bool:
    """Whether text stands for something still to be filled in: `YOUR_D1_DATABASE_ID`, `<id>`, `xxxx`, `REPLACE_ME`."""
    return bool(_PLACEHOLDER.search(text.strip()))


def shown(value: object) -> str:
    """A wrong value as a message may repeat it: JSON, cut short, and without what looks like a secret."""
    text = json.dumps(_masked(value), ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _masked(value: object, name: str = "") -> object:
    if isinstance(value, dict):
        return {key: _masked(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, name) for item in value]
    if isinstance(value, str) and (looks_secret(value) or names_a_secret(name)):
        return MASK
    return value
