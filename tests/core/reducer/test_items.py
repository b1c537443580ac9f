"""Items of the conversation, and transcriptions of the user's audio."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from duologue.core import (
    Item,
    Problem,
    Session,
    fold,
    select_transcripts,
)
from duologue.core.reducer.items import MAX_GAPS, end_deletions, finish_item
from duologue.core.reducer.parts import MAX_SEGMENTS
from duologue.core.state.model import (
    Call,
    Conversation,
    McpCall,
    Part,
    Segment,
    UnconfirmedItem,
)
from duologue.core.state.rope import Rope

from ..talk import Frame, Service, changed, fold_frames, message, to_record, to_records

ONE, TWO = Segment("1", "A", 0.5, 1.0, "hello"), Segment("2", "B", 0.5, 1.0, "you")


TRANSCRIPTION = "conversation.item.input_audio_transcription"


AT: Frame = {"item_id": "u", "content_index": 0}


def delta(text: str | None) -> Frame:
    return {"type": f"{TRANSCRIPTION}.delta", **AT, "delta": text}


def completed(text: str | None, index: int = 0) -> Frame:
    at = {**AT, "content_index": index}
    return {"type": f"{TRANSCRIPTION}.completed", **at, "transcript": text}


def partial(index: int, text: str) -> Frame:
    return {**delta(text), "content_index": index}


def failed(index: int) -> Frame:
    at = {**AT, "content_index": index}
    return {"type": f"{TRANSCRIPTION}.failed", **at, "error": {"code": "c"}}


def announced(*types: str) -> Frame:
    item = message("u", "user", [{"type": type, "text": type} for type in types])
    return {"type": "conversation.item.added", "item": item}


def lines(session: Session) -> list[tuple[str, str, bool]]:
    return [(t.role, t.text, t.final) for t in select_transcripts(session)]


def test_the_users_line_stands_before_the_answer() -> None:
    """The user's line precedes the reply even if its transcription arrives later."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    service.reply("an", " answer")
    before = fold_frames(*service.frames)
    service.transcribe(user, ["a ", "question"], fails=False)
    after = fold_frames(*service.frames)

    assert lines(before) == [("user", "", False), ("assistant", "an answer", True)]
    assert (lines(after)) == [
        ("user", "a question", True),
        ("assistant", "an answer", True),
    ]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([delta(" he"), delta("llo")], ("hello", False)),
        ([delta(" he"), completed("hello.")], ("hello.", True)),
        ([completed("hello."), delta("llo")], ("hello.", True)),
        ([delta("he"), completed("")], ("", True)),
        ([delta("he"), completed(None)], ("he", True)),
        ([delta(None)], ("", False)),
        ([completed("a"), completed("b")], ("b", True)),
    ],
)
def test_final_text_replaces_the_deltas(
    frames: list[Frame], expected: tuple[str, bool]
) -> None:
    """Final text replaces the deltas, null keeps them, and later deltas are ignored."""
    assert [("user", *expected)] == lines(fold_frames(*frames, {"type": "error"}))


GROWING = [partial(0, "what"), partial(1, "what is"), partial(2, "what is it")]
CONTINUED = [partial(0, "what"), partial(1, " is"), partial(2, " it")]
REVISED = [partial(0, "what his"), partial(1, "what is"), partial(2, "what is it")]
SPLIT = [*GROWING[:2], partial(2, "what"), partial(2, " is"), partial(2, " it")]
BACK = [*GROWING, partial(0, "what"), partial(0, " is it")]


@pytest.mark.parametrize("index", [0, 2, 3, 127, 500])
@pytest.mark.parametrize("frames", [GROWING, CONTINUED, REVISED, SPLIT, BACK])
@pytest.mark.parametrize("more", [[], [announced("input_audio")]])
def test_partial_transcripts_counted_by_the_content_index(
    frames: list[Frame], more: list[Frame], index: int
) -> None:
    """Such a service has one part: each partial replaces or continues the one before.

    Its final text can have any index, and its failure too.
    """
    open_ = fold_frames(*frames, *more)
    closed = fold_frames(*frames, completed("What is it?", index), *more)
    late = fold_frames(*frames, completed("What is it?", index), partial(3, "what is"))
    empty = fold_frames(*frames, completed("", index), *more)
    lost = fold_frames(*frames, *more, failed(index))
    found = fold_frames(*frames, failed(index), completed("It", index + 1))

    assert lines(open_) == [("user", "what is it", False)]
    assert lines(closed) == lines(late) == [("user", "What is it?", True)]
    assert (closed.dedup.late, late.dedup.late) == (0, 1)
    assert lines(empty) == [("user", "", True)]
    assert lines(lost) == [("user", "what is it", True)]
    assert lines(found) == [("user", "It", True)]
    counts = [len(each.items["u"].parts) for each in (open_, closed, lost, found)]
    assert counts == [1, 1, 1, 1]


