"""Upgrades of old snapshots and old logs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from immutables import Map

from duologue.core import LogError, SnapshotError, dump, load
from duologue.core.log import upgrades as module
from duologue.core.log.lines import VERSION as LINE_VERSION
from duologue.core.log.snapshot import VERSION as SNAPSHOT_VERSION
from duologue.core.log.upgrades import upgrade_line, upgrade_snapshot
from duologue.core.state.model import (
    Activity,
    Conversation,
    Dedup,
    DtmfKey,
    Problem,
    Response,
    Responses,
    Session,
    SessionUsage,
    State,
    Turn,
    Usage,
)


def renamed(document: dict[str, Any]) -> dict[str, Any]:
    """Upgrade an invented version 0 with its state in ``all``."""
    return {"state": document["all"]}


def moved(document: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Upgrade an invented version 0 of a line with its event in ``frame``."""
    return {"event": document["frame"], "dir": document["dir"]}


def added(document: dict[str, Any]) -> dict[str, Any]:
    """Upgrade version 1 to an invented version 2."""
    return {**document, "more": msgspec.Raw(b"1")}


#: The upgrades from version 0 to the current one.
TO_NOW = {0: renamed, **module.SNAPSHOTS}
EMPTY = b'{"duologue":0,"all":{"sessions":{}}}'
LINE = b'{"v":0,"dir":"in","frame":{ "a" : 1.50 },"crc":"00000000"}'


def test_every_version_has_its_upgrade() -> None:
    """Every earlier version has one upgrade, the current one has none."""
    assert set(range(1, SNAPSHOT_VERSION)) == set(module.SNAPSHOTS)
    assert set(range(1, LINE_VERSION)) == set(module.LINES)


def test_a_snapshot_step_by_step() -> None:
    """A snapshot is upgraded one version at a time, up to the target."""
    table = {0: renamed, 1: added}

    assert msgspec.json.decode(upgrade_snapshot(EMPTY, to=2, table=table)) == {
        "duologue": 2,
        "state": {"sessions": {}},
        "more": 1,
    }
    upgraded = upgrade_snapshot(EMPTY, to=SNAPSHOT_VERSION, table=TO_NOW)
    assert (load(upgraded), dump(load(upgraded))) == (State(), dump(State()))


def test_a_snapshot_of_version_1_has_its_fields_renamed() -> None:
    """Every renamed field keeps its value; an old file may lack any of them.

    The golden snapshots are upgraded in `tests/golden/test_streams.py`.
    """
    turn = {"audio_made_at": 1.0}
    session = {
        "id": "s",
        "ledger": {"usage": {"total": 2}, "problems": [{"kind": "a", "message": "b"}]},
        "tally": {"events": 3},
        "activity": {
            "keys": [{"key": "5", "received_at": 6}],
            "last_spoken": "u",
            "ticked_at": 7.0,
        },
        "conversation": {"anchor": "a", "waiting": {"p": ["c"]}},
        "responses": {
            "wished": "{}",
            "asked": "[]",
            "by_id": {"r": {"id": "r", "turn": turn}},
        },
    }
    document = {"duologue": 1, "state": {"sessions": {"s": session}}}

    assert load(msgspec.json.encode(document)).sessions["s"] == Session(
        "s",
        usage=SessionUsage(Usage(total=2)),
        problems=(Problem("a", "b"),),
        dedup=Dedup.of(3),
        activity=Activity(
            unanswered_item="u", dtmf_keys=(DtmfKey("5", 6),), last_tick_at=7.0
        ),
        conversation=Conversation(epoch_boundary="a", orphans=Map({"p": ("c",)})),
        responses=Responses(
            Map({"r": Response("r", turn=Turn(audio_generated_at=1.0))}),
            queued="{}",
            in_flight="[]",
        ),
    )
    bare = b'{"duologue":1,"state":{"sessions":{"s":{"id":"s"}}}}'
    assert load(bare).sessions["s"] == Session("s")


def test_a_line_step_by_step() -> None:
    """The frame keeps its bytes, and the old checksum is removed."""
    table = {0: moved, 1: added}

    assert upgrade_line(LINE, 1, to=2, table=table) == (
        b'{"event":{ "a" : 1.50 },"dir":"in","more":1,"v":2}'
    )


@pytest.mark.parametrize("data", [b'{"duologue":1}', b'{"duologue":9}'])
def test_a_snapshot_of_now_or_later_stays_as_it_is(data: bytes) -> None:
    """The current and later versions stay unchanged."""
    assert data is upgrade_snapshot(data, to=1)


@pytest.mark.parametrize(
    "line", [b'{"v":1}', b'{"v":7}', b'{"dir":"in"}', b'{"v":"a"}', b"\xff", b"{"]
)
def test_a_line_of_now_or_of_no_version_stays_as_it_is(line: bytes) -> None:
    """A line of another or no version stays unchanged."""
    assert line is upgrade_line(line, 1, to=1)


def test_a_version_that_nothing_reads() -> None:
    """The error names the version."""
    with pytest.raises(SnapshotError, match="version 0 cannot be read any more"):
        upgrade_snapshot(EMPTY, to=1)
    with pytest.raises(LogError, match="line 7: version 0 cannot be") as raised:
        upgrade_line(LINE, 7, to=1)

    assert raised.value.line == 7


@pytest.mark.parametrize(
    "rest",
    [b"}", b',"state":5}', b',"state":{"sessions":{"s":5}}}', b',"state":{}}'],
)
def test_a_snapshot_with_a_value_of_another_type(rest: bytes) -> None:
    """An upgrade that cannot read a value gives an error that says so."""
    with pytest.raises(SnapshotError, match=r"^not a snapshot: \w+Error\("):
        upgrade_snapshot(b'{"duologue":1' + rest, to=SNAPSHOT_VERSION)


def test_what_is_no_snapshot() -> None:
    """An invalid snapshot raises a decode error, which the reader translates."""
    with pytest.raises(msgspec.DecodeError):
        upgrade_snapshot(b"{}", to=1)
