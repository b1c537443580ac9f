"""Responses and the latencies of turns."""

from __future__ import annotations

import pytest

from duologue.core import (
    Answer,
    Session,
    TurnTimes,
    select_answers,
    select_metadata,
    select_responses,
    select_turn,
    select_turns,
)
from duologue.core.reducer.handler import put_response
from duologue.core.state.model import Input, Response, Turn

from ..effects.live import Live
from ..talk import Frame, Service, fold_frames, talked


def test_turns_whole() -> None:
    """A text reply has a text latency and no audio latency."""
    session = fold_frames(*talked().frames)
    user, _ = session.conversation.order
    (response,) = session.responses.order

    assert (TurnTimes(response, user, None, 1000.0, None),) == select_turns(session)


def test_responses_in_their_order() -> None:
    """Out-of-band responses are listed, but have no turn."""
    service = talked()
    service.reply("aside", in_band=False)
    session = fold_frames(*service.frames)

    assert [r.in_conversation for r in select_responses(session)] == [True, False]
    assert len(select_turns(session)) == 1


def test_the_latencies_of_a_turn() -> None:
    """Latencies are in ms from the end of speech, and from the barge-in to silence."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    response = service.begin()
    service.send("output_audio_buffer.started", response_id=response)
    service.say(response, ["a"])
    service.start_speech()
    service.send("output_audio_buffer.cleared", response_id=response)
    session = fold_frames(*service.frames)
    at = {frame["type"]: n * 100 for n, frame in enumerate(service.frames)}
    ended = at["input_audio_buffer.speech_stopped"]
    audio = at["output_audio_buffer.started"] - ended
    text = at["response.output_audio_transcript.delta"] - ended

    assert (TurnTimes(response, user, audio, text, 100.0),) == select_turns(session)


def test_the_turn_of_an_item() -> None:
    """Only an item of a reply in the conversation has a turn."""
    service = talked()
    aside = service.reply("aside", in_band=False)
    session = fold_frames(*service.frames)
    user, answer = session.conversation.order

    assert select_turn(session, answer) == select_turns(session)[0]
    assert [select_turn(session, item) for item in (user, aside, "nobody's")] == [
        None
    ] * 3


def test_the_metadata_of_an_item() -> None:
    """The metadata of an item is that of its response, or empty."""
    service = Service()
    user = service.typed("hello")
    said = service.say(service.begin(metadata={"a": "b"}), ["good"])
    session = fold_frames(*service.frames)

    assert (
        select_metadata(session, said["item_id"]),
        select_metadata(session, user),
        select_metadata(session, "nobody's"),
    ) == ({"a": "b"}, {}, {})


def test_the_latency_of_each_kind_of_input() -> None:
    """It counts from the end of speech, or from the message or output as sent."""
    live, service = Live(), Service()

    def reply() -> str:
        service.reply("Hi.", spoken=False)
        live.play(service)
        return live.state.sessions["s"].responses.order.last or ""

    service.created()
    greeting = reply()
    spoken = service.start_speech()
    service.end_speech(spoken)
    live.play(service)
    responses = [reply()]
    item: Frame = {"id": "m", "type": "message", "role": "user", "content": []}
    live.note({"type": "conversation.item.create", "item": item}, "out")
    live.note({"type": "response.create"}, "out")
    service.put(item)
    service.end(
        calling := service.begin(), [made := service.call(calling, "look", ["{}"])]
    )
    output = service.answer(made["call_id"], "1")
    live.play(service)
    responses += [calling, reply()]
    other = reply()
    session = live.state.sessions["s"]
    by_id = session.responses.by_id
    sent = session.items[made["id"]].placement.tool_at
    starts = [
        session.items[spoken].placement.speech_ended_at,
        (session.items["m"].placement.started_at or 0.0) - 0.2,
        sent,
    ]
    ms = [
        None if text is None else round((text - (start or 0.0)) * 1000, 1)
        for text, start in zip(
            (by_id[name].turn.first_text_at for name in responses), starts, strict=True
        )
    ]
    assert select_answers(session) == (
        Answer(greeting, "nothing"),
        Answer(responses[0], "spoken", (spoken,), pytest.approx(starts[0]), ms[0]),
        Answer(responses[1], "typed", ("m",), pytest.approx(starts[1])),
        Answer(responses[2], "tool_output", (output,), pytest.approx(starts[2]), ms[2]),
        Answer(other, "unknown"),
    )
    assert [turn.first_text_ms for turn in select_turns(session)] == [
        *(100.0 * 4, ms[0], None, ms[2], None)
    ]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response("r", announced=True), Answer("r", "unknown")),
        (
            Response(
                "r", announced=True, turn=Turn("u", 1.0, 1.5, 2.0), answers=("m",)
            ),
            Answer("r", "spoken", ("m", "u"), 1.0, 1000.0),
        ),
        (
            Response("r", announced=True, turn=Turn(None, None, 1.5, 2.0), inputs=()),
            Answer("r", "nothing"),
        ),
        (
            Response("r", announced=True, inputs=(Input("", "typed", 1.0),)),
            Answer("r", "typed", (), 1.0),
        ),
    ],
)
def test_the_answer_of_a_response(response: Response, expected: Answer) -> None:
    """A snapshot of an earlier version has the speech and the messages only."""
    assert _selected(response) == (expected,)


def test_a_response_that_is_not_announced() -> None:
    """It may be out of band, so it answers nothing yet."""
    assert _selected(Response("r")) == ()


def _selected(response: Response) -> tuple[Answer, ...]:
    return select_answers(put_response(Session("s"), response))