def test_a_transcript_without_a_partial() -> None:
    """A content index that no event has named is about the audio of the item."""
    frame = completed("hello", 3)
    typed = announced("input_text")

    for frames in ([frame], [announced("input_audio"), frame], [frame, frame]):
        assert lines(fold_frames(*frames)) == [("user", "hello", True)]
    assert lines(fold_frames(typed, frame)) == [("user", "input_texthello", True)]


@pytest.mark.parametrize(
    "frames",
    [
        [announced(*["input_audio"] * 2), partial(1, "wor"), partial(0, "hello ")],
        [partial(0, "hello "), completed("hello ", 0), partial(1, "wor")],
        [partial(0, "hello "), partial(1, "wor")],
        [partial(0, "hello "), announced(*["input_audio"] * 2), partial(1, "wor")],
        [completed("hello ", 0)],
    ],
)
@pytest.mark.parametrize("end", ["world", ""])
def test_two_parts_with_audio(frames: list[Frame], end: str) -> None:
    """Each part keeps its words, even if its item does not announce it."""
    ends = [completed("hello ", 0), completed(end, 1)]
    session = fold_frames(*frames, *ends)

    assert [str(part.text) for part in session.items["u"].parts] == ["hello ", end]
    assert lines(session) == [("user", f"hello {end}".strip(), True)]


@pytest.mark.parametrize("type", ["input_text", "output_text", "input_image"])
@pytest.mark.parametrize(
    "frames", [[], [partial(0, "so")], [partial(0, "so"), partial(1, "so said")]]
)
def test_a_transcript_replaces_no_typed_words(type: str, frames: list[Frame]) -> None:
    """A transcript with the index of typed words or an image is about the audio."""
    item = announced(type, "input_audio")
    session = fold_frames(item, *frames, completed("So said.", 0))
    typed = "" if type == "input_image" else type

    assert lines(session) == [("user", f"{typed}So said.", True)]


@given(st.permutations(range(4)), st.integers(0, 2))
def test_no_final_words_are_lost(indexes: list[int], audio: int) -> None:
    """Final texts that differ are all in the line, whatever their content indexes."""
    texts = ["one ", "two ", "six ", "ten "]
    frames = [completed(texts[index], index) for index in indexes]
    content = [announced(*["input_audio"] * audio)] if audio else []
    session = fold_frames(*content, *frames)

    assert sorted(str(part.text) for part in session.items["u"].parts) == sorted(texts)
    assert [line[2] for line in lines(session)] == [True]


def test_a_segment_of_another_index() -> None:
    """It is about the last part with audio, and opens no other."""
    session = fold_frames(completed("hello"), {**segment("1", "x"), "content_index": 4})
    [part] = session.items["u"].parts

    assert [each.id for each in part.segments] == ["1"]
    assert lines(session) == [("user", "hello", True)]


def test_a_late_delta_is_counted() -> None:
    """A late delta changes only the dedup node."""
    before = fold_frames(completed("hello"))
    after = fold_frames(completed("hello"), delta("lo"))

    assert (before.dedup.late, after.dedup.late) == (0, 1)
    assert before.items == after.items


def test_the_same_words_again_change_nothing() -> None:
    """A second ``completed`` with the same text keeps the item object."""
    before = fold([to_record(completed("hello"))])
    after = fold([to_record(completed("hello"))], before)

    assert before.sessions["s"].items is after.sessions["s"].items


def test_a_failed_transcription_closes_the_line() -> None:
    """The line keeps its text and the error code, and a problem is added."""
    failed = {"type": f"{TRANSCRIPTION}.failed", **AT, "error": {"code": "c"}}
    session = fold_frames(delta("he"), failed)

    assert (Part("input_audio", Rope("he"), True, 0, "c"),) == session.items["u"].parts
    assert (Problem("transcription_failed", "c", "c", "u", 1000.2),) == session.problems


