"""Input audio: the user's speech, playing replies, and local facts about audio."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import (
    Problem,
    Session,
    TurnTimes,
    fold,
    select_is_muted,
    select_is_speaking,
    select_transcripts,
    select_turns,
)
from duologue.core.reducer.input_audio import (
    ANSWER_TIMEOUT,
    MAX_DTMF_KEYS,
    SPEECH_TIMEOUT,
    answer_deadline,
    answers_turns,
    awaited_turn,
    last_response,
    speech_deadlines,
    turn_detection,
)
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
    item = service.typed("hello", role="system")
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


def configured(**config: Any) -> Frame:
    return {"type": "session.created", "session": {"type": "realtime", **config}}


def detecting(detection: Any) -> Frame:
    return configured(audio={"input": {"turn_detection": detection}})


OPEN = configured()
SEMANTIC = {"type": "semantic_vad", "eagerness": "low"}
MANUAL = {"type": "server_vad", "create_response": False}


@pytest.mark.parametrize(
    ("frame", "kind", "answers"),
    [
        (OPEN, "ServerVad", True),
        (detecting({"type": "server_vad", "create_response": None}), "ServerVad", True),
        (detecting(SEMANTIC), "SemanticVad", True),
        (detecting(MANUAL), "ServerVad", False),
        (detecting(None), "NoneType", False),
        ({"type": "session.created", "session": None}, "ServerVad", True),
        (configured(type="transcription", id="sess"), "ServerVad", False),
    ],
)
def test_the_turns_that_a_service_answers(
    frame: Frame, kind: str, answers: bool
) -> None:
    """The default is server VAD, which answers; only a realtime session answers."""
    session = fold_frames(frame)

    assert type(turn_detection(session)).__name__ == kind
    assert answers_turns(session) is answers


def begins(response_id: str, **fields: Any) -> Frame:
    response = {"id": response_id, **fields}
    return {"type": "response.created", "response": response}


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], None),
        ([begins("r")], "r"),
        ([begins("r"), begins("s")], "s"),
        ([begins("r"), begins("s", conversation_id=None)], "r"),
        ([begins("s", conversation_id=None)], None),
    ],
)
def test_the_last_response(frames: list[Frame], expected: str | None) -> None:
    """An out-of-band response is not one of the conversation."""
    response = last_response(fold_frames(OPEN, *frames))

    assert (response and response.id) == expected


STOPPED = (1000.0, speech("speech_stopped"))
ANSWER_DUE = 1000.0 + ANSWER_TIMEOUT


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([(0.0, OPEN)], None),
        ([(0.0, OPEN), STOPPED], ANSWER_DUE),
        ([(0.0, OPEN), (None, speech("speech_stopped"))], None),
        ([(0.0, OPEN), STOPPED, (1001.0, begins("r"))], None),
        # A response that began before the turn does not answer it.
        ([(0.0, OPEN), (999.0, begins("r")), STOPPED], ANSWER_DUE),
        ([(0.0, detecting(None)), STOPPED], None),
        # A typed or committed turn has no end of speech.
        ([(0.0, OPEN), (1000.0, speech("committed"))], None),
    ],
)
def test_how_long_an_answer_may_take(
    frames: list[tuple[float | None, Frame]], expected: float | None
) -> None:
    """The wait begins at the end of the speech, and ends with the answer."""
    assert answer_deadline(timed(*frames)) == expected


def test_a_turn_of_an_earlier_connection() -> None:
    """The new connection does not answer it, so typed text need not wait for it."""
    again: Frame = {"type": "duologue.connecting"}
    frames = [(0.0, OPEN), STOPPED, (1001.0, {"type": "duologue.disconnected"})]
    records = [to_record(frame, at=at) for at, frame in frames]
    lost = fold(records).sessions["s"]
    session = fold([*records, to_record(again, at=1002.0, epoch=1)]).sessions["s"]

    assert answer_deadline(lost) == ANSWER_DUE
    assert session.activity.unanswered_item == "u"
    assert (awaited_turn(session), answer_deadline(session)) == (None, None)


def test_an_answer_to_the_same_turn_again() -> None:
    """A turn that a response has answered has no deadline, if it ends again."""
    again = (1002.0, speech("speech_stopped"))
    session = timed((0.0, OPEN), STOPPED, (1001.0, begins("r")), again)

    assert session.activity.unanswered_item == "u"
    assert answer_deadline(session) is None


def ticks(*times: float) -> list[tuple[float | None, Frame]]:
    return [(at, {"type": "duologue.tick"}) for at in times]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([ANSWER_DUE - 0.1], None),
        ([ANSWER_DUE], ANSWER_DUE),
        ([ANSWER_DUE - 0.1, ANSWER_DUE + 3, ANSWER_DUE + 4], ANSWER_DUE + 3),
    ],
)
def test_a_turn_that_is_not_answered(
    times: list[float], expected: float | None
) -> None:
    """The first tick after the deadline adds the problem; later ones do not."""
    session = timed((0.0, OPEN), STOPPED, *ticks(*times))
    problem = Problem(
        "turn_unanswered",
        "the service did not answer the user within 10 s",
        item_id="u",
        at=expected,
    )

    assert session.problems == (() if expected is None else (problem,))


STARTED = (1000.0, speech("speech_started"))
END_DUE = 1000.0 + SPEECH_TIMEOUT


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], []),
        ([STARTED], [END_DUE]),
        ([STARTED, (1005.0, speech("speech_started"))], [END_DUE]),
        ([STARTED, (1005.0, speech("speech_started", "v"))], [END_DUE + 5]),
        ([STARTED, (1005.0, speech("speech_stopped"))], []),
        ([STARTED, (1005.0, speech("committed"))], []),
        ([STARTED, (1005.0, speech("committed", "v"))], [END_DUE]),
        ([STARTED, (1005.0, CLEARED)], []),
        ([(None, speech("speech_started"))], []),
        ([(None, speech("speech_started")), *ticks(1000.0)], [END_DUE]),
        ([STARTED, *ticks(END_DUE - 0.1)], [END_DUE]),
    ],
)
def test_how_long_a_speech_may_take(
    frames: list[tuple[float | None, Frame]], expected: list[float]
) -> None:
    """The wait begins with the speech, or at the first tick of a log without times."""
    assert list(speech_deadlines(timed((0.0, OPEN), *frames))) == expected


def test_a_speech_that_does_not_end() -> None:
    """The user no longer speaks; the line is final and keeps its text."""
    delta = "conversation.item.input_audio_transcription.delta"
    words: Frame = {"type": delta, "item_id": "u", "delta": "Hel"}
    session = timed((0.0, OPEN), STARTED, (1001.0, words), *ticks(END_DUE, END_DUE + 1))
    (line,) = select_transcripts(session)

    assert (line.text, line.final) == ("Hel", True)
    assert session.activity == Activity(last_tick_at=END_DUE + 1)
    assert session.problems == (
        Problem(
            "speech_unended",
            "the service did not end the user's speech within 300 s",
            item_id="u",
            at=END_DUE,
        ),
    )


@pytest.mark.parametrize(
    ("times", "expected"), [([5.0], 5.0), ([5.0, 6.0], 5.0), ([None, 6.0], 6.0)]
)
def test_a_barge_in(times: list[float | None], expected: float) -> None:
    """Speech during a reply sets its `barge_in_at`, once."""
    speeches = [
        (at, speech("speech_started", name))
        for at, name in zip(times, "uv", strict=False)
    ]
    session = timed(
        (1.0, begins("r")), (2.0, begins("s")), (3.0, playing("started")), *speeches
    )

    assert session.responses.by_id["r"].turn.barge_in_at == expected
    assert session.responses.by_id["s"].turn.barge_in_at is None


def test_a_barge_in_on_a_response_that_is_not_known() -> None:
    """It has no times."""
    session = fold_frames(playing("started"), speech("speech_started"))

    assert (session.activity.playing, len(session.responses.by_id)) == ("r", 0)
