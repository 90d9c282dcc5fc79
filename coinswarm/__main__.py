"""The entry point of `coinswarm` and `python -m coinswarm`: the process around the command line."""

from __future__ import annotations

import io
import os
import sys
import threading

from coinswarm.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TERMINATED


def main() -> None:
    _prepare_streams()
    try:
        from coinswarm.cli import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    code = _flushed(code)
    if code in (EXIT_INTERRUPTED, EXIT_TERMINATED) and threading.active_count() > 1:
        os._exit(code)  # stopped at once: Python would wait for the requests of threads that were left behind
    sys.exit(code)


def _prepare_streams() -> None:
    """A stream that is closed (`>&-`) swallows what it gets; characters that its encoding lacks are shown escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  # lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    """Help and version are still to be written; that nobody reads them is no error."""
    try:
        sys.stdout.flush()
    except OSError as error:
        from coinswarm import render

        render.discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            render.warn(f"the output could not be written: {error.strerror}")
            return code or EXIT_FAILED
    return code


if __name__ == "__main__":
    main()
