"""The streams that the project carries, each as the lines of a log, and their goldens.

`streams.json.xz` was filled once, before the state got its second shape, and is not
made again. By the first part of their names:

* ``testing``: those that `check_reducer` always takes, with all that a turn can have.
* ``drawn``, ``hostile``: drawn from the strategies of `duologue.core.testing`, once.
* ``local``: logs of real sessions with the local service: text, WebSocket, WebRTC,
  tools, two sessions, two lost connections.
* ``event``: an example of each event with every field filled; ``event/all`` in a row.
* ``test``: what the tests of the core folded, by the test that did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from duologue.core import Record, read_log, to_line
from duologue.core.testing import Turn, script, to_records

from .store import read

STREAMS = "streams.json.xz"
#: Snapshots of version 1, as `dump` wrote them. They are never written again.
SNAPSHOTS = "snapshots-v1.json.xz"
OBSERVED = "observed.json.xz"

#: What a log's reader must print; the rest is held by the streams themselves.
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
    """A stream as its log says it."""
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
    """What could be seen of every stream."""
    found: dict[str, Any] = read(OBSERVED)
    return found


def groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of streams by where they come from: a few tests, not a thousand."""
    found: dict[str, list[str]] = {}
    for name in names:
        first, _, rest = name.partition("/")
        group = rest.partition("::")[0] if first == "test" else first
        found.setdefault(group, []).append(name)
    return found


def everything() -> list[str]:
    """The lines of ``testing/everything``, as `script` writes them today."""
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
