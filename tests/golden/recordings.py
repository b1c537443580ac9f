"""Recorded traffic of the live API, if available: hashes, no text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from duologue.core import Record, dump, load, read_log

from .observing import comparable, joined, observe, session_view
from .store import RECORDINGS, compact

GOLDEN = "recordings.json"


def paths() -> list[Path]:
    """The recordings, and the examples of the specification."""
    return sorted([*RECORDINGS.glob("*.jsonl"), *RECORDINGS.glob("*-examples.json")])


def records(path: Path) -> list[Record]:
    """A recording as the records of one session, ``s``."""
    if path.suffix == ".jsonl":
        with path.open("rb") as lines:
            return list(read_log(lines, session="s"))
    return list(read_log(_examples(path), session="s"))


def _examples(path: Path) -> Iterator[str]:
    """Every example, once as received and once as sent."""
    for entry in json.loads(path.read_text(encoding="utf-8")):
        if "event" in entry:
            is_sent = "ClientEvent" in entry["schema"]
            way = "out" if is_sent else "in"
            yield json.dumps({"dir": way, "event": entry["event"]})


def hashes(path: Path) -> dict[str, Any]:
    """Hashes of the visible results; none depends on a field name of the state."""
    state, seen = observe(records(path))
    again = load(dump(state))
    views = {name: session_view(one) for name, one in sorted(again.sessions.items())}
    assert compact(joined(views)) == compact(joined(seen["sessions"])), path.name
    sessions = seen["sessions"]
    return {
        "commands": _hash(seen["commands"]),
        "patches": seen["patches"]["sha256"],
        **{
            part: _hash([comparable(session[part]) for session in sessions.values()])
            for part in ("view", "summary")
        },
        "selectors": {
            name: _hash([session["selectors"][name] for session in sessions.values()])
            for name in sorted(sessions["s"]["selectors"])
        },
    }


def _hash(value: Any) -> str:
    return hashlib.sha256(compact(value)).hexdigest()[:32]
