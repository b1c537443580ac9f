"""Import of a user's object that an option names as ``module:object``."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from duologue.core.errors import DuologueError

__all__ = ["import_object"]


def import_object(option: str, name: str) -> Any:
    """Import the object that ``module:object`` names; ``object`` may have dots.

    The current folder is searched first. Raises a `DuologueError` that names the
    option if the import fails or the object does not exist.
    """
    module, colon, path = name.partition(":")
    if not colon or not module or not path:
        raise DuologueError(f"{option} {name}: must be module:object")
    found = _import(module, f"{option} {name}")
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            message = f"{option} {name}: there is no {part} in {module}"
            raise DuologueError(message) from None
    return found


def _import(module: str, option: str) -> Any:
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except Exception as error:
        # The user's module may raise anything.
        why = f"{type(error).__name__}: {error}"
        raise DuologueError(f"{option}: cannot be imported: {why}") from error
