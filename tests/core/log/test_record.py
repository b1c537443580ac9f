"""A record, and the kind of a session after it."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from duologue.core import (
    Record,
    Session,
    SessionKind,
    State,
    reduce,
)
from duologue.core.events.base import Malformed
from duologue.core.log.record import Direction, kind_after

from ..talk import to_record

#: Events that set the kind of a session, or whose class depends on it.
GREETINGS: list[Any] = [
    {"type": f"session.{word}", "session": session}
    for word in ("created", "updated")
    for session in (
        *({"type": kind, "id": "sess_1"} for kind in SessionKind),
        *({"id": "sess_1"}, {}, {"audio": {"output": {"language": "fr"}}}),
    )
]


OTHERS: list[Any] = [
    *({"type": "duologue.forgotten"}, {"type": "duologue.connecting"}),
    *({"type": "session.input_transcript.delta", "delta": "a"}, {"type": "odd"}, {}),
]


@pytest.mark.parametrize("way", ["in", "out", "local"])
def test_the_kind_is_that_of_the_state(way: Direction) -> None:
    """`kind_after` gives the kind that the reducer sets."""
    for one, other in product([*GREETINGS, *OTHERS], repeat=2):
        state, kind = State(), SessionKind.REALTIME
        ways: list[tuple[Any, Direction]] = [(one, "in"), (other, way)]
        for frame, dir in ways:
            data = json.dumps(frame)
            record = Record.of(data, seq=1, session="s", dir=dir, kind=kind)
            state, kind = reduce(state, record), kind_after(kind, record)
            session = state.sessions.get("s", Session("s"))
            assert kind is session.connection.kind, (one, other)


def test_a_record_is_frozen() -> None:
    """A record is immutable."""
    record: Any = to_record({"type": "error"})
    with pytest.raises(AttributeError):
        record.seq = 5


def test_frames_as_text() -> None:
    """A text frame is encoded as UTF-8; a lone surrogate makes it malformed."""
    assert "é".encode() in to_record('{"type":"é"}').frame
    assert isinstance(to_record("\ud800").event, Malformed)
