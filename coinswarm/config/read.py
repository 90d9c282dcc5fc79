"""Files → tables: bytes are checked, decoded and parsed, and every failure says where."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any, Final

from coinswarm.config.diagnostics import Diagnostics

FILE_BYTES: Final = 1_000_000
"""A larger file is no configuration."""

Table = dict[str, Any]


def label(path: Path, cwd: Path) -> str:
    """How messages call a file: relative to the working directory where it lies below it."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def present(path: Path) -> bool:
    """Whether something of this name is there, be it a dangling link; what cannot be looked at counts as absent."""
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def read_table(path: Path, where: str, diagnostics: Diagnostics) -> Table | None:
    """The table a .toml, .json or .jsonc file holds; None when it cannot be had, which is then a fault."""
    parsers = {".toml": _toml, ".json": _jsonc, ".jsonc": _jsonc}
    parser = parsers.get(path.suffix.lower())
    if parser is None:
        diagnostics.fault(where, "the name must end in .toml, .json or .jsonc, which tells the format")
        return None
    text = read_text(path, where, diagnostics)
    return None if text is None else parser(text, where, diagnostics)


def parse_table(path: Path, text: str) -> Table | None:
    """The table that `text` would be as the content of `path`; None when it would not be one."""
    return (_toml if path.suffix.lower() == ".toml" else _jsonc)(text, path.name, Diagnostics())


def read_text(path: Path, where: str, diagnostics: Diagnostics) -> str | None:
    """The text of a UTF-8 file; None when it cannot be had, which is then a fault."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            diagnostics.fault(where, "is a directory, not a file")
            return None
        if not stat.S_ISREG(status.st_mode):
            diagnostics.fault(where, "is not a regular file")
            return None
        if status.st_size > FILE_BYTES:
            diagnostics.fault(
                where, f"is too large for a configuration: {status.st_size:,} bytes, {FILE_BYTES:,} at most"
            )
            return None
        data = path.read_bytes()
    except FileNotFoundError:
        diagnostics.fault(where, "does not exist")
        return None
    except OSError as error:
        diagnostics.fault(where, f"cannot be read: {error.strerror or error}")
        return None
    except ValueError as error:  # a NUL in the name
        diagnostics.fault(where, f"is not a file name: {error}")
        return None
    return _decoded(data, where, diagnostics)


def _decoded(data: bytes, where: str, diagnostics: Diagnostics) -> str | None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        diagnostics.fault(where, "is UTF-16 or UTF-32; save it as UTF-8")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        diagnostics.fault(where, f"is not UTF-8: byte 0x{data[error.start]:02x} (at line {line}, column {column})")
        return None


def _toml(text: str, where: str, diagnostics: Diagnostics) -> Table | None:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        diagnostics.fault(where, "is nested too deeply")
    except ValueError as error:  # TOMLDecodeError, which names line and column, or a number beyond reason
        diagnostics.fault(where, f"is not valid TOML: {error}")
    return None


_JSON_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\[{]\s*,|,(?=\s*[}\]])', re.DOTALL)
"""Also strings and a comma with nothing before it, both of which stay."""
_NOT_A_LINE_BREAK = re.compile(r"[^\n]")


def _jsonc(text: str, where: str, diagnostics: Diagnostics) -> Table | None:
    """JSON with comments and trailing commas, the dialect wrangler reads, and nothing more lenient.

    Both are blanked out in place, so that the standard parser's line and column are the file's own.
    """
    import json

    repeated: list[str] = []

    def table(pairs: list[tuple[str, Any]]) -> Table:
        result = dict(pairs)
        if len(result) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.extend(name for name in result if names.count(name) > 1)
        return result

    plain = _JSON_TOKEN.sub(lambda m: m[0] if m[0][0] == '"' else _NOT_A_LINE_BREAK.sub(" ", m[0]), text)
    plain = _TRAILING_COMMA.sub(lambda m: " " if m[0] == "," else m[0], plain)
    try:
        value = json.loads(plain, object_pairs_hook=table, parse_constant=_no_constant)
    except RecursionError:
        diagnostics.fault(where, "is nested too deeply")
        return None
    except json.JSONDecodeError as error:
        diagnostics.fault(where, f"is not valid JSON: {error.msg} (at line {error.lineno}, column {error.colno})")
        return None
    except ValueError as error:
        diagnostics.fault(where, f"is not valid JSON: {error}")
        return None
    for name in repeated:
        diagnostics.warn(where, f'"{name}" stands twice in one object; the last one counts')
    if not isinstance(value, dict):
        diagnostics.fault(where, f"should hold an object, not {_kind(value)}")
        return None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _kind(value: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")


_DOTENV_LINE = re.compile(
    r"""^\s*(?:export\s+)?(?P<name>[A-Za-z0-9_.-]+)
        (?:\s*=|:\s)
        (?P<value>
            \s*'(?:\\'|[^'])*' | \s*"(?:\\"|[^"])*" | \s*`(?:\\`|[^`])*`
          | [^#\n]+ |
        )
        \s*(?:\#.*)?$""",
    re.VERBOSE | re.MULTILINE,
)


def parse_dotenv(text: str) -> tuple[dict[str, str], list[int]]:
    """Variables of a `.dev.vars` file, read as the npm package dotenv does for wrangler, and the lines that hold none.

    Quotes (' " `) may span lines; only double ones expand \\n and \\r; a # after an unquoted value starts a comment;
    `export` is allowed. The last value of a name counts. https://github.com/motdotla/dotenv#what-rules-does-the-parsing-engine-follow
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    values: dict[str, str] = {}
    rest = list(text)
    for match in _DOTENV_LINE.finditer(text):
        raw = match["value"].strip()
        quote = raw[:1]
        if len(raw) >= 2 and quote in "'\"`" and raw.endswith(quote):
            raw = raw[1:-1]
        if quote == '"':  # an opening one is enough, as in dotenv
            raw = raw.replace("\\n", "\n").replace("\\r", "\r")
        values[match["name"]] = raw
        rest[match.start() : match.end()] = ["\n" if c == "\n" else " " for c in match[0]]
    unread = [
        number
        for number, line in enumerate("".join(rest).split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return values, unread
