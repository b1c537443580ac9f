"""Input audio: the user's speech, playing replies, and local facts about audio."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import (
    Session,
    TurnTimes,
    fold,
    select_is_muted,
    select_is_speaking,
    select_transcripts,
    select_turns,
)
from duologue.core.reducer.input_audio import MAX_DTMF_KEYS
from duologue.core.state.model import Activity, DtmfKey, Part

from ..talk import Frame, Service, changed, fold_frames, to_record, to_records


def speech(what: str, item_id: str = "u", **fields: Any) -> Frame:
    return {"type": f"input_audio_buffer.{what}", "item_id": item_id, **fields}


def playing(what: str, response_id: str = "r") -> Frame:
    return {"type": f"output_audio_buffer.{what}", "response_id": response_id}


def timed(*frames: tuple[float | None, Frame]) -> Session:
    return fold(to_record(frame, at=at) for at, frame in frames).sessions["s"]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], None),
        ([speech("speech_started")], "user"),
        ([speech("speech_started"), speech("speech_stopped")], None),
        ([speech("speech_started"), speech("committed")], None),
        (
            [
                *(speech("speech_started"), speech("speech_stopped")),
                *(speech("speech_started", "v"), speech("committed")),
            ],
            "user",
        ),
        ([playing("started")], "assistant"),
        ([playing("started"), speech("speech_started")], "user"),
        ([playing("started"), playing("stopped")], None),
        ([playing("started"), playing("cleared")], None),
        ([playing("started"), playing("stopped", "other")], "assistant"),
        ([playing("started"), {"type": "duologue.disconnected"}], None),
    ],
)
def test_who_is_heard(frames: list[Frame], expected: str | None) -> None:
    """The user takes precedence; playing ends by stop, clear or a lost connection."""
    session = fold_frames({"type": "duologue.connected"}, *frames)

    assert expected == select_is_speaking(session)


def test_the_first_barge_in_counts() -> None:
    """A reply that the user interrupts twice keeps the time of the first barge-in."""
    reply = {"type": "response.created", "response": {"id": "r"}}
    session = timed(
        (1.0, reply),
        (2.0, playing("started")),
        (3.0, speech("speech_started")),
        (4.0, speech("speech_stopped")),
        (5.0, speech("speech_started", "v")),
    )

    assert session.responses.by_id["r"].turn.barge_in_at == 3.0


def test_a_placeholder_stands_from_the_start_of_speech() -> None:
    """The start of speech adds an empty line, not final, with its start time."""
    (line,) = select_transcripts(fold_frames(speech("speech_started")))

    assert (
        line.item_id,
        line.role,
        line.text,
        line.final,
        line.started_at,
    ) == ("u", "user", "", False, 1000.1)


def test_the_end_of_speech_is_before_the_silence() -> None:
    """Speech ends the silence duration before ``speech_stopped``."""
    detection = {"type": "server_vad", "silence_duration_ms": 500}
    service = Service()
    service.created(audio={"input": {"turn_detection": detection}})
    session = timed(
        (0.0, service.frames[0]),
        (1.0, speech("speech_started")),
        (3.0, speech("speech_stopped")),
        (9.0, speech("speech_stopped")),
    )

    assert session.items["u"].placement.speech_ended_at == 2.5


@pytest.mark.parametrize("silence", [10**400, -5, None, "500", True])
def test_strange_silences(silence: Any) -> None:
    """An invalid silence duration counts as zero."""
    detection = {"type": "server_vad", "silence_duration_ms": silence}
    service = Service()
    service.created(audio={"input": {"turn_detection": detection}})
    session = timed((0.0, service.frames[0]), (3.0, speech("speech_stopped")))

    assert session.items["u"].placement.speech_ended_at == 3.0


def test_without_times_there_are_none() -> None:
    """A log without times folds to turns without latencies."""
    service = Service()
    service.spoken("a")
    service.reply("b")
    session = fold(to_record(frame, at=None) for frame in service.frames).sessions["s"]
    (response_id,) = session.responses.order
    (user, _) = session.conversation.order

    assert (TurnTimes(response_id, user, None, None, None),) == select_turns(session)


def test_local_facts() -> None:
    """Mute, volume, the playing position and cleared transcripts are in the state."""
    service = Service()
    item = service.typed("hello")
    session = fold_frames(
        *service.frames,
        {"type": "duologue.muted", "muted": True},
        {"type": "duologue.volume", "volume": 0.5},
        {"type": "duologue.played", "item_id": item, "ms": 420},
        {"type": "duologue.played", "item_id": "nobody", "ms": 420},
        {"type": "duologue.cleared"},
    )

    assert Activity(muted=True, volume=0.5) == session.activity
    assert (select_is_muted(session), select_transcripts(session)) == (True, ())
    assert session.items[item].placement.played_ms == 420


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "duologue.muted", "muted": True},
        {"type": "duologue.volume", "volume": 0.5},
        {"type": "duologue.played", "item_id": "u", "ms": 5},
        {"type": "duologue.cleared"},
        {"type": "duologue.connected"},
        {"type": "duologue.closed"},
        {
            "type": "duologue.requested",
            "event": {"type": "session.update", "session": {"a": 1}},
        },
        speech("speech_started"),
        speech("committed", previous_item_id=None),
        playing("started"),
        playing("stopped"),
    ],
)
def test_the_same_again_changes_nothing(frame: Frame) -> None:
    """A repeated fact changes only the dedup node."""
    state = fold(to_records([speech("speech_started"), frame]))
    again = fold([to_record(frame, at=2000.0)], state)
    before, after = state.sessions["s"], again.sessions["s"]

    assert changed(before, after) == []


CLEARED: Frame = {"type": "input_audio_buffer.cleared"}


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], ("in_progress", (), True)),
        ([CLEARED], ("incomplete", (Part("input_audio", final=True),), False)),
        ([CLEARED, CLEARED], ("incomplete", (Part("input_audio", final=True),), False)),
        ([speech("committed", previous_item_id=None), CLEARED], None),
        ([speech("speech_stopped"), CLEARED], ("in_progress", (), False)),
    ],
)
def test_audio_that_is_thrown_away(frames: list[Frame], expected: Any) -> None:
    """Clearing the buffer closes the uncommitted line; a committed one stays open."""
    session = fold_frames(speech("speech_started"), *frames)
    item = session.items["u"]

    assert (expected or ("in_progress", (), False)) == (
        item.status,
        item.parts,
        session.activity.speaking_item == "u",
    )


def test_audio_that_is_thrown_away_after_its_item_is_complete() -> None:
    """Clearing the buffer does not change a completed item."""
    item = {"id": "u", "type": "message", "role": "user", "status": "completed"}
    done = {"type": "conversation.item.done", "item": {**item, "content": []}}
    session = fold_frames(speech("speech_started"), done, CLEARED)

    assert session.items["u"].status == "completed"
    assert session.activity == Activity()


def test_nothing_to_throw_away() -> None:
    """Without speech, clearing the buffer changes nothing."""
    assert changed(Session("s"), fold_frames(CLEARED)) == []


def test_silence_is_a_line_too() -> None:
    """A timeout adds a final, empty line of the user, which the model answers."""
    times = {"audio_start_ms": 0, "audio_end_ms": 6000}
    timeout = {**speech("timeout_triggered"), **times}
    committed = speech("committed", previous_item_id=None)
    session = fold_frames(timeout, timeout, committed)
    (line,) = select_transcripts(session)

    assert (line.role, line.text, line.final) == ("user", "", True)
    assert session.activity.unanswered_item == "u"
    assert select_is_speaking(session) is None


def test_silence_of_a_deleted_item() -> None:
    """A timeout does not restore a deleted item."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}

    assert fold_frames(deleted, speech("timeout_triggered")).items["u"].parts == ()


