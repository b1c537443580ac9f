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

    def sent(item: Frame) -> float:
        live.note({"type": "conversation.item.create", "item": item}, "out")
        at = live.at
        live.note({"type": "response.create"}, "out")
        service.put(item)
        return at

    def replied() -> tuple[str, float]:
        response = service.begin()
        live.play(service)
        said = service.say(response, ["Hi."], spoken=False)
        service.end(response, [service.finish(said)])
        live.play(service)
        text = live.state.sessions["s"].responses.by_id[response].turn.first_text_at
        return response, text or 0.0

    service.created()
    live.play(service)
    created_at = live.at + 0.1
    greeting, greeted_at = replied()
    spoken = service.start_speech()
    service.send("input_audio_buffer.speech_stopped", item_id=spoken)
    live.play(service)
    stopped_at = live.at
    service.end_speech(spoken)
    heard, heard_at = replied()
    typed_at = sent({"id": "m", "type": "message", "role": "user", "content": []})
    calling = service.begin()
    made = service.call(calling, "look", ["{}"])
    service.end(calling, [made])
    live.play(service)
    output: Frame = {"id": "o", "type": "function_call_output", "output": "1"}
    output_at = sent({**output, "call_id": made["call_id"]})
    found, found_at = replied()
    other, _ = replied()
    session = live.state.sessions["s"]

    def ms(start: float, end: float) -> float:
        return round((end - start) * 1000, 1)

    assert select_answers(session) == (
        Answer(greeting, "nothing"),
        Answer(heard, "spoken", (spoken,), stopped_at, ms(stopped_at, heard_at)),
        Answer(calling, "typed", ("m",), typed_at),
        Answer(found, "tool_output", ("o",), output_at, ms(output_at, found_at)),
        Answer(other, "unknown"),
    )
    assert select_turns(session) == (
        TurnTimes(greeting, None, None, ms(created_at, greeted_at), None),
        TurnTimes(heard, spoken, None, ms(stopped_at, heard_at), None),
        TurnTimes(calling, None, None, None, None),
        TurnTimes(found, None, None, ms(output_at, found_at), None),
        TurnTimes(other, None, None, None, None),
    )


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