@pytest.mark.parametrize("text", ["Hello", "Hel"])
def test_words_that_come_after_a_failure(text: str) -> None:
    """A later ``completed`` sets the text and clears the error; the problem stays."""
    kind = "conversation.item.input_audio_transcription"
    at = {"item_id": "u", "content_index": 0}
    session = fold_frames(
        {"type": f"{kind}.delta", **at, "delta": "Hel"},
        {"type": f"{kind}.failed", **at, "error": {"message": "no"}},
        {"type": f"{kind}.completed", **at, "transcript": text},
    )

    assert session.items["u"].parts == (Part("input_audio", Rope(text), True),)
    assert [problem.message for problem in session.problems] == ["no"]


def test_the_same_failure_again_changes_no_item() -> None:
    """A repeated failure keeps the item object."""
    failed = {"type": f"{TRANSCRIPTION}.failed", **AT, "error": {"code": "c"}}
    before = fold([to_record(failed)])
    after = fold([to_record(failed)], before)

    assert before.sessions["s"].items is after.sessions["s"].items


@pytest.mark.parametrize("index", [-1, 10**9, 10**400])
def test_content_indexes_beyond_reason(index: int) -> None:
    """A content index out of range is ignored: it changes no text and adds no part."""
    at = {**AT, "content_index": index, "response_id": "r", "output_index": 0}
    part = {"type": "text", "text": "x"}
    session = fold_frames(
        completed("hello"),
        {"type": f"{TRANSCRIPTION}.delta", **at, "delta": "x"},
        {"type": f"{TRANSCRIPTION}.completed", **at, "transcript": "x"},
        {"type": f"{TRANSCRIPTION}.failed", **at, "error": {}},
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.content_part.done", **at, "part": part},
        {"type": "response.output_text.delta", **at, "delta": "x"},
        {"type": "response.output_text.done", **at, "text": "x"},
        {"type": "response.output_audio.delta", **at, "delta": "AAAA"},
    )

    assert lines(session)[:1] == [("user", "hello", True)]
    assert sorted(len(item.parts) for item in session.items.values()) == [0, 1]


@pytest.mark.parametrize("content", [[], [{"type": "input_audio", "transcript": None}]])
def test_without_transcription_the_line_closes(content: list[Frame]) -> None:
    """The item closes its line; the beta sends no ``done``."""
    service = Service()
    service.created(audio={"input": {"transcription": None}})
    item = message("u", "user", content)
    service.send("conversation.item.added", item=item, previous_item_id=None)
    open_ = fold_frames(*service.frames)
    service.send("conversation.item.done", item=item)

    assert lines(open_) == [("user", "", bool(content))]
    assert lines(fold_frames(*service.frames)) == [("user", "", True)]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"audio": {}},
        {"audio": {"input": None}},
        {"audio": {"input": {}}},
        {"audio": {"input": {"transcription": {"model": "m"}}}},
    ],
)
def test_with_transcription_the_line_stays_open(config: Frame) -> None:
    """The line stays open unless transcription is known to be off."""
    service = Service()
    service.created(**config)
    service.end_speech(service.start_speech())

    assert lines(fold_frames(*service.frames)) == [("user", "", False)]


