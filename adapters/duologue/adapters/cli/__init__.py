"""The ``duologue`` command."""

from __future__ import annotations

import sys

from duologue.core.errors import DuologueError

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its status.

    0 is success, 1 an error said in one line on standard error, 2 wrong usage,
    130 an interruption by Ctrl-C.
    """
    try:
        from .app import app
    except DuologueError as error:
        sys.exit(f"duologue: {error}")
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("duologue: the command line needs pip install 'duologue[cli]'")
    try:
        app()
    except DuologueError as error:
        sys.exit(f"duologue: {_one_line(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
