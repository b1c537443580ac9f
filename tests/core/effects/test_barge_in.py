"""Barge-in: the heard part of a reply is reported to the service."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from duologue.core import State, fold, react, reduce
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.effects.commands import Command, Send

from ..talk import Frame, Service, audio, to_record, to_records

STARTED: Frame = {
    "type": "input_audio_buffer.speech_started",
    "event_id": "barge-in",
    "item_id": "u",
    "audio_start_ms": 0,
}


def spoken(
    played: int | None, deltas: int = 100, *, ends: bool = True, **config: Any
) -> tuple[State, str]:
    """A reply with 10 ms of PCM audio per delta, and the playback position."""
    service = Service()
    service.created(**config)
    service.spoken("hello")
    if ends:
        item_id = service.reply(*["a"] * deltas)
    else:
        item_id = service.say(service.begin(), ["a"] * deltas)["item_id"]
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
    """The truncation is at the played position and has a reproducible id."""
    state, item_id = spoken(played)

    assert (
        Send(
            "s",
            ev.ConversationItemTruncate(
                event_id="s.77.0", item_id=item_id, content_index=0, audio_end_ms=cut
            ),
        ),
    ) == reaction(state, STARTED)


@pytest.mark.parametrize("played", [None, 1000, 5000])
def test_nothing_to_truncate(played: int | None) -> None:
    """Without a played position (WebRTC), or if all was played, no event is sent."""
    state, _ = spoken(played)

    assert reaction(state, STARTED) == ()


@pytest.mark.parametrize(("deltas", "cut"), [(100, [1000]), (0, [])])
def test_more_is_to_come(deltas: int, cut: list[int]) -> None:
    """An unfinished reply is truncated at the end of the received audio."""
    state, _ = spoken(5000, deltas, ends=False)
    sent = [c.event for c in reaction(state, STARTED) if isinstance(c, Send)]

    assert cut == [
        event.audio_end_ms
        for event in sent
        if isinstance(event, ev.ConversationItemTruncate)
    ]


def test_the_format_in_force_counts() -> None:
    """The confirmed format sets the duration: G.711 has 8 bytes per ms."""
    state, item_id = spoken(5000, audio={"output": {"format": {"type": "audio/pcmu"}}})
    (command,) = reaction(state, STARTED)

    assert isinstance(command, Send)
    assert commands.truncate(item_id, 5000) == msgspec.structs.replace(
        command.event, event_id=None
    )


def test_the_part_that_is_heard() -> None:
    """The truncation has the content index of the audio, which is not always 0."""
    service = Service()
    response = service.begin()
    at: Frame = {"response_id": response, "output_index": 0, "content_index": 1}
    service.send("response.output_audio.delta", item_id="i", delta=audio(4800), **at)
    service.frames.append({"type": "duologue.played", "item_id": "i", "ms": 20})
    (command,) = reaction(fold(to_records(service.frames)), STARTED)

    assert isinstance(command, Send)
    assert isinstance(command.event, ev.ConversationItemTruncate)
    assert (command.event.content_index, command.event.audio_end_ms) == (1, 20)


def test_no_truncation_if_interruption_is_off() -> None:
    """If the service does not interrupt, no event is sent."""
    detection = {"type": "server_vad", "interrupt_response": False}
    state, _ = spoken(420, audio={"input": {"turn_detection": detection}})

    assert reaction(state, STARTED) == ()


def test_an_item_is_truncated_once() -> None:
    """A truncation that the service confirmed is not sent again."""
    state, item_id = spoken(420)
    at = {"item_id": item_id, "content_index": 0}
    cut: Frame = {"type": "conversation.item.truncated", **at, "audio_end_ms": 420}

    assert reaction(reduce(state, to_record(cut)), STARTED) == ()


def test_items_of_another_connection_are_not_truncated() -> None:
    """An item of an earlier connection is text on this one, so it is not truncated."""
    state, _ = spoken(420)
    connecting = to_record({"type": "duologue.connecting"}, epoch=1)

    assert reaction(reduce(state, connecting), STARTED, epoch=1) == ()


def test_a_deleted_item_is_left_alone() -> None:
    """A deleted item is not truncated."""
    state, item_id = spoken(420)
    deleted = {"type": "conversation.item.deleted", "item_id": item_id}

    assert reaction(reduce(state, to_record(deleted)), STARTED) == ()
