"""All benchmarks one after the other: `python -m benchmarks`. Each can be run alone: `python -m benchmarks.queue`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HELPERS = {"__init__", "__main__", "results"}


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__).parse_args()
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in HELPERS)
    failed = []
    for name in names:
        print(f"\n== {name} ==", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
