"""``module:object`` on the command line: something of the user's own."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from duologue.core.errors import DuologueError

__all__ = ["imported"]


def imported(option: str, name: str) -> Any:
    """The object that ``module:object`` names; the object may have dots.

    The module is looked for in the current folder first. Raises a `DuologueError`
    that names the option, where it cannot be imported or has no such object.
    """
    module, colon, path = name.partition(":")
    if not colon or not module or not path:
        raise DuologueError(f"{option} {name}: it must be module:object")
    found = _module(module, f"{option} {name}")
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            said = f"{option} {name}: there is no {part} in {module}"
            raise DuologueError(said) from None
    return found


def _module(module: str, where: str) -> Any:
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except Exception as error:
        # It is the user's code: whatever it raises is said in one line.
        why = f"{type(error).__name__}: {error}"
        raise DuologueError(f"{where}: cannot be imported: {why}") from error
