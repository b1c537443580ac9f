"""Barge-in: the heard part of a reply is reported to the service."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import (
    Session,
    State,
    encode,
    fold,
    react,
    reduce,
    select_transcripts,
)
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.effects.commands import Command, FlushAudio, Send
from duologue.core.testing import Stream
from duologue.core.views.notices import notices

from ..strategies import enough, hostile, legal
from ..talk import Frame, Service, audio, to_record, to_records
from .live import CREATE, REQUEST, Live, begun, calling, output

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


# Several parts in the queue of the player.

#: The lengths in ms of the parts of the items of the responses.
Queue = list[list[list[int]]]


def played_to(queue: Queue, position: int, *, reports_next: bool = True) -> Live:
    """A live session whose client has played the queue up to a position in ms.

    The service generated all of it before the client began.
    """
    live, service = begun()
    parts: list[tuple[Frame, int]] = []
    for r, response in enumerate(queue):
        service.send(
            "response.created", response={"id": f"r{r}", "conversation_id": "c"}
        )
        for i, item in enumerate(response):
            for index, length in enumerate(item):
                at: Frame = {"item_id": f"a{r}{i}", "content_index": index}
                where = {"response_id": f"r{r}", "output_index": i, **at}
                sound = "response.output_audio"
                service.send(f"{sound}.delta", delta=audio(48 * length), **where)
                words = f"{r}{i}{index} "
                service.send(f"{sound}_transcript.done", transcript=words, **where)
                service.send(f"{sound}.done", **where)
                parts.append((at, length))
        done = {"id": f"r{r}", "status": "completed", "conversation_id": "c"}
        service.send("response.done", response=done)
    live.play(service)
    for at, length in parts:
        live.note({"type": "duologue.played", **at, "ms": 0})
        live.note({"type": "duologue.played", **at, "ms": min(position, length)})
        position -= length
        if position < 0 or (position == 0 and not reports_next):
            break
    return live


def cuts(live: Live) -> list[tuple[str, int, int]]:
    """The truncations that the user's speech causes."""
    live.note(STARTED)
    events = [json.loads(encode(c.event)) for c in live.commands if isinstance(c, Send)]
    assert {event["type"] for event in events} <= {"conversation.item.truncate"}
    return [(e["item_id"], e["content_index"], e["audio_end_ms"]) for e in events]


lengths = st.lists(
    st.lists(
        st.lists(st.integers(1, 60), min_size=1, max_size=3), min_size=1, max_size=3
    ),
    min_size=1,
    max_size=3,
)


@given(lengths, st.floats(0, 1), st.booleans())
def test_everything_that_was_not_heard_is_truncated(
    queue: Queue, share: float, reports_next: bool
) -> None:
    """The part being heard at its position, the parts behind it at 0, no other."""
    parts = [
        (f"a{r}{i}", index, length)
        for r, response in enumerate(queue)
        for i, item in enumerate(response)
        for index, length in enumerate(item)
    ]
    position = int(share * sum(length for *_, length in parts))
    wanted: list[tuple[str, int, int]] = []
    left = position
    for name, index, length in parts:
        if left < length:
            wanted.append((name, index, max(left, 0)))
        left -= length
    live = played_to(queue, position, reports_next=reports_next)
    session = live.state.sessions["s"]
    assert (session.activity.playing is None) <= (not wanted or not reports_next)

    assert cuts(live) == wanted
    after = live.state.sessions["s"]
    assert after.activity.playing is None
    lines = {line.item_id: line for line in select_transcripts(after)}
    for name in {name for name, *_ in parts}:
        cut = [(index, ms) for item_id, index, ms in wanted if item_id == name]
        assert lines[name].interrupted == (cut[0][1] if cut else None)
        if cut == [(0, 0), *cut[1:]]:
            assert lines[name].heard == ""
        elif cut:
            before = "".join(f"{name[1:]}{index} " for index in range(cut[0][0]))
            assert (lines[name].heard or "").startswith(before.rstrip())
    assert live.note({**STARTED, "event_id": "again"}) == ()


