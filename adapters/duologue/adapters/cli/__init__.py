"""The ``duologue`` command."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]

#: What a shell gives for a command that Ctrl-C ended.
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its status.

    0 is success, 1 an error said in one line on standard error, 2 wrong usage,
    130 an interruption by Ctrl-C, 143 one by SIGTERM.
    """
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        # Files of the user's were dealt with where they are opened: this is our own
        # output that nobody takes. What is left in its buffer must not be tried again.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"duologue: standard output: {error.strerror or error}")
        sys.exit(1)


def _run() -> None:
    from duologue.core.errors import DuologueError

    from .shared.escape import plain

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a locale cannot show is shown as such, not as an error.
            stream.reconfigure(errors="replace")
    try:
        from .app import app

        app()
        sys.stdout.flush()
    except DuologueError as error:
        # Some of it can be what a service said.
        sys.exit(f"duologue: {' '.join(plain(str(error)).split())}")
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("duologue: the command line needs pip install 'duologue[cli]'")
