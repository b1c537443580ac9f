"""Module paths of version 0.1 import the modules at their new paths."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

import pytest

import duologue.core
from duologue.core import old_paths
from duologue.core.effects import commands, reactions
from duologue.core.log import lines, record
from duologue.core.old_paths import redirect


@pytest.fixture
def finders() -> Iterator[None]:
    """Restores the finders and modules of the import system."""
    before, modules = list(sys.meta_path), set(sys.modules)
    yield
    sys.meta_path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_an_old_path_is_the_same_module() -> None:
    """Its spec stays that of the new path, so a reload finds the file."""
    old = importlib.import_module("duologue.core.commands")
    assert old is commands
    assert old.__spec__ is not None
    assert old.__spec__.name == "duologue.core.effects.commands"


def test_a_public_name_is_not_replaced() -> None:
    """`react` is a function of the core, and was a module too."""
    assert importlib.import_module("duologue.core.react") is reactions
    assert duologue.core.react is reactions.react


def test_two_modules_for_one_old_path() -> None:
    """The old module of records has the names of both new modules."""
    old = importlib.import_module("duologue.core.record")
    assert (old.Record, old.read_log) == (record.Record, lines.read_log)


@pytest.mark.usefixtures("finders")
def test_redirect() -> None:
    """Paths are relative to the package; other names are not found."""
    redirect("duologue.core", "ancient=old_paths redirect=errors")
    assert importlib.import_module("duologue.core.ancient") is old_paths
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("duologue.core.unknown")
