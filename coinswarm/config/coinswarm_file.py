"""coinswarm.toml: what wrangler has no key for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coinswarm.config.alerts import AlertSettings, read_alerts
from coinswarm.config.diagnostics import Diagnostics
from coinswarm.config.masking import shown
from coinswarm.config.plan import Plan
from coinswarm.config.plan_file import read_plan
from coinswarm.config.read import label, present, read_table
from coinswarm.config.stack import SOURCES, TIME_TRAVEL_DAYS, FetchDefaults
from coinswarm.errors import UsageError

FILE_NAME: Final = "coinswarm.toml"
SECTIONS: Final = ("fetch", "plan", "time_travel", "alerts")
FETCH_KEYS: Final = ("pair", "source", "timeframe", "limit")


@dataclass(frozen=True, slots=True)
class CoinswarmFile:
    """What it says, section by section; what it leaves out is the default."""

    fetch: FetchDefaults = field(default_factory=FetchDefaults)
    plan: Plan = field(default_factory=Plan)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    time_travel_days: int = TIME_TRAVEL_DAYS


def read_coinswarm_file(folders: list[Path], cwd: Path, diagnostics: Diagnostics) -> CoinswarmFile:
    """The first coinswarm.toml beside a wrangler file; a second one is warned about and ignored."""
    paths = [folder / FILE_NAME for folder in folders if present(folder / FILE_NAME)]
    if not paths:
        return CoinswarmFile()
    where = label(paths[0], cwd)
    for path in paths[1:]:
        diagnostics.warn(label(path, cwd), f"is ignored: {where} is read")
    table = read_table(paths[0], where, diagnostics)
    if table is None:
        return CoinswarmFile()
    diagnostics.unexpected(where, "top-level", table, SECTIONS)
    return CoinswarmFile(
        fetch=_fetch(table.get("fetch", {}), where, diagnostics),
        plan=read_plan(table.get("plan", {}), where, diagnostics),
        alerts=read_alerts(table.get("alerts", {}), where, diagnostics),
        time_travel_days=_days(table.get("time_travel", {}), where, diagnostics),
    )


def _days(section: Any, where: str, diagnostics: Diagnostics) -> int:
    if not isinstance(section, dict):
        diagnostics.fault(where, f'The field "time_travel" should be an object but got {shown(section)}.')
        return TIME_TRAVEL_DAYS
    diagnostics.unexpected(where, "time_travel", section, ("days",))
    days = section.get("days", TIME_TRAVEL_DAYS)
    if problem := _limit_problem(days):
        diagnostics.fault(where, f"time_travel.days {problem}, got {shown(days)}")
        return TIME_TRAVEL_DAYS
    return days if isinstance(days, int) else TIME_TRAVEL_DAYS


def _fetch(fetch: Any, where: str, diagnostics: Diagnostics) -> FetchDefaults:
    if not isinstance(fetch, dict):
        diagnostics.fault(where, f'The field "fetch" should be an object but got {shown(fetch)}.')
        return FetchDefaults()
    diagnostics.unexpected(where, "fetch", fetch, FETCH_KEYS)
    return FetchDefaults(**{k: v for k, v in fetch.items() if k in FETCH_KEYS and _is_sound(k, v, where, diagnostics)})


def _is_sound(key: str, value: Any, where: str, diagnostics: Diagnostics) -> bool:
    problem = _limit_problem(value) if key == "limit" else _word_problem(key, value)
    if problem:
        diagnostics.fault(where, f"fetch.{key} {problem}, got {shown(value)}")
    return problem is None


def _limit_problem(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return "must be a whole number above 0"
    return None


def _word_problem(key: str, value: object) -> str | None:
    from coinswarm.candles import Pair, Timeframe

    if not isinstance(value, str):
        return "must be a string"
    if key == "source":
        return None if value in SOURCES else f"must be one of {', '.join(SOURCES)}"
    try:
        if key == "pair":
            Pair.parse(value)
        else:
            Timeframe.parse(value)
    except UsageError:
        if key == "pair":
            return "must be a pair such as BTC-USDC"
        return f"must be one of {', '.join(timeframe.value for timeframe in Timeframe)}"
    return None
