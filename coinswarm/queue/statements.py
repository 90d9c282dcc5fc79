"""SQL lives in `.sql` files beside the modules. A line `-- name: send` begins a statement."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_HEADER: Final = re.compile(r"^-- name: *(?P<name>\w+) *$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^ *--.*\n?", re.MULTILINE)


def load(file: str) -> dict[str, str]:
    """The statements of `file`, in its order, by name and without comments.

    Raises `ValueError` when two have the same name or SQL stands before the first header: a fault of the package.
    """
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    preamble, *parts = _HEADER.split(text)
    if _COMMENT.sub("", preamble).strip():
        raise ValueError(f"{file}: SQL before the first `-- name:` line")
    names = parts[::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{file}: two statements have the same name")
    return {name: _COMMENT.sub("", sql).strip().rstrip(";") for name, sql in zip(names, parts[1::2], strict=True)}
