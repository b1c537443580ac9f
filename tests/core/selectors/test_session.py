"""Whether a session is connected, settled or muted, and the speaker."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from msgspec.structs import replace

from duologue.core import (
    Session,
    State,
    Transcript,
    fold,
    reduce,
    select_dtmf,
    select_is_connected,
    select_is_muted,
    select_is_settled,
    select_is_speaking,
    select_running_calls,
    select_transcripts,
)
from duologue.core.events.types import SessionStatus
from duologue.core.selectors import transcript
from duologue.core.selectors.transcript import transcript_of
from duologue.core.state.model import Activity, Connection, Item, Responses
from duologue.core.testing.stream import Stream

from ..strategies import HOSTILE
from ..talk import Frame, fold_frames, talked, to_records
from .test_calls import STARTED, called


def test_settled() -> None:
    """A turn is settled after its last event, and a new session is settled."""
    service = talked()
    settled = [
        select_is_settled(state.sessions["s"])
        for n in range(1, len(service.frames) + 1)
        for state in [fold(to_records(service.frames[:n]))]
    ]

    assert [False] * (len(settled) - 1) + [True] == settled
    assert select_is_settled(Session("new"))


@given(HOSTILE)
def test_settled_is_what_the_transcripts_say(stream: Stream) -> None:
    """Without pending work, a session is settled if every shown line is final."""
    state = State()
    for record in stream:
        state = reduce(state, record)
        for session in state.sessions.values():
            quiet = replace(session, activity=Activity(), responses=Responses())
            lines = all(line.final for line in select_transcripts(quiet))
            running = bool(select_running_calls(quiet))
            assert select_is_settled(quiet) is (lines and not running)


def test_settled_makes_no_transcripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`select_is_settled` creates no `Transcript`."""
    made: list[str] = []

    def counting(item: Item) -> Transcript:
        made.append(item.id)
        return transcript_of(item)

    monkeypatch.setattr(transcript, "transcript_of", counting)
    session = fold_frames(*talked().frames)

    assert select_is_settled(replace(session, id="settled"))
    assert made == []
    assert len(select_transcripts(replace(session, id="settled"))) == len(made) == 2


@pytest.mark.parametrize(
    "node",
    [
        {"responses": Responses(queued="{}")},
        {"responses": Responses(in_flight="{}")},
        {"responses": Responses(active="r")},
        {"activity": Activity(playing="r")},
    ],
)
def test_not_settled(node: Any) -> None:
    """A session is not settled while a response is queued, active or playing."""
    assert not select_is_settled(Session("s", **node))


def test_a_running_call_is_not_settled() -> None:
    """A session with a running call is not settled, because its output is answered."""
    session = fold_frames(called("a"), STARTED)

    assert not select_is_settled(session)


def test_connection_and_activity() -> None:
    """The user takes precedence over the assistant."""
    open_ = Session("s", connection=Connection(SessionStatus.OPEN))
    both = Session("s", activity=Activity(speaking_item="i", playing="r", muted=True))
    playing = Session("s", activity=Activity(playing="r"))

    assert [
        (select_is_connected(s), select_is_speaking(s), select_is_muted(s))
        for s in (open_, both, playing)
    ] == [
        (True, None, False),
        (False, "user", True),
        (False, "assistant", False),
    ]


def test_telephone_keys() -> None:
    """Keys are in the order of the key presses."""
    dtmf = "input_audio_buffer.dtmf_event_received"
    keys: list[Frame] = [
        {"type": dtmf, "event": key, "received_at": 7} for key in ("1", "#")
    ]

    assert [key.key for key in select_dtmf(fold_frames(*keys))] == ["1", "#"]