def test_telephone_keys() -> None:
    """Repeated keys are separate key presses; only the last ones are kept."""
    kind = "input_audio_buffer.dtmf_event_received"
    press: Frame = {"type": kind, "event": "5", "received_at": 7}
    odd = {**press, "received_at": 2**70}

    assert fold_frames(press, press, odd).activity.dtmf_keys == (
        *(DtmfKey("5", 7), DtmfKey("5", 7), DtmfKey("5", 0)),
    )
    assert len(fold_frames(*[press] * 200).activity.dtmf_keys) == MAX_DTMF_KEYS


def test_a_commit_of_what_was_deleted() -> None:
    """A commit does not restore a deleted item."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}
    state = fold(to_records([speech("speech_started"), deleted]))
    after = fold([to_record(speech("committed"), 3)], state)

    assert changed(state.sessions["s"], after.sessions["s"]) == []


FACTS: list[Frame] = [
    {"type": "duologue.muted", "muted": True},
    {"type": "duologue.volume", "volume": 0.5},
    {"type": "duologue.cleared"},
    {"type": "duologue.tick"},
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact["type"])
def test_the_same_fact_again_changes_nothing(fact: Frame) -> None:
    """A repeated local fact changes only the dedup node."""
    service = Service()
    service.typed("hello")
    before = fold(to_records([*service.frames, fact]))
    after = fold([to_record(fact, at=0.0)], before)

    assert changed(before.sessions["s"], after.sessions["s"]) == []
