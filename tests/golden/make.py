"""Renew the golden values, all kinds or some.

    .venv/bin/python -m tests.golden.make help imports

Run it from the top of the repository. It writes the current behaviour: read the
difference before you commit it. Streams and snapshots cannot be renewed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from duologue.core import dump, fold

from . import commands, names, recordings, streams
from .observing import observe
from .store import FOLDER, read, write


def _snapshots() -> None:
    """Only once: a snapshot written by later code tests nothing."""
    if (FOLDER / streams.SNAPSHOTS).exists():
        raise SystemExit(f"{streams.SNAPSHOTS} is there, and stays as it is")
    found = {
        name: dump(fold(streams.records(name))).decode() for name in streams.streams()
    }
    write(streams.SNAPSHOTS, found)


def _observed() -> None:
    found = {name: observe(streams.records(name))[1] for name in streams.streams()}
    write(streams.OBSERVED, found)


def _recordings() -> None:
    write(recordings.GOLDEN, {p.name: recordings.hashes(p) for p in recordings.paths()})


def _json() -> None:
    found = {
        name: commands.of_log(streams.log_of(name)) for name in streams.REPRESENTATIVE
    }
    write("json-output.json.xz", found)
    write("json-shapes.json", commands.shapes())


def _imports() -> None:
    """The imports of the current pages, added to those of former pages."""
    once = read("imports.json") if (FOLDER / "imports.json").exists() else {}
    now = names.page_imports()
    found = {
        path: sorted({*once.get(path, ()), *now.get(path, ())})
        for path in sorted({*once, *now})
    }
    write("imports.json", found)


KINDS: Mapping[str, Callable[[], None]] = {
    "observed": _observed,
    "recordings": _recordings,
    "structure": lambda: write("cli-structure.json", commands.structure()),
    "help": lambda: write("cli-help.json", commands.help_texts()),
    "json": _json,
    "names": lambda: write("names.json", names.entries()),
    "imports": _imports,
}


def main() -> None:
    """Renew the given kinds."""
    parser = argparse.ArgumentParser(description="Make the golden values anew.")
    choices = [*KINDS, "snapshots", "all"]
    parser.add_argument("kinds", nargs="+", choices=choices, help="what to make")
    kinds = parser.parse_args().kinds
    for kind in KINDS if "all" in kinds else kinds:
        print(kind)
        (_snapshots if kind == "snapshots" else KINDS[kind])()


if __name__ == "__main__":
    main()