def test_deleted_items_stay_deleted() -> None:
    """Events for a deleted item change only the dedup node."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}
    failed = {"type": f"{TRANSCRIPTION}.failed", **AT, "error": {}}
    item = message("u", "user", [{"type": "input_text", "text": "x"}])
    answer = {**AT, "response_id": "", "output_index": 0}
    late: list[Frame] = [
        deleted,
        delta("x"),
        completed("x"),
        failed,
        {"type": "conversation.item.added", "item": item},
        {"type": "conversation.item.done", "item": item},
        {"type": "conversation.item.truncated", **AT, "audio_end_ms": 5},
        {"type": "input_audio_buffer.committed", "item_id": "u"},
        {"type": "duologue.played", "item_id": "u", "ms": 5},
        {"type": "response.output_text.delta", **answer, "delta": "x"},
        {"type": "response.output_text.done", **answer, "text": "x"},
        {"type": "response.output_audio.delta", **answer, "delta": "AAAA"},
        {"type": "response.content_part.done", **answer, "part": {"type": "text"}},
        {"type": "response.output_item.done", "response_id": "", "item": item},
    ]
    state = fold(to_records([completed("hello"), deleted]))
    for frame in late:
        after = fold([to_record(frame)], state)
        assert state.sessions["s"].items is after.sessions["s"].items, frame

    assert lines(state.sessions["s"]) == []


def truncated(ms: Any) -> Frame:
    at = {"item_id": "a", "content_index": 0}
    return {"type": "conversation.item.truncated", **at, "audio_end_ms": ms}


def said(text: str, item_id: str = "a") -> Frame:
    part = {"type": "output_audio", "transcript": text}
    item = message(item_id, "assistant", [part])
    return {"type": "conversation.item.done", "item": item}


@pytest.mark.parametrize("text", ["", None])
@pytest.mark.parametrize("type", ["output_audio", "output_text"])
def test_an_empty_text_does_not_blank_it(type: str, text: str | None) -> None:
    """The state keeps the text of truncated audio, which the service drops."""
    part = {"type": type, "transcript": text, "text": text}
    echo = {
        "type": "conversation.item.done",
        "item": message("a", "assistant", [part]),
    }
    session = fold_frames(said("one two"), truncated(100), echo)

    assert lines(session) == [("assistant", "one two", True)]


def test_a_re_seeded_echo_changes_nothing() -> None:
    """An echo of a re-seeded item on the next connection changes nothing."""
    service = Service()
    service.created()
    user = service.spoken("hello there")
    answer = service.reply("good", " day")
    state = fold(to_records(service.frames))
    state = fold([to_record({"type": "duologue.connecting"}, epoch=1)], state)
    before = state.sessions["s"]
    echoes = [
        message(user, "user", [{"type": "input_text", "text": "hello"}]),
        message(answer, "assistant", [{"type": "output_text", "text": "good"}]),
    ]
    for n, item in enumerate(echoes):
        for type in ("added", "done"):
            frame = {
                "type": f"conversation.item.{type}",
                "event_id": f"{type} {n}",
                "item": item,
                "previous_item_id": None,
            }
            state = fold([to_record(frame, epoch=1)], state)
    after = state.sessions["s"]

    assert before.items is after.items
    assert before.conversation is after.conversation


def test_created_and_added_are_one_item() -> None:
    """``created`` and ``added`` of the same item give one item."""
    item = message("u", "user", [{"type": "input_text", "text": "a"}])
    frames = [
        {"type": f"conversation.item.{t}", "item": item, "previous_item_id": None}
        for t in ("created", "added")
    ]

    assert lines(fold_frames(*frames)) == [("user", "a", True)]


def test_calls_and_unknown_items_are_no_lines() -> None:
    """Calls and unknown items are in the order but not in the transcript."""
    items: list[Frame] = [
        {
            "id": "c",
            "type": "function_call",
            "name": "f",
            "call_id": "1",
            "arguments": "{}",
        },
        {"id": "o", "type": "function_call_output", "call_id": "1", "output": "5"},
        {"id": "n", "type": "new", "status": "completed"},
        {"id": "r", "type": "item_reference"},
    ]
    session = fold_frames(
        *({"type": "conversation.item.done", "item": item} for item in items)
    )

    assert lines(session) == []
    assert [
        (item_id, session.items[item_id].type)
        for item_id in [*session.conversation.order][:3]
    ] == [("c", "function_call"), ("o", "function_call_output"), ("n", "new")]
    call, output = session.items["c"].call, session.items["o"].call
    assert call is not None
    assert output is not None
    assert (
        call.call_id,
        call.name,
        str(call.arguments),
        call.complete,
    ) == ("1", "f", "{}", True)
    assert (output.call_id, output.output) == ("1", "5")


def test_done_for_a_tombstone_without_transcription() -> None:
    """A deleted item gets no part."""
    service = Service()
    service.created(audio={"input": {"transcription": None}})
    user = service.start_speech()
    service.send("conversation.item.deleted", item_id=user)
    service.send("conversation.item.done", item=message(user, "user", []))

    assert fold_frames(*service.frames).items[user].parts == ()


def test_the_conversation_has_a_name() -> None:
    """``conversation.created`` sets its id; an empty id changes nothing."""
    frame = {"type": "conversation.created", "conversation": {"id": "conv_1"}}
    before = fold([to_record(frame)])
    after = fold([to_record(frame), to_record({**frame, "conversation": {}})], before)

    assert before.sessions["s"].conversation.id == "conv_1"
    assert before.sessions["s"].conversation is after.sessions["s"].conversation


def segment(name: str, text: str, **fields: Any) -> Frame:
    place = {"speaker": "A", "start": 0.5, "end": 1, **fields}
    return {"type": f"{TRANSCRIPTION}.segment", **AT, "id": name, "text": text, **place}


@pytest.mark.parametrize(
    "frames",
    [
        [segment("1", "hello"), segment("2", "you", speaker="B")],
        [*[segment("1", "hello")] * 2, segment("2", "you", speaker="B")],
        [segment("1", "he"), segment("1", "hello"), segment("2", "you", speaker="B")],
    ],
)
def test_segments_stand_beside_the_text(frames: list[Frame]) -> None:
    """Segments are kept once per id and do not change the text."""
    session = fold_frames(delta("hel"), *frames, completed("hello you"))
    part = Part("input_audio", Rope("hello you"), True, segments=(ONE, TWO))

    assert (part,) == session.items["u"].parts


def test_segments_come_first_and_last() -> None:
    """A segment opens the line, and one after the final text is kept too."""
    first = fold_frames(segment("1", "hello"))
    last = fold_frames(completed("hello"), segment("1", "hello"))

    assert lines(first) == [("user", "", False)]
    assert (Part("input_audio", Rope("hello"), True, 0, None, (ONE,)),) == (
        last.items["u"].parts
    )


def test_segments_of_nothing() -> None:
    """Deleted items and indexes out of range get no segment; only the last are kept."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}
    many = [segment(str(n), "x") for n in range(MAX_SEGMENTS + 5)]
    gone = fold_frames(segment("1", "a"), deleted, segment("2", "b"))
    far = fold_frames({**segment("1", "a"), "content_index": 10**9})

    assert (gone.items["u"].parts, gone.dedup.late) == ((), 1)
    assert far.items["u"].parts == ()
    assert len(fold_frames(*many).items["u"].parts[0].segments) == MAX_SEGMENTS


