"""The ``duologue`` command."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]

#: The exit status after Ctrl-C.
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its status.

    The status is 0 for success, 1 for an error (one line on standard error), 2 for
    wrong usage, 130 after Ctrl-C and 143 after SIGTERM.
    """
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        # Errors of the user's files are handled where the files are opened, so this
        # is standard output. Redirect it, because Python flushes it again at exit.
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"duologue: standard output: {error.strerror or error}")
        sys.exit(1)


def _run() -> None:
    from duologue.core.errors import DuologueError

    from .shared.control_characters import strip_controls

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Replace characters that the locale cannot encode instead of raising.
            stream.reconfigure(errors="replace")
    try:
        from .app import app

        app()
        sys.stdout.flush()
    except DuologueError as error:
        # The message may quote the service.
        sys.exit(f"duologue: {' '.join(strip_controls(str(error)).split())}")
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("duologue: the command line needs pip install 'duologue[cli]'")
