"""The entry point of `coinswarm` and `python -m coinswarm`."""

from __future__ import annotations

import sys

from coinswarm.cli import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
