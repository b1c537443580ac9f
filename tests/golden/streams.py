"""The streams of the project, each as the lines of a log, and their goldens.

`streams.json.xz` was written once, before version 2 of the state, and is never written
again. Their names begin with:

* ``testing``: the fixed streams of `check_reducer`, with every part of a turn.
* ``drawn``, ``hostile``: drawn once from the strategies of `duologue.core.testing`.
* ``local``: logs of real sessions with the local service: text, WebSocket, WebRTC,
  tools, two sessions, two lost connections.
* ``event``: an example of each event with every field; ``event/all`` has all of them.
* ``test``: the streams of the core's tests, by the name of the test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from duologue.core import Record, read_log, to_line
from duologue.core.testing import Turn, script, to_records

from .store import read

STREAMS = "streams.json.xz"
#: Snapshots of version 1, as `dump` wrote them; never written again.
SNAPSHOTS = "snapshots-v1.json.xz"
OBSERVED = "observed.json.xz"

#: Streams whose printed output is golden.
REPRESENTATIVE = (
    "testing/everything",
    "testing/timeless",
    "testing/astray",
    "local/say-text",
    "local/talk-tools-both",
    "local/talk-webrtc",
    "local/talk-websocket",
    "local/reconnects",
    "drawn/10",
    "drawn/29",
    "hostile/20",
)


@cache
def streams() -> Mapping[str, list[str]]:
    """The lines of every stream, by its name."""
    found: dict[str, list[str]] = read(STREAMS)
    return found


def records(name: str) -> list[Record]:
    """The records of a stream."""
    return list(read_log(streams()[name]))


def log_of(name: str) -> bytes:
    """A stream as the bytes of a log."""
    return "".join(streams()[name]).encode()


@cache
def snapshots() -> Mapping[str, str]:
    """The snapshots of version 1, by stream."""
    found: dict[str, str] = read(SNAPSHOTS)
    return found


@cache
def observed() -> Mapping[str, Any]:
    """The visible results of every stream."""
    found: dict[str, Any] = read(OBSERVED)
    return found


def groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of streams by origin, so that there are few tests."""
    found: dict[str, list[str]] = {}
    for name in names:
        first, _, rest = name.partition("/")
        group = rest.partition("::")[0] if first == "test" else first
        found.setdefault(group, []).append(name)
    return found


def everything() -> list[str]:
    """The lines of ``testing/everything``, as `script` writes them now."""
    words = ("one ", "two")
    asides = (
        *("cleared", "deleted_first", "deleted_last", "dtmf", "error", "rate_limits"),
        *("reconnected", "retrieved", "set_up", "system", "timeout"),
    )
    ways = ("within", "early", "before", "late", "failed", "never")
    ends = (*("completed", "cancelled", "truncated", "incomplete"), "failed")
    plan = [
        Turn(
            words,
            words,
            is_spoken=number != 1,
            transcript=way,
            reply_is_spoken=number % 3 != 0,
            plays=True,
            end=(*ends, "completed")[number],
            calls=(("{}",),) if number == 2 else (),
            mcp=("", "completed", "failed", "approval", "", "")[number],
            aside=words if number == 4 else (),
            events=asides[number :: len(ways)],
        )
        for number, way in enumerate(ways)
    ]
    frames = script(plan).frames
    return [to_line(record).decode() for record in to_records(frames, session="s1")]
