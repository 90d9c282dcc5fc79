"""The process environment and `.dev.vars`: accounts, tokens, keys and URLs. Values are checked, never repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.masking import Secret, is_placeholder
from coinswarm.config.read import label, parse_dotenv, present, read_text
from coinswarm.config.stack import API_BASE_URL, SOURCES

API_KEY_NAMES: Final = {
    "cryptocompare": ("CRYPTOCOMPARE_API_KEY",),
    "coingecko": ("COINGECKO_API_KEY", "COINGECKO"),
}
"""Where a source's key may stand; the second name is the original Workers'."""
OLD_NAMES: Final = {
    "CLOUDFLARE_API_TOKEN": "CF_API_TOKEN",
    "CLOUDFLARE_ACCOUNT_ID": "CF_ACCOUNT_ID",
    "CLOUDFLARE_API_BASE_URL": "CF_API_BASE_URL",
}
"""Deprecated names that wrangler still reads."""
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the environment and `.dev.vars` settle."""

    account_id: str | None
    api_token: Secret | None
    api_base_url: str
    api_keys: Mapping[str, Secret]
    source_urls: Mapping[str, str]


def read_dev_vars(folders: list[Path], env_name: str | None, cwd: Path, diagnostics: Diagnostics) -> dict[str, str]:
    """`.dev.vars` beside the wrangler files, or `.dev.vars.NAME` where that exists for `--env NAME`, as in wrangler."""
    values: dict[str, str] = {}
    for folder in folders:
        candidates = [folder / f".dev.vars.{env_name}"] if env_name else []
        candidates.append(folder / ".dev.vars")
        path = next((p for p in candidates if present(p)), None)
        if path is None:
            continue
        where = label(path, cwd)
        text = read_text(path, where, diagnostics)
        if text is None:
            continue
        found, unread = parse_dotenv(text)
        for line in unread:
            diagnostics.warn(where, f"line {line} is not NAME=value and is ignored")
        values = found | values
    return values


def read_environment(
    environ: Mapping[str, str],
    dev_vars: Mapping[str, str],
    file_vars: Mapping[str, Any],
    account_id: str | None,
    diagnostics: Diagnostics,
) -> Surroundings:
    """Settle each value: the environment wins over `.dev.vars`, which wins over what the wrangler files say."""
    lookup = _Lookup(environ, dev_vars, file_vars, diagnostics)
    token = lookup.secret("CLOUDFLARE_API_TOKEN")
    account = lookup.text("CLOUDFLARE_ACCOUNT_ID")
    if account and account_id and account != account_id:
        diagnostics.warn(
            "CLOUDFLARE_ACCOUNT_ID",
            f"names another account than account_id in the wrangler file ({account_id}), and wins",
        )
    keys = {}
    for source, names in API_KEY_NAMES.items():
        key = next((k for name in names if (k := lookup.secret(name, in_files=True))), None)
        if key is not None:
            keys[source] = key
    urls = {source: url for source in SOURCES if (url := lookup.url(f"COINSWARM_{source.upper()}_URL"))}
    base = lookup.url("CLOUDFLARE_API_BASE_URL") or API_BASE_URL
    _check_api_base(base, token, diagnostics)
    return Surroundings(account or account_id, token, base, MappingProxyType(keys), MappingProxyType(urls))


def _check_api_base(base: str, token: Secret | None, diagnostics: Diagnostics) -> None:
    parts = urlsplit(base)
    if not parts.path.endswith("/client/v4"):
        diagnostics.warn("CLOUDFLARE_API_BASE_URL", "does not end in /client/v4, where Cloudflare's API lies")
    if token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        diagnostics.warn("CLOUDFLARE_API_BASE_URL", "is not https: the API token would travel readable")


@dataclass(frozen=True, slots=True)
class _Lookup:
    environ: Mapping[str, str]
    dev_vars: Mapping[str, str]
    file_vars: Mapping[str, Any]
    diagnostics: Diagnostics

    def text(self, name: str, *, in_files: bool = False) -> str | None:
        """The value, without spaces around it. Empty ones and placeholders count as not set."""
        old = OLD_NAMES.get(name, "")
        for place, values in (("", self.environ), (".dev.vars: ", self.dev_vars)):
            for spelling in (name, old):
                value = (values.get(spelling) or "").strip()
                if not value:
                    continue
                if is_placeholder(value):
                    self.diagnostics.warn(f"{place}{spelling}", "holds a placeholder and is ignored")
                    continue
                if spelling == old:
                    self.diagnostics.warn(f"{place}{old}", f"is deprecated; please use {name} instead")
                return value
        in_file = self.file_vars.get(name) if in_files else None
        return in_file.strip() or None if isinstance(in_file, str) and not is_placeholder(in_file) else None

    def secret(self, name: str, *, in_files: bool = False) -> Secret | None:
        value = self.text(name, in_files=in_files)
        if value is None:
            return None
        if not (value.isascii() and value.isprintable()) or " " in value:
            self.diagnostics.fault(name, "holds a space, a line break or another character that no key has")
            return None
        return Secret(value)

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is None:
            return None
        problem = url_problem(value)
        if problem:
            self.diagnostics.fault(name, problem)
            return None
        return value.rstrip("/")


def url_problem(url: str) -> str | None:
    """Why this is not the base of an HTTP API, or None. The text never repeats the URL: it may hold a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL: the host or port cannot be read"
    if not url.isprintable() or " " in url:
        return "must not hold spaces or control characters"
    if parts.scheme not in ("http", "https"):
        return "must be a URL that begins with http:// or https://"
    if not parts.hostname or port == 0:
        return "must name a host, as in http://127.0.0.1:8787"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password; keys belong into their own variables"
    if "?" in url or "#" in url:
        return "must not have a query or a fragment; the documented path is appended to it"
    return None
