"""wrangler.toml / .json / .jsonc, `.dev.vars`, coinswarm.toml and the environment → one frozen `Stack`.

Flags win over the environment, the environment over `.dev.vars`, that over the files, those over the defaults. All of
it is settled here, once; whatever is wrong is told at once, in one `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from coinswarm.config.alerts import WEBHOOK_VARIABLE, AlertSettings, with_webhook
from coinswarm.config.coinswarm_file import read_coinswarm_file
from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.environment import read_dev_vars, read_environment
from coinswarm.config.masking import Secret, Vars
from coinswarm.config.merge import (
    check_consumers,
    check_crons,
    merge_account_id,
    merge_databases,
    merge_vars,
    merge_workers,
)
from coinswarm.config.plan import Plan
from coinswarm.config.read import label, present, read_table
from coinswarm.config.stack import (
    API_BASE_URL,
    BUILT_IN,
    SOURCES,
    Consumer,
    Cron,
    D1Database,
    FetchDefaults,
    Producer,
    Stack,
)
from coinswarm.config.wrangler import WranglerFile, interpret

__all__ = [
    "API_BASE_URL",
    "SOURCES",
    "AlertSettings",
    "Consumer",
    "Cron",
    "D1Database",
    "FetchDefaults",
    "Plan",
    "Producer",
    "Secret",
    "Stack",
    "Vars",
    "load",
]

WRANGLER_FILES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
"""The order in which wrangler looks for its file."""
STATE_DIR = Path(".wrangler") / "state"
TEMPLATES = Path(__file__).parent.parent / "templates"
"""What `init` writes; the built-in stack is the very wrangler.toml that lies there."""


def load(
    files: Iterable[Path | str] = (),
    *,
    env_name: str | None = None,
    cwd: Path,
    environ: Mapping[str, str],
    persist_to: Path | None = None,
) -> Stack:
    """The stack that these wrangler files describe together.

    Without `files`, the wrangler file in `cwd`; without one there, the built-in stack. `env_name` chooses an
    environment as in wrangler (default: CLOUDFLARE_ENV). `persist_to` is relative to `cwd`; its default lies beside
    the first file.
    Raises `ConfigError`, whose message lists every fault with file and key.
    """
    diagnostics = Diagnostics()
    cwd = cwd.absolute()
    env_name = env_name or environ.get("CLOUDFLARE_ENV") or None
    paths = _paths(files, cwd, diagnostics)
    workers = _workers(paths, cwd, env_name, diagnostics)
    folders = list(dict.fromkeys(path.parent for path in paths)) or [cwd]

    dev_vars = read_dev_vars(folders, env_name, cwd, diagnostics)
    file_vars = merge_vars(workers, {})
    around = read_environment(environ, dev_vars, file_vars, merge_account_id(workers, diagnostics), diagnostics)
    databases = merge_databases(workers, cwd, diagnostics)
    consumers = check_consumers(workers, diagnostics)
    check_crons(workers, diagnostics)
    own = read_coinswarm_file(folders, cwd, diagnostics)
    webhook = environ.get(WEBHOOK_VARIABLE) or dev_vars.get(WEBHOOK_VARIABLE)
    alerts = with_webhook(own.alerts, webhook, diagnostics)
    state_dir = _state_dir(persist_to, cwd, folders[0], diagnostics)
    diagnostics.raise_if_faulty()
    return Stack(
        databases=databases,
        producers=tuple(producer for worker in workers for producer in worker.producers),
        consumers=consumers,
        crons=tuple(cron for worker in workers for cron in worker.crons),
        workers=merge_workers(workers),
        vars=merge_vars(workers, dev_vars),
        state_dir=state_dir,
        account_id=around.account_id,
        api_token=around.api_token,
        api_base_url=around.api_base_url,
        api_keys=around.api_keys,
        source_urls=around.source_urls,
        fetch=own.fetch,
        plan=own.plan,
        alerts=alerts,
        time_travel_days=own.time_travel_days,
        env_name=env_name,
        files=tuple(paths),
        warnings=tuple(diagnostics.warnings),
    )


def _paths(files: Iterable[Path | str], cwd: Path, diagnostics: Diagnostics) -> list[Path]:
    given = [cwd / Path(file).expanduser() for file in files]
    if given:
        for path in {path for path in given if given.count(path) > 1}:
            diagnostics.warn(label(path, cwd), "is given twice and read once")
        return list(dict.fromkeys(given))
    here = [cwd / name for name in WRANGLER_FILES if present(cwd / name)]
    for path in here[1:]:
        diagnostics.warn(path.name, f"is ignored: wrangler reads {here[0].name}, and so does coinswarm")
    return here[:1]


def _workers(paths: list[Path], cwd: Path, env_name: str | None, diagnostics: Diagnostics) -> list[WranglerFile]:
    if not paths:
        table = read_table(TEMPLATES / "wrangler.toml", BUILT_IN, diagnostics)
        return [interpret(table or {}, None, BUILT_IN, env_name, diagnostics)]
    workers = []
    for path in paths:
        where = label(path, cwd)
        table = read_table(path, where, diagnostics)
        if table is None:
            continue
        if not table:
            diagnostics.fault(where, "is empty: it configures nothing")
            continue
        workers.append(interpret(table, path, where, env_name, diagnostics))
    return workers


def _state_dir(persist_to: Path | None, cwd: Path, beside: Path, diagnostics: Diagnostics) -> Path:
    if persist_to is None:
        return beside / STATE_DIR
    chosen = cwd / persist_to.expanduser()
    if present(chosen) and not chosen.is_dir():
        diagnostics.fault(f"--persist-to {persist_to}", "is not a directory")
    return chosen
