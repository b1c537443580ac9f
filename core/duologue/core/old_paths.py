"""Module paths of version 0.1: an import of one returns the module at its new path."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["redirect"]


class _Redirect:
    """A finder and loader. Not derived from `importlib.abc`, which imports `random`."""

    def __init__(self, new_paths: Mapping[str, str]) -> None:
        self._new_paths = new_paths
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._new_paths:
            return None
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._new_paths[spec.name])
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just replaced the spec of the module.
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)


def redirect(package: str, table: str) -> None:
    """Make modules of ``package`` importable by their old paths.

    ``table`` has entries ``old=new``, separated by spaces; both paths are relative to
    the package.
    """
    new_paths: dict[str, str] = {}
    for entry in table.split():
        old, new = (f"{package}.{path}" for path in entry.split("="))
        if old.removeprefix(f"{package}.") in vars(sys.modules[package]):
            # An import by the old path would replace a public name of the package.
            sys.modules[old] = import_module(new)
        else:
            new_paths[old] = new
    sys.meta_path.append(_Redirect(new_paths))
