"""Who is speaking: the user's turns, the playing of replies, mute and volume."""

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
    """The user comes first; playing ends by its own end, by a cut or with the line."""
    session = fold_frames({"type": "duologue.connected"}, *frames)

    assert expected == select_is_speaking(session)


def test_a_placeholder_stands_from_the_start_of_speech() -> None:
    """Without text, not final, with the time of its beginning."""
    (line,) = select_transcripts(fold_frames(speech("speech_started")))

    assert (
        line.item_id,
        line.role,
        line.text,
        line.final,
        line.started_at,
    ) == ("u", "user", "", False, 1000.1)


def test_the_end_of_speech_is_before_the_silence() -> None:
    """The service says "stopped" after the silence that it waits for."""
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
    """They count for nothing."""
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


def turn() -> tuple[Service, str, str]:
    """A user who spoke, and a reply that began."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    response = service.begin()
    return service, user, response


def test_the_times_of_a_turn() -> None:
    """First text and audio since the end of speech; silence since the barge-in."""
    service, user, response = turn()
    said = service.say(response, ["Hello there"])
    session = timed(
        *((1.0, frame) for frame in service.frames[:1]),
        *((2.0, frame) for frame in service.frames[1:6]),
        *((2.5, f) for f in service.frames[6:] if "audio.delta" not in f["type"]),
        (3.0, playing("started", response)),
        (3.1, playing("started", response)),
        (4.0, speech("speech_started", "v")),
        (4.1, speech("speech_started", "w")),
        (4.25, playing("cleared", response)),
        (4.5, playing("cleared", response)),
    )

    assert (TurnTimes(response, user, 1000.0, 500.0, 250.0),) == select_turns(session)
    assert (
        session.items[said["item_id"]].truncation.audio_end_ms,  # type: ignore[union-attr]
        session.items[said["item_id"]].truncation.heard,  # type: ignore[union-attr]
    ) == (1250, "Hello there")


def test_audio_that_is_played_out() -> None:
    """The turn knows when; a second time does not count."""
    service, _, response = turn()
    session = timed(
        *((1.0, frame) for frame in service.frames),
        (2.0, playing("started", response)),
        (5.0, playing("stopped", response)),
        (6.0, playing("stopped", response)),
    )

    assert session.responses.by_id[response].turn.audio_finished_at == 5.0


@pytest.mark.parametrize(
    ("start", "end"), [(5.0, 1.0), (-1e308, 1e308), (float("nan"), 5.0), (0.0, 1e9)]
)
def test_times_that_cannot_be(start: float, end: float) -> None:
    """They tell of no interruption, and raise nothing."""
    service, _, response = turn()
    said = service.say(response, ["Hello"])
    session = timed(
        *((start, frame) for frame in service.frames),
        (start, playing("started", response)),
        (end, playing("cleared", response)),
    )

    assert session.items[said["item_id"]].truncation is None


def test_a_cut_marks_the_message_not_the_call() -> None:
    """The last thing said was cut off, whatever else the response made."""
    service, _, response = turn()
    said = service.say(response, ["Hello"])
    call = {"id": "c", "type": "function_call", "status": "in_progress"}
    service.send("response.output_item.added", response_id=response, item=call)
    service.send("output_audio_buffer.started", response_id=response)
    service.send("output_audio_buffer.cleared", response_id=response)
    session = fold_frames(*service.frames)

    assert session.items["c"].truncation is None
    assert session.items[said["item_id"]].truncation is not None


def test_a_cut_of_nothing() -> None:
    """A response without a message has nothing to mark."""
    service, _, response = turn()
    service.send("output_audio_buffer.started", response_id=response)
    service.send("output_audio_buffer.cleared", response_id=response)

    assert [
        item.truncation for item in fold_frames(*service.frames).items.values()
    ] == [None]


def test_the_services_time_replaces_ours() -> None:
    """What we worked out from the clock gives way to ``truncated``."""
    service, _, response = turn()
    said = service.say(response, ["Hello there you"])
    service.send("output_audio_buffer.started", response_id=response)
    service.send("output_audio_buffer.cleared", response_id=response)
    ours = fold_frames(*service.frames)
    at = {"item_id": said["item_id"], "content_index": 0}
    service.send("conversation.item.truncated", **at, audio_end_ms=420)
    theirs = fold_frames(*service.frames)

    assert [
        (cut.audio_end_ms, cut.confirmed)
        for session in (ours, theirs)
        if (cut := session.items[said["item_id"]].truncation)
    ] == [(200, False), (420, True)]


def test_local_facts() -> None:
    """Mute, volume, the playing position and cleared transcripts are in state."""
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
    """A fact that is known already leaves every node but the dedup."""
    state = fold(to_records([speech("speech_started"), frame]))
    again = fold([to_record(frame, at=2000.0)], state)
    before, after = state.sessions["s"], again.sessions["s"]

    assert changed(before, after) == []


def test_later_lines_show_after_clearing() -> None:
    """Only what stood when the user cleared is gone."""
    service = Service()
    service.typed("old")
    service.frames.append({"type": "duologue.cleared"})
    service.typed("new")

    assert [t.text for t in select_transcripts(fold_frames(*service.frames))] == ["new"]


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
    """No words of it will come, so its line closes; what is committed stays."""
    session = fold_frames(speech("speech_started"), *frames)
    item = session.items["u"]

    assert (expected or ("in_progress", (), False)) == (
        item.status,
        item.parts,
        session.activity.speaking_item == "u",
    )


def test_audio_that_is_thrown_away_after_its_item_is_complete() -> None:
    """It was not thrown away."""
    item = {"id": "u", "type": "message", "role": "user", "status": "completed"}
    done = {"type": "conversation.item.done", "item": {**item, "content": []}}
    session = fold_frames(speech("speech_started"), done, CLEARED)

    assert session.items["u"].status == "completed"
    assert session.activity == Activity()


def test_nothing_to_throw_away() -> None:
    """Without speech it says nothing."""
    assert changed(Session("s"), fold_frames(CLEARED)) == []


def test_silence_is_a_line_too() -> None:
    """Of the user, without words, final from the start; the model answers it."""
    times = {"audio_start_ms": 0, "audio_end_ms": 6000}
    timeout = {**speech("timeout_triggered"), **times}
    committed = speech("committed", previous_item_id=None)
    session = fold_frames(timeout, timeout, committed)
    (line,) = select_transcripts(session)

    assert (line.role, line.text, line.final) == ("user", "", True)
    assert session.activity.unanswered_item == "u"
    assert select_is_speaking(session) is None


def test_silence_of_a_deleted_item() -> None:
    """Nothing brings it back."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}

    assert fold_frames(deleted, speech("timeout_triggered")).items["u"].parts == ()