def retrieved(*content: Frame, status: str | None = "completed") -> Frame:
    item = message("a", "assistant", list(content))
    return {"type": "conversation.item.retrieved", "item": {**item, "status": status}}


SPOKEN: Frame = {"type": "audio", "transcript": "good day", "audio": "AAAA"}


@pytest.mark.parametrize("content", [[], [{"type": "audio"}], [SPOKEN], [SPOKEN] * 2])
def test_retrieved_never_blanks_or_doubles(content: list[Frame]) -> None:
    """A retrieved item changes neither the final text nor the truncation."""
    service = Service()
    item_id = service.reply("good day, sir")
    at = {"item_id": item_id, "content_index": 0, "audio_end_ms": 5}
    service.send("conversation.item.truncated", **at)
    frame = retrieved(*content)
    frame["item"]["id"] = item_id
    before = fold_frames(*service.frames).items[item_id]
    after = fold_frames(*service.frames, frame).items[item_id]

    assert before.parts == after.parts[:1]
    assert before.truncation == after.truncation


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([retrieved(SPOKEN)], ("good day", True)),
        ([retrieved(SPOKEN, status="in_progress")], ("good day", False)),
        ([retrieved()], ("", True)),
    ],
)
def test_retrieved_fills_in_what_was_missed(
    frames: list[Frame], expected: tuple[str, bool]
) -> None:
    """A retrieved item that was unknown is added with its text."""
    assert [("assistant", *expected)] == lines(fold_frames(*frames))


def test_retrieved_while_it_is_said() -> None:
    """A retrieved item in progress does not disturb its deltas."""
    at = {"item_id": "a", "response_id": "r", "content_index": 0}
    kind = "response.output_audio_transcript.delta"
    frames = [{"type": kind, **at, "delta": text} for text in ("good ", "day, ", "sir")]
    session = fold_frames(
        *frames[:2], retrieved(SPOKEN, status="in_progress"), frames[2]
    )

    assert lines(session) == [("assistant", "good day, sir", False)]


