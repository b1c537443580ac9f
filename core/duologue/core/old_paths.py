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


def redirect(package: str, new_paths: Mapping[str, str]) -> None:
    """Make modules of ``package`` importable by their old names; both are relative."""
    public = vars(sys.modules[package])
    absolute = {
        f"{package}.{old}": f"{package}.{new}" for old, new in new_paths.items()
    }
    for old in new_paths.keys() & public.keys():
        # An import by the old name would replace the public name of the package.
        name = f"{package}.{old}"
        sys.modules[name] = import_module(absolute.pop(name))
    sys.meta_path.append(_Redirect(absolute))