def test_a_response_without_audio_between_two_others() -> None:
    """A call between two spoken responses does not end the search."""
    live = played_to([[[100]]], 40)
    service = Service("later")
    calling("c", live=live, service=service)
    said = service.say(service.begin(), ["x"])
    live.play(service)

    assert cuts(live) == [("a00", 0, 40), (said["item_id"], 0, 0)]


def test_an_unconfirmed_truncation_stands() -> None:
    """A service that does not acknowledge the truncation, and one that corrects it."""
    live = played_to([[[100]]], 40)
    cuts(live)
    item = live.state.sessions["s"].items["a00"]
    assert item.truncation is not None
    assert (item.truncation.audio_end_ms, item.truncation.confirmed) == (40, False)
    cut: Frame = {"item_id": "a00", "content_index": 0, "audio_end_ms": 38}
    live.note({"type": "conversation.item.truncated", **cut})
    item = live.state.sessions["s"].items["a00"]
    assert item.truncation is not None
    assert (item.truncation.audio_end_ms, item.truncation.confirmed) == (38, True)


def test_what_waits_is_not_heard_if_the_connection_is_lost() -> None:
    """The client discards the audio that waits behind the playing response."""
    live = played_to([[[100, 100]], [[100]]], 150)
    live.note({"type": "duologue.disconnected"})
    lines = select_transcripts(live.state.sessions["s"])

    assert [line.interrupted for line in lines] == [50, 0]
    assert [line.heard for line in lines] == ["000", ""]


# Interruption by the application.

INTERRUPTED: Frame = {"type": "duologue.interrupted"}
CANCEL = ("response.cancel",)
FLUSH = ("FlushAudio",)


def cancelled(live: Live) -> list[str | None]:
    """The responses that were cancelled."""
    return [
        command.event.response_id or None
        for command in live.commands
        if isinstance(command, Send) and isinstance(command.event, ev.ResponseCancel)
    ]


def test_a_response_in_flight_is_cancelled_when_it_is_created() -> None:
    """Once, with its id; another interruption sends nothing."""
    live, service = begun()
    assert live.note(REQUEST) == CREATE
    assert live.note(INTERRUPTED) == live.note(INTERRUPTED) == FLUSH
    response = service.begin()
    assert live.play(service) == CANCEL
    assert live.note(INTERRUPTED) == FLUSH
    assert cancelled(live) == [response]
    service.end(response, status="cancelled")
    assert live.play(service) == ()
    assert live.note(REQUEST) == CREATE
    service.begin()
    assert live.play(service) == ()


def test_a_queued_request_is_withdrawn() -> None:
    """The active response is cancelled, and the queued one is never requested."""
    live, service = begun()
    response = service.begin()
    live.play(service)
    assert live.note(REQUEST) == ()
    assert live.note(INTERRUPTED) == CANCEL + FLUSH
    assert live.note(INTERRUPTED) == FLUSH
    service.end(response, status="cancelled")
    assert live.play(service) == ()
    assert live.state.sessions["s"].responses.queued is None


def test_a_request_after_the_interruption_is_answered() -> None:
    """It is sent after the end of the cancelled response, and not cancelled."""
    live, service = begun()
    live.note(REQUEST)
    live.note(INTERRUPTED)
    assert live.note(REQUEST) == ()
    response = service.begin()
    assert live.play(service) == CANCEL
    service.end(response, status="cancelled")
    assert live.play(service) == CREATE
    service.begin()
    assert live.play(service) == ()