def test_the_phase_of_an_item() -> None:
    """The phase is set by ``added``; an echo without it does not clear it."""
    item = {**message("a", "assistant", []), "phase": "commentary"}
    frames = [
        {"type": "conversation.item.added", "item": item},
        {"type": "conversation.item.done", "item": message("a", "assistant", [])},
    ]
    placement = fold_frames(*frames).items["a"].placement

    assert placement.phase == "commentary"


def test_a_gap_is_marked() -> None:
    """A gap adds a problem and the id of the last item before it."""
    service = Service()
    gap = {"type": "duologue.gap", "reason": "overrun"}
    item_id = service.typed("hello")
    session = fold_frames(gap, *service.frames, {**gap, "reason": ""})

    assert session.conversation.gaps == ("", item_id)
    assert session.problems == (
        Problem("gap", "overrun", at=1000.1),
        Problem("gap", "records are missing", at=1000.5),
    )


def test_the_last_gaps() -> None:
    """Only the last gaps are kept; older ones are in the log."""
    gaps = [{"type": "duologue.gap", "reason": "x"}] * (MAX_GAPS + 5)

    assert len(fold_frames(*gaps).conversation.gaps) == MAX_GAPS


def test_later_lines_show_after_clearing() -> None:
    """Clearing hides only the lines that exist at that time."""
    service = Service()
    service.typed("old")
    service.frames.append({"type": "duologue.cleared"})
    service.typed("new")

    assert [t.text for t in select_transcripts(fold_frames(*service.frames))] == ["new"]


HELLO = [{"type": "output_text", "text": "hello"}]


def shown(item: Frame, what: str = "done") -> Frame:
    return {"type": f"conversation.item.{what}", "item": item}


def output_delta(item_id: str = "i") -> Frame:
    at = {"response_id": "r", "item_id": item_id, "content_index": 0}
    return {"type": "response.output_text.delta", **at, "delta": "hel"}


def wire_call(status: str, arguments: str) -> Frame:
    item = {"id": "i", "type": "function_call", "call_id": "c", "name": "f"}
    return {**item, "status": status, "arguments": arguments}


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ([shown(message("i", "assistant", []), "added")], "in_progress"),
        ([shown(message("i", "user", [], "in_progress"), "added")], "in_progress"),
        ([shown(message("i", "user", []), "added")], "completed"),
        ([shown(message("i", "assistant", [], "in_progress"))], "completed"),
        ([shown(message("i", "assistant", HELLO, "incomplete"))], "incomplete"),
        ([shown(message("i", "user", [], "odd"), "added")], "in_progress"),
        ([shown(wire_call("completed", ""), "added")], "in_progress"),
        ([shown(wire_call("completed", "{}"), "added")], "completed"),
        ([shown(wire_call("in_progress", "{}"))], "in_progress"),
    ],
)
def test_when_an_item_is_over(frames: list[Frame], status: str) -> None:
    """An item ends with ``done``, or with ``added`` if it is already complete."""
    assert status == fold_frames(*frames).items["i"].status


def test_incomplete_once_is_incomplete_for_good() -> None:
    """A later copy does not change the status `incomplete`."""
    cut = shown(message("i", "assistant", HELLO, "incomplete"))
    echo = shown(message("i", "assistant", HELLO))

    assert fold_frames(cut, echo).items["i"].status == "incomplete"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (message("i", "system", []), ("message", "system")),
        ({"id": "i", "type": "new"}, ("new", "assistant")),
        (message("i", "", []), ("message", "assistant")),
    ],
)
def test_its_type_and_role(item: Frame, expected: tuple[str, str]) -> None:
    """Type and role of the item replace those assumed from a delta."""
    found = fold_frames(output_delta(), shown(item, "added")).items["i"]

    assert expected == (found.type, found.role)


@pytest.mark.parametrize("what", ["added", "done", "retrieved"])
@pytest.mark.parametrize(
    "item",
    [
        message("i", "assistant", HELLO),
        {"id": "i", "type": "function_call", "call_id": "c", "arguments": "{}"},
        {"id": "i", "type": "function_call_output", "call_id": "c", "output": "5"},
        {"id": "i", "type": "mcp_call", "error": {"type": "t"}},
        {"id": "i", "type": "mcp_list_tools", "tools": [{"name": "f"}]},
        {"id": "i", "type": "mcp_approval_request"},
        {"id": "i", "type": "mcp_approval_response", "approve": True},
        {"id": "i", "type": "new", "status": "completed"},
        {"type": "message"},
    ],
)
def test_the_same_again_changes_nothing(item: Frame, what: str) -> None:
    """A repeated item changes only the dedup node."""
    before = fold([to_record(shown(item, what))])
    after = fold([to_record(shown(item, what))], before)

    assert changed(before.sessions["s"], after.sessions["s"]) == []


