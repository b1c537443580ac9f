"""Public names keep their places and signatures."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from functools import cache

import pytest

from . import names
from .commands import child_environment
from .differences import DIFFERENCES
from .store import TOP, read

GOLDEN: dict[str, str] = read("names.json")


#: In a separate process, because test guards replace some methods.
TELL = """
import json
from tests.golden import names

print(json.dumps(names.entries()))
"""


@cache
def changed() -> dict[str, str]:
    """The changed golden entries with their current values."""
    done = subprocess.run(
        [sys.executable, "-c", TELL],
        cwd=TOP,
        env=child_environment(),
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    found = json.loads(done.stdout)
    return {
        key: f"golden {text}, now {found.get(key, 'missing')}"
        for key, text in GOLDEN.items()
        if found.get(key) != text
    }


def test_every_public_name_is_there_with_its_signature() -> None:
    """New names are allowed. `differences.py` lists intended changes."""
    found = changed()
    assert {key: text for key, text in found.items() if key not in DIFFERENCES} == {}


def test_every_difference_that_is_allowed_is_one() -> None:
    """Each entry of the list is needed and has a reason."""
    assert {*DIFFERENCES} - {*changed()} == set()
    assert all(DIFFERENCES.values())


def test_the_names_hold_enough_to_fail() -> None:
    """The control: functions, classes with fields and methods, enums, constants."""
    assert GOLDEN["duologue.core:fold"].startswith("function(records: ")
    assert GOLDEN["duologue.core:Store.feed"].startswith("method(self, session_id: ")
    assert "duologue.transports:Client.start_session" in GOLDEN
    text = "".join(GOLDEN.values())
    assert re.findall(r"duologue\.(?:core|transports|local|adapters)\.\w+", text) == []


def pages() -> dict[str, list[str]]:
    """The imports of pages and examples, now and in the golden."""
    once: dict[str, list[str]] = read("imports.json")
    now = names.page_imports()
    return {
        path: sorted({*once.get(path, ()), *now.get(path, ())})
        for path in sorted({*once, *now})
    }


@pytest.mark.parametrize(("path", "wanted"), pages().items())
def test_what_the_pages_import_is_there(path: str, wanted: list[str]) -> None:
    """README, guides and examples; a submodule counts as a name of its package."""
    module = importlib.import_module(path)
    for name in wanted:
        if not hasattr(module, name):
            importlib.import_module(f"{path}.{name}")


#: Imports submodules and reads public names, in the given order.
LOOK = """
import importlib, json, sys, types

order, packages, submodules = json.loads(sys.argv[1])
left_out = []

def load():
    for name in submodules:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            left_out.append(f"{name}: {error}")

def look():
    found = {}
    for name in packages:
        package = importlib.import_module(name)
        for word in getattr(package, "__all__", ()):
            found[f"{name}:{word}"] = getattr(package, word)
    return found

def tell(value):
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    parts = (getattr(value, name, None) for name in ("__module__", "__qualname__"))
    return " ".join([type(value).__name__, *map(str, parts)])

if order == "submodules":
    load()
    found = look()
else:
    found = look()
    load()
    again = look()
    moved = sorted(key for key in found if again[key] is not found[key])
    assert moved == [], f"not the same object once all is imported: {moved}"
print(json.dumps([{key: tell(value) for key, value in found.items()}, left_out]))
"""


def look(order: str, root: str) -> tuple[dict[str, str], list[str]]:
    told = json.dumps([order, names.packages(root), names.submodules(root)])
    done = subprocess.run(
        [sys.executable, "-c", LOOK, told],
        capture_output=True,
        text=True,
        env=child_environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, left_out = json.loads(done.stdout.splitlines()[-1])
    return found, left_out


@pytest.mark.parametrize("root", names.ROOTS)
def test_no_submodule_hides_a_public_name(root: str) -> None:
    """A name is the same object whether it or all submodules are imported first."""
    first, _ = look("names", root)
    last, left_out = look("submodules", root)

    assert first == last
    # Only modules that need a system library.
    assert [why for why in left_out if "duologue" in why.partition(": ")[2]] == []
    assert len(names.submodules(root)) > len(names.packages(root)) >= 1
