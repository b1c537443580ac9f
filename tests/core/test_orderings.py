"""Orders of events from real traffic, in synthetic streams."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Session, select_transcripts, select_turns

from .talk import Frame, Service, fold_frames, message

WORDS = "conversation.item.input_audio_transcription"


def lines(session: Session) -> list[tuple[str, str, bool]]:
    return [(t.role, t.text, t.final) for t in select_transcripts(session)]


def test_a_transcription_before_its_item() -> None:
    """A transcription delta creates the item; `added` only places it."""
    service = Service()
    first = service.typed("hello")
    item_id = service.name("item")
    service.hear(item_id, "how ")
    service.put(message(item_id, "user", [{"type": "input_audio"}]))
    service.transcribe(item_id, ["how ", "are you?"])
    session = fold_frames(*service.frames)

    assert [first, item_id] == list(session.conversation.order)
    assert lines(session) == [("user", "hello", True), ("user", "how are you?", True)]


@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_late_transcription_stays_before_the_answer(when: str) -> None:
    """The line is reserved when the user begins to speak."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    if when == "before":
        service.transcribe(user, ["what ", "time?"])
    response = service.begin()
    said = service.say(response, ["Three"])
    if when == "within":
        service.transcribe(user, ["what ", "time?"])
    service.utter(said, " o'clock.")
    service.end(response, [service.finish(said)])
    if when == "after":
        service.transcribe(user, ["what ", "time?"])

    assert lines(fold_frames(*service.frames)) == [
        ("user", "what time?", True),
        ("assistant", "Three o'clock.", True),
    ]


def test_a_null_predecessor_on_done_moves_nothing() -> None:
    """`added` named a predecessor; `done` of an item of the model has null."""
    service = Service()
    user = service.spoken("hello")
    reply = service.reply("Hi.")
    nulls = [
        frame
        for frame in service.frames
        if frame["type"] == "conversation.item.done"
        and frame["previous_item_id"] is None
    ]
    session = fold_frames(*service.frames)

    assert nulls
    assert [user, reply] == list(session.conversation.order)


@pytest.mark.parametrize("twins", ["output first", "conversation first"])
def test_the_two_events_of_an_item_in_either_order(twins: str) -> None:
    """The two ``added`` events of an item can arrive in either order."""
    service = Service()
    service.typed("hello")
    service.reply("Hi.")
    frames = list(service.frames)
    at = [f["type"] for f in frames].index("response.output_item.added")
    assert frames[at + 1]["type"] == "conversation.item.added"
    if twins == "conversation first":
        frames[at], frames[at + 1] = frames[at + 1], frames[at]
    session = fold_frames(*frames)

    assert lines(session) == [("user", "hello", True), ("assistant", "Hi.", True)]
    assert session.dedup.late == 0


@pytest.mark.parametrize(
    "first", ["input_audio_buffer.speech_started", "input_audio_buffer.committed"]
)
def test_an_item_is_named_before_it_exists(first: str) -> None:
    """Speech events add a line without text before its item exists."""
    frame: Frame = {"type": first, "event_id": "e1", "item_id": "item_1"}
    session = fold_frames(frame)

    assert lines(session) == [("user", "", False)]


def test_the_final_text_replaces_deltas_that_differ_by_a_space() -> None:
    """The deltas begin with a space, the final text does not."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    for piece in (" What", " time", "?"):
        service.hear(user, piece)
    at: dict[str, Any] = {"item_id": user, "content_index": 0}
    service.send(f"{WORDS}.completed", **at, transcript="What time?")
    [part] = fold_frames(*service.frames).items[user].parts

    assert (str(part.text), part.final) == ("What time?", True)


def test_deltas_join_to_the_final_text() -> None:
    """``done`` changes nothing but `final` if the deltas are complete."""
    service = Service()
    said = service.say(service.begin(), ["It ", "is ", "three."])
    [before] = lines(fold_frames(*service.frames))
    service.finish(said)
    [after] = lines(fold_frames(*service.frames))

    assert before == ("assistant", "It is three.", False)
    assert after == ("assistant", "It is three.", True)


def test_rate_limits_come_after_the_response() -> None:
    """Rate limits after the response do not reopen it."""
    service = Service()
    service.reply("Hi.")
    service.send("rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 9}])
    session = fold_frames(*service.frames)

    assert session.responses.active is None
    assert lines(session) == [("assistant", "Hi.", True)]


@pytest.mark.parametrize(
    "usage",
    [
        {"type": "duration", "seconds": 1.5},
        {"type": "tokens", "input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        None,
    ],
)
def test_the_usage_of_a_transcription(usage: Frame | None) -> None:
    """Usage in seconds, in tokens, or absent gives the same final line."""
    at: dict[str, Any] = {"item_id": "item_1", "content_index": 0}
    words: Frame = {"type": f"{WORDS}.completed", "transcript": "hello", **at}
    session = fold_frames({**words, "usage": usage})

    assert lines(session) == [("user", "hello", True)]
    assert session.dedup.malformed == 0


def test_two_items_of_the_assistant_interleave() -> None:
    """Each keeps its own text, however late its `done` is."""
    service = Service()
    service.typed("hello")
    response = service.begin()
    one = service.say(response, ["thin"], index=0)
    two = service.say(response, ["spea"], index=1)
    service.utter(one, "king")
    service.utter(two, "king")
    output = [service.finish(two), service.finish(one)]
    service.end(response, output)

    assert lines(fold_frames(*service.frames)) == [
        ("user", "hello", True),
        ("assistant", "thinking", True),
        ("assistant", "speaking", True),
    ]


def test_a_silence_that_is_answered() -> None:
    """The silent line follows the items that the service inserts before it.

    In a recorded idle timeout (OpenAI, September 2026) this is a system message, and an
    empty transcription arrives during the answer.
    """
    service = Service()
    user = service.typed("hi")
    answer = service.reply("Hi there")
    silent = service.name("item")
    service.send("input_audio_buffer.timeout_triggered", item_id=silent)
    nudge = service.typed("nobody speaks", role="system")
    service.send("input_audio_buffer.committed", item_id=silent, previous_item_id=nudge)
    service.put(message(silent, "user", [{"type": "input_audio"}]))
    response = service.begin()
    said = service.say(response, ["Still here?"])
    service.transcribe(silent, [""])
    service.end(response, [service.finish(said)])
    session = fold_frames(*service.frames)

    assert list(session.conversation.order) == [
        *(user, answer, nudge, silent),
        said["item_id"],
    ]
    assert lines(session) == [
        ("user", "hi", True),
        ("assistant", "Hi there", True),
        ("user", "", True),
        ("assistant", "Still here?", True),
    ]
    assert select_turns(session)[-1].item_id == silent