def test_telephone_keys() -> None:
    """The same key again is another press; the last ones are kept."""
    kind = "input_audio_buffer.dtmf_event_received"
    press: Frame = {"type": kind, "event": "5", "received_at": 7}
    odd = {**press, "received_at": 2**70}

    assert fold_frames(press, press, odd).activity.dtmf_keys == (
        *(DtmfKey("5", 7), DtmfKey("5", 7), DtmfKey("5", 0)),
    )
    assert len(fold_frames(*[press] * 200).activity.dtmf_keys) == MAX_DTMF_KEYS


def test_a_commit_of_what_was_deleted() -> None:
    """It does not come back."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}
    state = fold(to_records([speech("speech_started"), deleted]))
    after = fold([to_record(speech("committed"), 3)], state)

    assert changed(state.sessions["s"], after.sessions["s"]) == []


def test_an_answer_without_audio_is_not_cut_off() -> None:
    """Its playback was cleared, and nothing that could be heard was lost."""
    service, _, response = turn()
    said = service.say(response, ["Hello"], spoken=False)
    session = fold_frames(*service.frames, playing("cleared", response))

    assert session.items[said["item_id"]].truncation is None
    assert session.responses.by_id[response].turn.interrupted_at is not None


def test_what_was_played_to_its_end_is_not_cut_off() -> None:
    """Clearing an empty buffer interrupts nobody."""
    service, _, response = turn()
    said = service.say(response, ["Hello"])
    frames = [playing("started", response), playing("stopped", response)]
    session = fold_frames(*service.frames, *frames, playing("cleared", response))

    assert session.items[said["item_id"]].truncation is None
    assert session.responses.by_id[response].turn.interrupted_at is None
