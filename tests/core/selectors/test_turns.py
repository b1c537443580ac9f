"""Responses and the latencies of turns."""

from __future__ import annotations

from duologue.core import (
    TurnTimes,
    select_metadata,
    select_responses,
    select_turn,
    select_turns,
)

from ..talk import Service, fold_frames, talked


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
