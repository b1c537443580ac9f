"""Dumping and loading a state; the properties are in `test_dispatch`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import SnapshotError, State, dump, fold, load
from duologue.core.events import RealtimeSessionConfig, TranscriptionSessionConfig

from ..catalogue import shapes
from ..talk import Service, to_records


def talked() -> State:
    service = Service()
    service.created()
    service.spoken("a", "b")
    service.reply("good", " day")
    return fold(to_records(service.frames))


def test_keys_stand_in_order() -> None:
    """Keys are sorted at every depth, and a text is one string."""
    data = dump(talked())

    def ordered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert sorted(key for key, _ in pairs) == [key for key, _ in pairs]
        return dict(pairs)

    json.loads(data, object_pairs_hook=ordered)
    assert b'"good day"' in data


def test_nothing_is_a_snapshot_too() -> None:
    """An empty state can be dumped and loaded."""
    assert dump(State()) == b'{"duologue":2,"state":{"sessions":{}}}'
    assert State() == load(dump(State()))


@pytest.mark.parametrize("cls", [RealtimeSessionConfig, TranscriptionSessionConfig])
def test_a_configuration_comes_back_whole(cls: Any) -> None:
    """A confirmed configuration is loaded with every field, JSON included."""
    for session in shapes(cls):
        frame = {"type": "session.updated", "event_id": "e", "session": session}
        state = fold(to_records([frame]))

        assert state == load(dump(state))
        assert isinstance(state.sessions["s"].connection.confirmed, cls)


def put(path: str, value: Any) -> bytes:
    """A snapshot with another value at this place."""
    snapshot = json.loads(dump(talked()))
    session = snapshot["state"]["sessions"]["s"]
    item = next(iter(session["items"].values()))
    places = {
        "text": (item["parts"][0], "text"),
        "order": (session["conversation"], "order"),
        "items": (session, "items"),
        "sessions": (snapshot["state"], "sessions"),
        "id": (session, "id"),
    }
    where, key = places[path]
    where[key] = value
    return json.dumps(snapshot).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"duologue":2}',
        b'{"duologue":"1","state":{}}',
        b'{"duologue":2,"state":[]}',
        b'{"duologue":2,"state":' + b"[" * 100_000,
        put("text", 5),
        put("order", "abc"),
        put("order", [1, 2]),
        put("items", []),
        put("items", {"x": 5}),
        put("sessions", {"s": {}}),
        put("id", None),
        # The key differs from the id of the session.
        put("id", "other"),
        b'{"duologue":2,"state":{"sesions":{}}}',
        # Values of another type on the way through an upgrade.
        b'{"duologue":1}',
        b'{"duologue":1,"state":[]}',
        b'{"duologue":1,"state":{"sessions":[]}}',
        b'{"duologue":1,"state":{"sessions":{"s":null}}}',
        b'{"duologue":1,"state":{"sessions":{"s":{"id":"s","ledger":5}}}}',
    ],
)
def test_what_is_no_snapshot(data: bytes) -> None:
    """An invalid snapshot raises `SnapshotError`."""
    with pytest.raises(SnapshotError, match="not a snapshot"):
        load(data)


@given(st.binary())
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    """Any other bytes raise `SnapshotError`."""
    with pytest.raises(SnapshotError):
        load(data)


def test_a_snapshot_cut_off_anywhere() -> None:
    """A truncated snapshot raises `SnapshotError`."""
    data = dump(talked())
    for at in range(len(data)):
        with pytest.raises(SnapshotError):
            load(data[:at])


@pytest.mark.parametrize("state", [b'{"sessions":{}}', b'{"new":["shape"]}', b"[]"])
def test_a_version_from_the_future(state: bytes) -> None:
    """The error names a later version, whatever the shape of its state."""
    with pytest.raises(SnapshotError, match="version 3, this duologue reads 2"):
        load(b'{"duologue":3,"state":%s}' % state)


def test_a_version_that_nobody_reads_any_more() -> None:
    """The error names a version that is too old."""
    with pytest.raises(SnapshotError, match="version 0 cannot be read any more"):
        load(b'{"duologue":0,"state":{"sessions":{}}}')
