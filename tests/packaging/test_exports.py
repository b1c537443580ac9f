"""`__all__` of every public module matches its definitions."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
ROOTS = ("core", "transports", "local", "adapters")


def public_modules() -> list[str]:
    names = []
    for root in ROOTS:
        for path in sorted((TOP / root).rglob("*.py")):
            parts = path.relative_to(TOP / root).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            if not any(part.startswith("_") for part in name.split(".")):
                names.append(name)
    return names


@pytest.mark.parametrize("name", public_modules())
def test_what_a_module_exports_is_there_and_named_once(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(exported) == len(set(exported))
    assert [word for word in exported if not hasattr(module, word)] == []


@pytest.mark.parametrize("name", public_modules())
def test_a_public_module_says_what_it_exports(name: str) -> None:
    """A module with definitions has `__all__`; other names are private."""
    module = importlib.import_module(name)
    defined = [
        word
        for word, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    ]
    assert hasattr(module, "__all__") or not defined


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_is_a_typed_package_in_a_namespace(root: str) -> None:
    """An ``__init__.py`` in the namespace would hide the other roots."""
    assert not (TOP / root / "duologue" / "__init__.py").exists()
    assert (TOP / root / "duologue" / root / "__init__.py").exists()
    assert (TOP / root / "duologue" / root / "py.typed").exists()
