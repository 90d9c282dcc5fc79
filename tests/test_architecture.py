"""The structure of docs/architecture.md, held against the imports: one direction, no circles."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "coinswarm"

FLOORS = {
    "coinswarm": 0,
    "coinswarm.errors": 0,
    "coinswarm.clock": 0,
    "coinswarm.limits": 0,
    "coinswarm.pricing": 0,
    "coinswarm.interrupt": 0,
    "coinswarm.failpoints": 0,
    "coinswarm.new_file": 0,
    "coinswarm.candles": 1,
    "coinswarm.storage": 1,
    "coinswarm.queue.types": 1,
    "coinswarm.d1.types": 1,
    "coinswarm.cron.fields": 1,
    "coinswarm.cron.schedule": 1,
    "coinswarm.payload": 2,
    "coinswarm.config": 2,
    "coinswarm.transport": 2,
    "coinswarm.log": 2,
    "coinswarm.envelope": 1,
    "coinswarm.cloudflare": 2,
    "coinswarm.cloudflare_account": 3,
    "coinswarm.fetchers.base": 2,
    "coinswarm.fetchers": 3,
    "coinswarm.queue": 3,
    "coinswarm.d1": 3,
    "coinswarm.consumer": 3,
    "coinswarm.fetchers.producer": 4,
    "coinswarm.consumer.worker": 4,
    "coinswarm.dead_letters": 4,
    "coinswarm.simulator": 4,
    "coinswarm.automation": 4,
    "coinswarm.init": 4,
    "coinswarm.server": 4,
    "coinswarm.status": 4,
    "coinswarm.alerts": 4,
    "coinswarm.fsck": 4,
    "coinswarm.cost": 4,
    "coinswarm.collecting": 4,
    "coinswarm.cron": 4,
    "coinswarm.wiring": 5,
    "coinswarm.dev": 5,
    "coinswarm.watching": 5,
    "coinswarm.upkeep": 5,
    "coinswarm.render": 5,
    "coinswarm.demo": 5,
    "coinswarm.chaos": 5,
    "coinswarm.verify": 5,
    "coinswarm.doctor": 5,
    "coinswarm.commands": 6,
    "coinswarm.cli": 6,
    "coinswarm.__main__": 6,
}
"""The floor of a module, or of everything below it that is not named itself."""


def module_name(path: Path) -> str:
    parts = ("coinswarm", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """Every coinswarm module that `path` imports, inside functions too; type-checking imports count as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "coinswarm"}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "coinswarm":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def floor(module: str) -> int:
    name = module
    while name not in FLOORS or (name == "coinswarm" and module != "coinswarm"):
        assert "." in name, f"{module} has no floor: add it to FLOORS and to docs/architecture.md"
        name = name.rpartition(".")[0]
    return FLOORS[name]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_own_floor_or_lower_ones(module: str) -> None:
    upwards = {target for target in imports(MODULES[module]) if floor(target) > floor(module)}
    assert upwards == set()


def test_no_imports_go_round_in_a_circle() -> None:
    graph = {module: imports(path) - {module, module.rpartition(".")[0]} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def test_the_queue_knows_nothing_of_candles_and_d1_nothing_of_queues() -> None:
    for module, path in MODULES.items():
        targets = imports(path)
        if module.startswith("coinswarm.queue"):
            assert not {t for t in targets if t.startswith(("coinswarm.candles", "coinswarm.payload", "coinswarm.d1"))}
        if module.startswith("coinswarm.d1"):
            assert not {t for t in targets if t.startswith("coinswarm.queue")}


def test_only_render_imports_rich_and_only_storage_opens_sqlite_files() -> None:
    for module, path in MODULES.items():
        text = path.read_text()
        if module != "coinswarm.render":
            assert "import rich" not in text, module
            assert "from rich" not in text, module
        if module != "coinswarm.storage":
            assert "sqlite3.connect(" not in text, module


def test_only_the_command_line_reads_the_environment() -> None:
    readers = {module for module, path in MODULES.items() if "os.environ" in path.read_text()}
    assert {r for r in readers if not r.startswith(("coinswarm.commands", "coinswarm.cli"))} == set()


def test_no_module_is_longer_than_a_person_can_hold() -> None:
    assert {module: n for module, path in MODULES.items() if (n := path.read_text().count("\n")) > 300} == {}
