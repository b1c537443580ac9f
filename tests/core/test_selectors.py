"""What users read."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from immutables import Map

from duologue.core import (
    Session,
    Transcript,
    TurnTimes,
    fold,
    select_is_settled,
    select_transcripts,
    select_turns,
)
from duologue.core.state import Connection
from duologue.core.types import SessionStatus

from .talk import Service, fold_frames, to_record, to_records


def talked() -> Service:
    service = Service()
    service.spoken("hello")
    service.reply("good", " day", spoken=False)
    return service


def test_transcripts_whole() -> None:
    """Every field of every line."""
    service = talked()
    user, answer = fold_frames(*service.frames).conversation.order

    assert (
        Transcript(user, "user", "hello", True, None, None, 1000.1, 1000.4),
        Transcript(answer, "assistant", "good day", True, None, None, 1000.9, 1001.6),
    ) == select_transcripts(fold_frames(*service.frames))


def test_turns_whole() -> None:
    """Written words have no audio."""
    session = fold_frames(*talked().frames)
    user, _ = session.conversation.order
    (response,) = session.responses.order

    assert (TurnTimes(response, user, None, 1000.0, None),) == select_turns(session)


@pytest.mark.parametrize(
    ("select", "other"), [(select_transcripts, "ledger"), (select_turns, "items")]
)
def test_remembered_by_identity(select: Any, other: str) -> None:
    """The same object while the nodes that it reads are, whatever else changed."""
    session = fold_frames(*talked().frames)
    first = select(session)
    grown = attrs.evolve(
        session, connection=Connection(SessionStatus.OPEN), tally=Session("").tally
    )
    if other == "items":
        grown = attrs.evolve(grown, items=Map())

    assert first is select(session)
    assert first is select(grown)
    assert select(Session(session.id)) is not first


def test_not_more_than_a_thousand_are_remembered() -> None:
    """Sessions that were forgotten are forgotten here too, in the end."""
    session = fold_frames(*talked().frames)
    first = select_transcripts(session)
    for n in range(1100):
        select_transcripts(Session(str(n)))

    assert first == select_transcripts(session)
    assert first is not select_transcripts(session)


def test_settled() -> None:
    """Nobody speaks, no answer is due or in work, every line is final."""
    service = talked()
    settled = [
        select_is_settled(state.sessions["s"])
        for n in range(1, len(service.frames) + 1)
        for state in [fold(to_records(service.frames[:n]))]
    ]

    assert [False] * (len(settled) - 1) + [True] == settled
    assert select_is_settled(Session("new"))


def test_system_messages_are_no_lines() -> None:
    """They are items."""
    service = Service()
    service.typed("be kind", role="system")
    session = fold([to_record(frame) for frame in service.frames]).sessions["s"]

    assert (select_transcripts(session), len(session.items)) == ((), 1)