def test_a_tombstone_stays_one() -> None:
    """A later copy does not restore a deleted item."""
    deleted = {"type": "conversation.item.deleted", "item_id": "i"}
    item = {"id": "i", "type": "mcp_call", "error": {"type": "t"}}
    session = fold_frames(deleted, shown(item), shown(message("i", "user", HELLO)))

    assert (session.items["i"].status, session.items["i"].parts) == ("deleted", ())
    assert session.problems == ()


def test_an_echo_of_an_epoch_before() -> None:
    """An echo on a later connection changes neither the text nor the end time."""
    again = shown(message("i", "user", [{"type": "input_text", "text": "other"}]))
    session = fold(
        [
            to_record(shown(message("i", "user", HELLO)), at=1.0),
            to_record({"type": "duologue.connected"}, epoch=1),
            to_record(again, at=9.0, epoch=1),
        ]
    ).sessions["s"]

    assert (Part("output_text", Rope("hello"), True),) == session.items["i"].parts
    assert session.items["i"].placement.finished_at == 1.0


@pytest.mark.parametrize("item_id", [None, ""])
def test_an_item_without_an_id(item_id: Any) -> None:
    """An item without an id is ignored."""
    assert len(fold_frames(shown(message(item_id, "user", []))).items) == 0


def test_the_phase() -> None:
    """The phase stays if a later copy leaves it out."""
    item = message("i", "assistant", HELLO)
    frames = [shown({**item, "phase": "commentary"}), shown(item)]

    assert fold_frames(*frames, frames[0]).items["i"].placement.phase == "commentary"


def test_why_a_call_failed() -> None:
    """A failed call is one problem; a new error replaces its message."""
    wire_call = {"id": "i", "type": "mcp_call", "error": {"type": "t"}}
    other = {**wire_call, "error": {"type": "t", "message": "m"}}
    session = fold_frames(
        shown(wire_call),
        shown(wire_call),
        shown(other),
        shown({**wire_call, "error": None}),
    )

    assert [(p.kind, p.message, p.code) for p in session.problems] == [
        ("mcp_failed", "m", "t")
    ]


def test_finishing_closes_what_grows() -> None:
    """The end of an item makes its parts and its arguments final, once."""
    item = Item("i", role="assistant", parts=(Part("output_text", Rope("a")),))
    wire_call = Item("c", "mcp_call", call=Call(running=True, mcp=McpCall("maps")))

    assert (Part("output_text", Rope("a"), True),) == finish_item(
        item, 5.0, "completed"
    ).parts
    assert Call(final=True, complete=True, mcp=McpCall("maps")) == (
        finish_item(wire_call, 5.0, "failed").call
    )
    assert (
        finish_item(
            finish_item(wire_call, 5.0, "failed"), 6.0, "failed"
        ).placement.finished_at
        == 5
    )


def test_clearing_twice_changes_nothing() -> None:
    """The mark is at the last item already."""
    cleared = {"type": "duologue.cleared"}
    before = fold([to_record(cleared)])
    after = fold([to_record(cleared, at=0.0)], before)

    assert changed(before.sessions["s"], after.sessions["s"]) == []


def test_deletions_that_were_not_confirmed() -> None:
    """Their items are deleted with the connection, and are not sent again."""
    a, b, gone = (UnconfirmedItem(each, None, "{}") for each in ("a", "b", "?"))
    items = Map({"a": Item("a", "message", "user"), "b": Item("b", "message", "user")})
    conversation = Conversation(unconfirmed=(a, b), deleting=(a, gone))
    session = Session("s", items=items, conversation=conversation)
    tombstone = Item("a", "message", "user", "deleted")
    expected = Session(
        "s",
        items=items.set("a", tombstone),
        conversation=Conversation(unconfirmed=(b,)),
    )

    assert end_deletions(session) == expected
    assert end_deletions(expected) is expected
