"""How instant `coinswarm --help` feels, beside the `--help` of a three-line Typer app.

python -m benchmarks.startup [--runs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import save

TINY = "import typer\n\n\ndef main(name: str) -> None:\n    print(name)\n\n\ntyper.run(main)\n"


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder) / "tiny.py"
        tiny.write_text(TINY)
        ours = [str(Path(sys.executable).with_name("coinswarm")), "--help"]
        theirs = [sys.executable, str(tiny), "--help"]
        seconds(ours), seconds(theirs)  # warm the file cache
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs)]
    mine, tinys = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"coinswarm --help {mine * 1000:.0f} ms, three-line Typer app {tinys * 1000:.0f} ms, ratio {ratio:.2f}")
    save(
        "startup",
        {
            "coinswarm_ms": mine * 1000,
            "three_line_typer_app_ms": tinys * 1000,
            "ratio": ratio,
            "target": "ratio <= 1.2",
        },
    )


if __name__ == "__main__":
    main()
