"""Each rule of the house finds its breach, and finds none in a tree without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("house_rules.py")

#: A small tree of the same layout that obeys every rule.
CLEAN = {
    "core/duologue/core/__init__.py": (
        '"""The front door."""\nfrom . import events\nfrom .folds import fold\n'
        '__all__ = ["events", "fold"]\n'
    ),
    "core/duologue/core/events/__init__.py": '"""Events."""\n',
    "core/duologue/core/folds.py": (
        '"""Folds."""\ndef fold():\n    """Fold the records of a session."""\n'
    ),
    "core/duologue/core/reducer/calls.py": '"""A slice."""\n',
    "core/duologue/core/selectors/calls.py": '"""The same slice."""\n',
    "transports/duologue/transports/outbox.py": (
        '"""Unsent events."""\n'
        "class Outbox:\n"
        "    def __init__(self) -> None:\n"
        "        self._entries = []\n"
        "    def same(self, other) -> bool:\n"
        "        return self._entries == other._entries\n"
    ),
    "transports/duologue/transports/session.py": (
        '"""A session."""\nfrom .outbox import Outbox\n__all__ = ["Outbox"]\n'
    ),
    "local/duologue/local/engine.py": '"""The engine."""\n',
    "adapters/duologue/adapters/cli/commands/talk.py": '"""One command."""\n',
    "adapters/duologue/adapters/cli/talk.py": '"""Its parts."""\n',
}

SESSION = "transports/duologue/transports/session.py"
BREACHES = {
    "private attribute": (
        {SESSION: "def look(outbox):\n    return outbox._entries\n"},
        "private_access: {top}/" + SESSION + ":2: touches the private _entries",
    ),
    "private attribute of a collaborator": (
        {
            SESSION: (
                "class Session:\n    _outbox = None\n"
                "    def look(self):\n        return self.other._outbox\n"
            )
        },
        "private_access: {top}/" + SESSION + ":4: touches the private _outbox",
    ),
    "private attribute by its name": (
        {SESSION: ("from operator import attrgetter\nlook = attrgetter('_entries')\n")},
        "private_access: {top}/" + SESSION + ":2: touches the private _entries",
    ),
    "private name of a module": (
        {SESSION: "from .outbox import _entries\n"},
        "private_access: {top}/" + SESSION + ":1: imports the private _entries",
    ),
    "cycle": (
        {"transports/duologue/transports/outbox.py": "from .session import Session\n"},
        "import_cycles: import cycle: "
        "duologue.transports.outbox duologue.transports.session",
    ),
    "cycle for types": (
        {
            "transports/duologue/transports/outbox.py": (
                "from typing import TYPE_CHECKING\n"
                "if TYPE_CHECKING:\n"
                "    from duologue.transports.session import Session\n"
            )
        },
        "import_cycles: import cycle: "
        "duologue.transports.outbox duologue.transports.session",
    ),
    "cycle inside a function": (
        {
            "transports/duologue/transports/outbox.py": (
                "def late():\n    from . import session\n    return session\n"
            )
        },
        "import_cycles: import cycle: "
        "duologue.transports.outbox duologue.transports.session",
    ),
    "getattr with a name": (
        {SESSION: "def again(t):\n    return getattr(t, 'again', None)\n"},
        "probing: {top}/" + SESSION + ":2: getattr probes for 'again'",
    ),
    "hasattr with a name": (
        {SESSION: "def again(t):\n    return hasattr(t, 'again')\n"},
        "probing: {top}/" + SESSION + ":2: hasattr probes for 'again'",
    ),
    "setattr with a name": (
        {SESSION: "def again(t):\n    setattr(t, 'again', None)\n"},
        "probing: {top}/" + SESSION + ":2: setattr probes for 'again'",
    ),
    "name twice in a root": (
        {"transports/duologue/transports/client/outbox.py": ""},
        "module_names: duologue.transports: 2 modules are called outbox",
    ),
    "name of a motion": (
        {"local/duologue/local/hearing.py": ""},
        "module_names: {top}/local/duologue/local/hearing.py: named by a motion",
    ),
    "flat folder": (
        {f"local/duologue/local/part{n}.py": "" for n in range(15)},
        "folder_sizes: duologue.local: 16 modules, 15 at most",
    ),
    "module with the name of a function": (
        {"core/duologue/core/fold.py": ""},
        "package_names: duologue.core.fold: "
        "a module with the name of a public function or class",
    ),
    "noun clauses": (
        {SESSION: '"""What is sent, and what was not sent."""\n'},
        "plain_english: 100.0 noun clauses (what is …, who has …) "
        "in a thousand words, 2.0 at most",
    ),
    "pronouns": (
        {SESSION: "# Nobody reads it, whoever asks.\n"},
        "plain_english: 100.0 nobody, whoever and their like "
        "in a thousand words, 0.5 at most",
    ),
}


def write(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def check(top: Path) -> list[str]:
    """The lines of the script for a tree in which it is copied."""
    script = top / "tests" / "packaging" / SCRIPT.name
    script.parent.mkdir(parents=True)
    script.write_bytes(SCRIPT.read_bytes())
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    lines = run.stdout.splitlines()
    assert run.stderr == ""
    assert run.returncode == (lines != ["The rules of the house hold."])
    return lines


def test_a_clean_tree_passes(tmp_path: Path) -> None:
    """The control of all breaches below."""
    write(tmp_path, CLEAN)
    assert check(tmp_path) == ["The rules of the house hold."]


@pytest.mark.parametrize(("files", "line"), BREACHES.values(), ids=BREACHES)
def test_a_breach_is_found(files: dict[str, str], line: str, tmp_path: Path) -> None:
    """One breach in the clean tree gives one line, which names the place."""
    write(tmp_path, CLEAN | files)
    lines = check(tmp_path)
    if line.startswith("plain_english"):
        # The share depends on all the words of the tree.
        kind = line.partition(" in a")[0].partition("100.0 ")[2]
        assert [kind in found for found in lines] == [True]
    else:
        assert lines == [line.format(top=tmp_path)]