@pytest.mark.parametrize(
    "end",
    [
        {"type": "error", "error": {"code": "bad_response_create"}},
        {"type": "duologue.disconnected", "retrying": True},
        {
            "type": "response.done",
            "response": {"id": "r", "status": "failed", "conversation_id": "c"},
        },
    ],
)
def test_a_response_that_is_never_created_is_forgotten(end: Frame) -> None:
    """A refusal, a loss and a ``response.done`` end the wait; it is not sent again."""
    live, service = begun()
    live.note(REQUEST)
    live.note(INTERRUPTED)
    assert live.note(end) == ()
    if end["type"] == "duologue.disconnected":
        live.epoch = 1
        live.note({"type": "duologue.connected"})
        service.created()
        service.frames[-1]["session"]["id"] = "sess_2"
        assert live.play(service) == ()
    assert live.note(REQUEST) == CREATE
    service.begin()
    assert live.play(service) == ()


def test_a_busy_service_does_not_bring_it_back() -> None:
    """A request that was refused because of another response is not sent again."""
    live, service = begun()
    live.note({"type": "response.create", "event_id": "mine"}, "out")
    live.note(INTERRUPTED)
    service.begin()
    assert live.play(service) == CANCEL
    busy = {"code": "conversation_already_has_active_response", "event_id": "mine"}
    assert live.note({"type": "error", "error": busy}) == ()
    assert live.state.sessions["s"].responses.queued is None


def test_a_request_that_is_about_to_be_sent() -> None:
    """Its command was given before the interruption; it is cancelled when created."""
    live, service = begun()
    live.sends = False
    assert live.note(REQUEST) == CREATE
    assert live.note(INTERRUPTED) == FLUSH
    live.note({"type": "response.create", "event_id": "s.2.0"}, "out")
    service.begin()
    assert live.play(service) == CANCEL


@pytest.mark.parametrize("interrupts", ["before", "during"])
def test_the_answer_to_a_spoken_turn(interrupts: str) -> None:
    """The answer that is due is cancelled; the one to present speech is not."""
    live, service = begun()
    item_id = service.start_speech()
    if interrupts == "before":
        service.end_speech(item_id)
    live.play(service)
    live.note(INTERRUPTED)
    if interrupts == "during":
        service.end_speech(item_id)
    service.begin()
    assert live.play(service) == (CANCEL if interrupts == "before" else ())


def test_a_requested_answer_to_dismissed_speech() -> None:
    """If turn detection does not answer, a later request is not cancelled."""
    detection = {"type": "server_vad", "create_response": False}
    live, service = begun(audio={"input": {"turn_detection": detection}})
    service.spoken("hello")
    live.play(service)
    live.note(INTERRUPTED)
    assert live.note(REQUEST) == CREATE
    service.begin()
    assert live.play(service) == ()


def test_an_out_of_band_response_is_not_cancelled() -> None:
    """Only the response of the conversation is."""
    live, service = begun()
    service.reply("hello")
    live.play(service)
    live.note(REQUEST)
    live.note(INTERRUPTED)
    service.begin(in_band=False)
    assert live.play(service) == ()
    service.begin()
    assert live.play(service) == CANCEL


def test_the_audio_that_the_service_plays_is_cleared() -> None:
    """First the response is cancelled; later audio of it is cleared when it starts."""
    live, service = begun()
    response = service.begin()
    service.send("output_audio_buffer.started", response_id=response)
    live.play(service)
    assert live.note(INTERRUPTED) == (*CANCEL, "output_audio_buffer.clear", *FLUSH)
    assert live.note(INTERRUPTED) == FLUSH
    service.send("output_audio_buffer.cleared", response_id=response)
    service.end(response, status="cancelled")
    live.play(service)
    live.note(REQUEST)
    live.note(INTERRUPTED)
    response = service.begin()
    assert live.play(service) == CANCEL
    service.send("output_audio_buffer.started", response_id=response)
    assert live.play(service) == ("output_audio_buffer.clear",)


