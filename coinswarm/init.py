"""`coinswarm init`: the files a project starts from. What exists is never overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coinswarm.automation import Service, units, workflows
from coinswarm.config import TEMPLATES, WRANGLER_FILES, load
from coinswarm.d1.migrate import bundled_migrations, migrations_in
from coinswarm.errors import UsageError
from coinswarm.storage import translated

GITIGNORE: Final = (".wrangler/", ".dev.vars*")
"""Local state, and secrets: neither is committed."""
_IGNORED_AS: Final = {
    ".wrangler/": (".wrangler", ".wrangler/", "/.wrangler", "/.wrangler/"),
    ".dev.vars*": (".dev.vars", ".dev.vars*", "/.dev.vars", "/.dev.vars*"),
}


@dataclass(frozen=True, slots=True)
class InitReport:
    """What was written, and what was there already and left alone; paths as the caller gave the folder."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        return {"written": [str(path) for path in self.written], "kept": [str(path) for path in self.kept]}


def init(folder: Path, *, github: bool = False, service: Service | None = None) -> InitReport:
    """Write wrangler.toml, coinswarm.toml, migrations/ and lines of .gitignore into `folder`, which is made if need be.

    `github` adds workflows that deploy and collect, `service` units for systemd; both for what the folder's wrangler
    file says. Raises `UsageError` when `folder` is a file or one of its parts leads out of it, `ConfigError` when the
    wrangler file has faults, `StorageError` when something cannot be written.
    """
    with translated(folder):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file", hint="Name a folder: coinswarm init DIR")
        folder.mkdir(parents=True, exist_ok=True)
        starter = _Starter(folder)
        taken = next((folder / name for name in WRANGLER_FILES if (folder / name).exists()), None)
        if taken is None:
            starter.write(folder / "wrangler.toml", (TEMPLATES / "wrangler.toml").read_bytes())
        else:
            starter.kept.append(taken)
        starter.write(folder / "coinswarm.toml", (TEMPLATES / "coinswarm.toml").read_bytes())
        starter.write_migrations(folder / "migrations")
        starter.ignore(folder / ".gitignore")
        if github or service:
            stack = load(cwd=folder, environ={})
            files = (workflows(stack) if github else {}) | (units(stack, folder, service) if service else {})
            for path, content in files.items():
                starter.write(folder / path, content)
    return InitReport(tuple(starter.written), tuple(starter.kept))


class _Starter:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[Path] = []
        self.kept: list[Path] = []

    def write(self, path: Path, content: bytes) -> None:
        """Create `path` unless something of that name exists, be it a dangling link."""
        self._stay_inside(path.parent)
        if path.exists() or path.is_symlink():
            self.kept.append(path)
            return
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                try:
                    file.write(content)
                    file.flush()
                except BaseException:
                    path.unlink(missing_ok=True)  # half a file would be kept as if it were somebody's work
                    raise
        self.written.append(path)

    def write_migrations(self, folder: Path) -> None:
        """The bundled migrations, unless the folder holds others: two series of numbers cannot be mixed."""
        self._stay_inside(folder)
        bundled = {migration.name: migration.sql() for migration in migrations_in(bundled_migrations())}
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file", hint="Move it away: migrations belong into a folder of that name.")
        present = {path.name for path in folder.glob("*.sql")} if folder.exists() else set()
        if present - bundled.keys():
            self.kept.append(folder)
            return
        for name, sql in bundled.items():
            self.write(folder / name, sql.encode())

    def ignore(self, path: Path) -> None:
        """Add the lines that .gitignore lacks; its own are left as they are."""
        if path.is_symlink():
            self._stay_inside(path)
        with translated(path):
            text = path.read_bytes() if path.exists() else b""
            lines = {line.strip() for line in text.decode("utf-8", "replace").splitlines()}
            missing = [entry for entry in GITIGNORE if lines.isdisjoint(_IGNORED_AS[entry])]
            if not missing:
                self.kept.append(path)
                return
            separator = b"" if not text or text.endswith(b"\n") else b"\n"
            with path.open("ab") as file:
                file.write(separator + "".join(f"{entry}\n" for entry in missing).encode())
        self.written.append(path)

    def _stay_inside(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise UsageError(
                f"{path} leads out of {self.folder}", hint="It is a link; remove it, or choose another folder."
            )
