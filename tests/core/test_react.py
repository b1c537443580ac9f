"""What to send because of what happened."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Command, State, fold, react, reduce
from duologue.core import events as ev

from .talk import Frame, Service, to_record, to_records

STARTED: Frame = {
    "type": "input_audio_buffer.speech_started",
    "event_id": "barge-in",
    "item_id": "u",
    "audio_start_ms": 0,
}


def spoken(played: int | None, deltas: int = 100, **config: Any) -> tuple[State, str]:
    """A reply of 10 ms of audio a delta (PCM), of which so much was played."""
    service = Service()
    service.created(**config)
    service.spoken("hello")
    item_id = service.reply(*["a"] * deltas)
    service.reply("aside", in_band=False)
    if played is not None:
        service.frames.append(
            {"type": "duologue.played", "item_id": item_id, "ms": played}
        )
    return fold(to_records(service.frames)), item_id


def reaction(state: State, frame: Frame, **how: Any) -> tuple[Command, ...]:
    record = to_record(frame, 77, **how)
    return react(state, record, reduce(state, record))


@pytest.mark.parametrize(("played", "cut"), [(420, 420), (0, 0), (999, 999), (-5, 0)])
def test_a_barge_in_truncates_what_was_played(played: int, cut: int) -> None:
    """At what the user heard, with an id that anyone can work out again."""
    state, item_id = spoken(played)

    assert (
        Command(
            "s",
            ev.ConversationItemTruncate(
                event_id="s.77.0", item_id=item_id, content_index=0, audio_end_ms=cut
            ),
        ),
    ) == reaction(state, STARTED)


@pytest.mark.parametrize("played", [None, 1000, 5000])
def test_nothing_to_truncate(played: int | None) -> None:
    """Where nobody reports a position (WebRTC), or all that came was heard."""
    state, _ = spoken(played)

    assert reaction(state, STARTED) == ()


def test_the_format_in_force_counts() -> None:
    """G.711 has 8 bytes a ms, so that more time has arrived."""
    audio = {"output": {"format": {"type": "audio/pcmu"}}}
    state, item_id = spoken(5000, audio=audio)

    assert [(item_id, 5000)] == [
        (command.event.item_id, command.event.audio_end_ms)
        for command in reaction(state, STARTED)
        if isinstance(command.event, ev.ConversationItemTruncate)
    ]


def test_truncated_already() -> None:
    """The service knows."""
    state, item_id = spoken(420)
    at = {"item_id": item_id, "content_index": 0}
    cut: Frame = {"type": "conversation.item.truncated", **at, "audio_end_ms": 420}

    assert reaction(reduce(state, to_record(cut)), STARTED) == ()


@pytest.mark.parametrize("dir", ["out", "local"])
def test_only_what_the_service_says(dir: Any) -> None:
    """What was sent is no reason to send."""
    state, _ = spoken(420)

    assert reaction(state, STARTED, dir=dir) == ()


def test_not_twice_for_a_duplicate() -> None:
    """It was reacted to."""
    state, _ = spoken(420)

    assert reaction(reduce(state, to_record(STARTED)), STARTED) == ()


def test_other_events() -> None:
    """Most call for nothing; so does one of a session that is gone or has no reply."""
    state, _ = spoken(420)

    assert reaction(state, {"type": "error", "error": {}}) == ()
    assert reaction(state, {"type": "duologue.forgotten"}) == ()
    assert reaction(State(), STARTED) == ()


def test_a_deleted_item_is_left_alone() -> None:
    """Nothing of it can be truncated."""
    state, item_id = spoken(420)
    deleted = {"type": "conversation.item.deleted", "item_id": item_id}

    assert reaction(reduce(state, to_record(deleted)), STARTED) == ()