def test_the_audio_that_the_client_plays_is_truncated() -> None:
    """All that was not heard, once; what arrives before the end of the response too."""
    live = played_to([[[100]], [[50]]], 30)
    service = Service("later")
    response = service.begin()
    live.play(service)
    truncate = "conversation.item.truncate"
    assert live.note(INTERRUPTED) == (*CANCEL, truncate, truncate, *FLUSH)
    assert live.note(INTERRUPTED) == FLUSH
    said = service.say(response, ["late"])
    live.play(service)
    live.note({"type": "duologue.played", "item_id": said["item_id"], "ms": 0})
    service.end(response, [service.finish(said, "incomplete")], "cancelled")
    assert live.play(service) == (truncate,)


def test_a_response_of_a_replaced_connection_is_not_cancelled() -> None:
    """The service of the present connection does not know it."""
    live, service = begun()
    response = service.begin()
    service.send("output_audio_buffer.started", response_id=response)
    live.play(service)
    live.epoch = 1
    live.note({"type": "duologue.connected"})
    assert live.note(INTERRUPTED) == FLUSH
    assert live.state.sessions["s"].responses.by_id[response].stopping


def test_without_a_connection_nothing_is_sent() -> None:
    """The fact still withdraws the queued request, and the received audio stops."""
    live, service = begun()
    service.begin()
    live.play(service)
    live.note(REQUEST)
    live.note({"type": "duologue.disconnected", "retrying": True})
    assert live.note(INTERRUPTED) == FLUSH
    assert live.state.sessions["s"].responses.queued is None


def test_an_interruption_of_silence_changes_nothing() -> None:
    """A later response is not cancelled; nothing is in the player to discard."""
    live, service = begun()
    assert live.note(INTERRUPTED) == FLUSH
    assert live.note(REQUEST) == CREATE
    service.begin()
    assert live.play(service) == ()


def test_outputs_that_are_sent_after_an_interruption_are_answered() -> None:
    """An interruption concerns requests, not a tool that is still running."""
    live, service = begun()
    calling("c", live=live, service=service)
    assert live.note(INTERRUPTED) == FLUSH
    assert output(live, "c") == CREATE


# The audio that was received and not played.


def test_the_audio_of_an_interrupted_response_is_discarded() -> None:
    """When the service has cleared it, and when it only begins: once for each item."""
    live, service = begun()
    live.note(REQUEST)
    live.note(INTERRUPTED)
    response = service.begin()
    assert live.play(service) == CANCEL
    delta: Frame = {"type": "response.output_audio.delta", "delta": audio(480)}
    first = {**delta, "response_id": response, "item_id": "a"}
    assert live.note(first) == FLUSH
    assert live.note(first) == ()
    assert live.note({**first, "item_id": "b"}) == FLUSH
    cleared: Frame = {"type": "output_audio_buffer.cleared", "response_id": response}
    assert live.note(cleared) == FLUSH
    service.end(response, status="cancelled")
    live.play(service)
    other = {**delta, "response_id": service.begin(), "item_id": "c"}
    live.play(service)
    assert live.note(other) == ()
    assert FlushAudio("s") in live.commands


@enough
@given(legal(4) | hostile(legal(4)))
def test_the_notice_and_the_command_have_one_rule(stream: Stream) -> None:
    """`FlushAudio` is given with `playback_cleared`, and for an interruption.

    A notice needs a change of the state; discarding twice has no effect.
    """
    state = State()
    for record in stream:
        before, state = state, reduce(state, record)
        session = state.sessions.get(record.session)
        if session is None:
            continue
        earlier = before.sessions.get(session.id) or Session(session.id)
        found = react(before, record, state).count(FlushAudio(session.id))
        told = [each.name for each in notices(earlier, record, session)]
        # A received frame of this type is no fact.
        is_local = record.dir == "local"
        is_interrupted = is_local and isinstance(record.event, ev.Interrupted)
        is_same = msgspec.structs.replace(session, dedup=earlier.dedup) == earlier
        assert found <= 1
        assert found >= ("playback_cleared" in told or is_interrupted)
        assert is_same or is_interrupted or found == ("playback_cleared" in told)
