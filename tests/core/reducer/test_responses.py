"""Responses: their items, their parts and their ends."""

from __future__ import annotations

from typing import Any

import pytest
from immutables import Map
from msgspec.structs import replace

from duologue.core import (
    Problem,
    Session,
    Usage,
    fold,
    select_metadata,
    select_transcripts,
    select_turns,
    select_usage,
)
from duologue.core.reducer.requests.answers import REQUEST_TIMEOUT
from duologue.core.reducer.responses import SILENCE_TIMEOUT, silence_deadlines
from duologue.core.state.model import Part
from duologue.core.state.rope import Rope

from ..talk import (
    Frame,
    Service,
    audio,
    changed,
    fold_frames,
    message,
    to_record,
    to_records,
)


def texts(session: Session) -> list[tuple[str, bool]]:
    return [(t.text, t.final) for t in select_transcripts(session)]


def test_a_reply_grows_and_ends() -> None:
    """Deltas append, the final text replaces them, and ``done`` ends the response."""
    service = Service()
    response = service.begin()
    said = service.say(response, ["good", " day"])
    during = fold_frames(*service.frames)
    service.end(response, [service.finish(said)])
    after = fold_frames(*service.frames)

    assert ([("good day", False)], response) == (
        texts(during),
        during.responses.active,
    )
    assert (texts(after), after.responses.active) == ([("good day", True)], None)
    assert after.responses.by_id[response].status == "completed"
    assert after.items[said["item_id"]].status == "completed"


def test_deltas_alone_are_enough() -> None:
    """Deltas without any announcement give an item of the assistant."""
    service = Service()
    said = service.say(service.begin(), ["good", " day"])
    frames = [f for f in service.frames if f["type"].endswith("transcript.delta")]
    session = fold_frames(*frames)

    assert texts(session) == [("good day", False)]
    assert session.items[said["item_id"]].role == "assistant"


def test_the_first_text_is_the_first_that_says_something() -> None:
    """The first delta that is not empty sets `first_text_at`, once."""
    service = Service()
    response = service.begin()
    said = service.say(response, [], spoken=False)
    for text in ("", "good", "", " day"):
        service.utter(said, text)
    records = to_records(service.frames)
    turns = [
        fold(records[: len(records) - left]).sessions["s"].responses.by_id[response]
        for left in (3, 2, 0)
    ]

    first = records[-3].at
    assert [each.turn.first_text_at for each in turns] == [None, first, first]


def test_a_part_with_text_after_the_first_text() -> None:
    """A part that already contains text does not change the time of the first text."""
    at: Frame = {"response_id": "r", "item_id": "a", "content_index": 0}
    second = {"type": "output_text", "text": "more"}
    frames: list[Frame] = [
        {"type": "response.created", "response": {"id": "r", "conversation_id": "c"}},
        {"type": "response.output_text.delta", **at, "delta": "good"},
        {"type": "response.content_part.added", **at, "part": second}
        | {"content_index": 1},
    ]
    records = to_records(frames)
    session = fold(records).sessions["s"]

    assert session.responses.by_id["r"].turn.first_text_at == records[1].at
    assert texts(session) == [("goodmore", False)]


def test_a_delta_that_names_another_response() -> None:
    """The text grows; the response that is not known stays unknown."""
    at: Frame = {"response_id": "r", "item_id": "a", "content_index": 0}
    delta: Frame = {"type": "response.output_text.delta", **at, "delta": "good"}
    session = fold_frames(delta, {**delta, "response_id": "other", "delta": " day"})

    assert texts(session) == [("good day", False)]
    assert list(session.responses.by_id) == ["r"]


def test_done_alone_is_enough() -> None:
    """``response.done`` without ``created`` gives a complete response."""
    service = Service()
    service.reply("good", " day")
    session = fold_frames(service.frames[-1])
    (response,) = session.responses.by_id.values()

    assert texts(session) == [("good day", True)]
    assert (
        response.status,
        response.announced,
        response.turn.created_at,
    ) == ("completed", True, None)


def test_created_after_done() -> None:
    """``created`` after ``done`` does not make the response active."""
    service = Service()
    response = service.begin()
    service.end(response)
    session = fold_frames(*reversed(service.frames))

    assert (
        session.responses.by_id[response].status,
        session.responses.active,
    ) == ("completed", None)


def test_created_twice() -> None:
    """A second ``created`` changes neither the response nor the unanswered item."""
    service = Service()
    service.begin()
    again = {**service.frames[0], "event_id": "other"}
    service.spoken("next")
    state = fold(to_records(service.frames))
    after = fold([to_record(again)], state).sessions["s"]
    before = state.sessions["s"]

    assert before.responses is after.responses
    assert before.activity is after.activity


def test_done_twice() -> None:
    """The usage of a repeated ``done`` counts once."""
    service = Service()
    service.reply("a")
    again = {**service.frames[-1], "event_id": "other"}

    assert select_usage(fold_frames(*service.frames, again)).total == 3


@pytest.mark.parametrize("status", ["cancelled", "incomplete", "failed"])
def test_items_left_open_are_incomplete(status: str) -> None:
    """An unsuccessful response makes its open items incomplete and keeps their text."""
    service = Service()
    response = service.begin()
    said = service.say(response, ["good"])
    service.end(response, [], status, reason="turn_detected")
    session = fold_frames(*service.frames)

    assert texts(session) == [("good", True)]
    assert session.items[said["item_id"]].status == "incomplete"
    assert (status, "turn_detected") == (
        session.responses.by_id[response].status,
        session.responses.by_id[response].reason,
    )


def test_incomplete_stays_incomplete() -> None:
    """A later ``done`` of the item does not change the status `incomplete`."""
    service = Service()
    response = service.begin()
    said = service.say(response, ["good"])
    service.end(response, [], "cancelled")
    service.finish(said)

    assert fold_frames(*service.frames).items[said["item_id"]].status == "incomplete"


def test_a_late_done_gives_the_whole_text() -> None:
    """The item's ``done`` sets the full text even after its response ended."""
    service = Service()
    response = service.begin()
    said = service.say(response, ["good"])
    service.end(response)
    service.finish({**said, "text": "good day"})

    assert texts(fold_frames(*service.frames)) == [("good day", True)]


def test_a_message_without_words() -> None:
    """A reply that is cancelled before its first text is a final, empty line."""
    service = Service()
    response = service.begin()
    item = message("a", "assistant", [], status="in_progress")
    service.send("response.output_item.added", response_id=response, item=item)
    service.end(response, [], "cancelled")

    assert texts(fold_frames(*service.frames)) == [("", True)]


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"reason": "max_output_tokens"}, "max_output_tokens"),
        ({"error": {"message": "m", "code": "c"}}, "m"),
        ({"error": {"code": "c"}}, "c"),
        ({"error": {"type": "t"}}, "t"),
        ({}, None),
    ],
)
def test_why_it_ended(details: Any, expected: str | None) -> None:
    """The reason is the one of the status details, or else of their error."""
    service = Service()
    service.end("r", [], "failed", **details)

    assert expected == fold_frames(*service.frames).responses.by_id["r"].reason


def test_an_unknown_status_is_completed() -> None:
    """An unknown status in ``response.done`` counts as `completed`."""
    service = Service()
    service.end("r", [], "dreamt")

    assert fold_frames(*service.frames).responses.by_id["r"].status == "completed"


def test_out_of_band_is_not_in_the_transcript() -> None:
    """An out-of-band response is not active and no turn; its usage counts."""
    service = Service()
    service.reply("hello")
    service.spoken("question")
    service.reply("aside", in_band=False)
    during = fold_frames(*service.frames)
    service.reply("answer")
    session = fold_frames(*service.frames)

    assert texts(session)[1:] == [("question", True), ("answer", True)]
    assert (len(select_turns(session)), len(session.responses.order)) == (2, 3)
    assert select_usage(session).total == 9
    # The user's message is still unanswered.
    assert during.activity.unanswered_item is not None


def test_metadata_leads_from_the_item() -> None:
    """Metadata of the response is found by item id, in any order of the two events."""
    service = Service()
    response = service.begin(metadata={"mine": "1"})
    said = service.say(response, ["a"])
    frames = [*service.frames]
    frames[1], frames[2] = frames[2], frames[1]
    for session in (fold_frames(*service.frames), fold_frames(*frames)):
        assert select_metadata(session, said["item_id"]) == {"mine": "1"}
        assert select_metadata(session, "nobody") == {}
        assert Map({"mine": "1"}) == session.responses.by_id[response].metadata


def test_several_items_and_parts() -> None:
    """Text is kept by item and content index."""
    service = Service()
    response = service.begin()
    one, two = service.say(response, ["a"]), service.say(response, ["b"])
    for said, index, text in ((one, 1, "c"), (two, 0, "d"), (one, 0, "e")):
        at = {"response_id": response, "item_id": said["item_id"], "output_index": 0}
        at["content_index"] = index
        service.send("response.output_text.delta", **at, delta=text)
    session = fold_frames(*service.frames)

    assert [t.text for t in select_transcripts(session)] == ["aec", "bd"]
    assert (one["item_id"], two["item_id"]) == (
        session.responses.by_id[response].item_ids
    )


def test_a_call_that_was_interrupted_is_not_complete() -> None:
    """An incomplete call stays incomplete: its arguments may be partial."""
    service = Service()
    calls: list[Frame] = [
        {
            "id": "x",
            "type": "function_call",
            "arguments": '{"a"',
            "status": "incomplete",
        },
        {"id": "y", "type": "function_call", "arguments": "{}", "status": "completed"},
        {"id": "y", "type": "function_call", "arguments": "", "status": "completed"},
    ]
    service.end("r", calls, "cancelled")
    session = fold_frames(*service.frames)
    found = {i: session.items[i].call for i in ("x", "y")}

    assert {
        i: (str(call.arguments), call.complete) for i, call in found.items() if call
    } == {"x": ('{"a"', False), "y": ("{}", True)}


def test_usage_by_modality() -> None:
    """Usage adds up by modality; impossible numbers count as zero."""
    usage = {
        "total_tokens": 10,
        "input_token_details": {
            "text_tokens": 3,
            "audio_tokens": 10**400,
            "image_tokens": -1,
            "cached_tokens_details": {"text_tokens": 2},
        },
        "output_token_details": {"text_tokens": 4, "audio_tokens": None},
    }
    frames = [
        {"type": "response.done", "response": {"id": f"r{n}", "usage": usage}}
        for n in range(2)
    ]

    assert Usage(input_text=6, cached_text=4, output_text=8, total=20) == (
        select_usage(fold_frames(*frames))
    )


@pytest.mark.parametrize(
    ("usage", "total"), [(None, 0), ({}, 0), ({"input_tokens": 5}, 5)]
)
def test_no_usage(usage: Any, total: int) -> None:
    """A response without whole usage counts as incomplete; other nodes stay."""
    frame = {"type": "response.done", "response": {"id": "r", "usage": usage}}
    found = fold_frames(frame).usage

    assert (found.tokens, found.incomplete) == (Usage(total=total), 1)
    assert found.transcription is Session("s").usage.transcription


def test_what_names_nothing() -> None:
    """Events without the id of an item are ignored; a response ends once."""
    session = fold_frames(
        {"type": "response.created", "response": {}},
        {"type": "response.done", "response": {}},
        {"type": "response.done", "response": {}},
        {"type": "response.output_item.added", "item": {"type": "message"}},
        {"type": "response.output_item.done", "item": {"type": "message"}},
    )

    assert (len(session.items), len(session.responses.by_id)) == (0, 1)


def test_an_item_that_names_no_response() -> None:
    """The item is added without a response."""
    item = message("a", "assistant", [{"type": "output_text", "text": "x"}])
    session = fold_frames({"type": "response.output_item.done", "item": item})

    assert (Part("output_text", Rope("x"), True),) == session.items["a"].parts
    assert len(session.responses.by_id) == 0


def test_done_and_then_cut_off() -> None:
    """`response.done` can make a completed item incomplete; its end time stays."""
    service = Service()
    response = service.begin()
    item = service.finish(service.say(response, ["good"]))
    service.end(response, [{**item, "status": "incomplete"}], "cancelled")
    found = fold_frames(*service.frames).items[item["id"]]

    assert found.status == "incomplete"
    assert found.placement.finished_at is not None
    assert found.placement.finished_at < 1000 + len(service.frames) / 10


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"status": "completed"}, None),
        ({"status": "cancelled", "status_details": {"reason": "turn_detected"}}, None),
        (
            {
                "status": "failed",
                "status_details": {"error": {"code": "c", "message": "m"}},
            },
            ("response_failed", "m", "c"),
        ),
        (
            {"status": "failed", "status_details": {"error": {"type": "t"}}},
            ("response_failed", "t", "t"),
        ),
        (
            {"status": "failed"},
            ("response_failed", "the service gives no reason", None),
        ),
        (
            {
                "status": "incomplete",
                "status_details": {"reason": "max_output_tokens"},
            },
            ("response_incomplete", "max_output_tokens", None),
        ),
    ],
)
def test_a_response_without_an_answer_is_a_problem(
    response: Frame, expected: Any
) -> None:
    """A failed or incomplete response is one problem, without any ``error`` event."""
    frame = {"type": "response.done", "response": {"id": "r", **response}}
    problems = fold_frames(frame, frame).problems

    wanted = [(*expected, "r", 1000.1)] if expected else []
    assert wanted == [
        (p.kind, p.message, p.code, p.response_id, p.at) for p in problems
    ]


def test_when_the_audio_is_made() -> None:
    """The last ``output_audio.done`` sets its time; playback may end later."""
    service = Service()
    service.reply("good day")
    made = [f for f in service.frames if f["type"] == "response.output_audio.done"]
    frames = [*service.frames, {**made[0], "event_id": None}]
    records = to_records(frames)
    (response,) = fold(records).sessions["s"].responses.by_id.values()
    twice = fold([records[-1]], fold(records))

    assert response.turn.audio_generated_at == records[-1].at
    assert response.turn.audio_finished_at is None
    assert twice.sessions["s"].responses == fold(records).sessions["s"].responses


@pytest.mark.parametrize("response_id", ["", "r"])
def test_audio_that_is_made_of_nothing(response_id: str) -> None:
    """``output_audio.done`` of an unknown item creates it without parts."""
    at = {"response_id": response_id, "item_id": "a", "content_index": 0}
    frame = {"type": "response.output_audio.done", **at}
    session = fold([to_record(frame, at=None)]).sessions["s"]

    assert list(session.conversation.order) == ["a"]
    assert session.items["a"].parts == ()


def test_two_items_of_one_response() -> None:
    """Commentary and answer are two lines, each with its phase."""
    service = Service()
    response = service.begin()
    items = []
    for phase in ("commentary", "final_answer"):
        item = service.finish(service.say(response, [phase], spoken=False))
        items.append({**item, "phase": phase})
    service.end(response, items)
    session = fold_frames(*service.frames)

    assert [
        (t.text, session.items[t.item_id].placement.phase)
        for t in select_transcripts(session)
    ] == [
        ("commentary", "commentary"),
        ("final_answer", "final_answer"),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.content_part.added", "part": {"type": "text", "text": "x"}},
        {"type": "response.output_audio.delta", "delta": "AAAA"},
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.output_text.done", "text": "x"},
    ],
)
def test_nothing_is_said_in_a_tombstone(event: Frame) -> None:
    """Events for a deleted item change only the dedup node."""
    service = Service()
    said = service.say(service.begin(), ["good"])
    service.send("conversation.item.deleted", item_id=said["item_id"])
    state = fold(to_records(service.frames))
    at = {"item_id": said["item_id"], "response_id": said["response_id"]}
    after = fold([to_record({**event, **at, "content_index": 0}, 99)], state)

    assert changed(state.sessions["s"], after.sessions["s"]) == []


def test_audio_of_no_length() -> None:
    """Empty audio sets `first_audio_at` and adds no bytes."""
    service = Service()
    said = service.say(service.begin(), [], spoken=True)
    at = {"item_id": said["item_id"], "response_id": said["response_id"]}
    service.send("response.output_audio.delta", **at, content_index=0, delta="")
    session = fold(to_records(service.frames)).sessions["s"]

    assert session.responses.by_id[said["response_id"]].turn.first_audio_at == 1000.5
    assert [part.audio_bytes for part in session.items[said["item_id"]].parts] == [0]


def test_an_aside_that_is_known_by_its_end() -> None:
    """An out-of-band ``response.done`` does not clear the request in flight."""
    create = to_record({"type": "response.create"}, dir="out")
    done = {"type": "response.done", "response": {"id": "r", "conversation_id": None}}
    named = {"id": "n", "conversation_id": "c"}
    before = fold([to_record({"type": "response.done", "response": named}), create])
    after = fold([to_record(done, 2)], before)
    asked = [state.sessions["s"].responses.in_flight for state in (before, after)]

    assert asked[0] == asked[1]
    assert after.sessions["s"].responses.by_id["r"].status == "completed"


LOST = {"type": "duologue.disconnected", "reason": "gone"}


def answering() -> tuple[Service, str]:
    """A service in the middle of a reply."""
    service = Service()
    service.created()
    said = service.say(service.begin(), ["good", " da"])
    return service, said["item_id"]


@pytest.mark.parametrize(
    "fact", [LOST, {**LOST, "expected": True}, {"type": "duologue.closed"}]
)
def test_the_response_in_work_is_lost(fact: Any) -> None:
    """It ends incomplete, its item keeps its text, and no response is active."""
    service, item_id = answering()
    session = fold(to_records([*service.frames, fact])).sessions["s"]
    (response,) = session.responses.by_id.values()

    assert (response.status, response.reason) == ("incomplete", "disconnected")
    assert session.responses.active is None
    assert session.items[item_id].status == "incomplete"
    assert [(t.text, t.final) for t in select_transcripts(session)] == [
        ("good da", True)
    ]


def test_what_comes_after_it_is_lost_heals_nothing() -> None:
    """Later events do not change a lost response, except that its usage counts."""
    service, _ = answering()
    state = fold(to_records([*service.frames, LOST]))
    (response_id,) = state.sessions["s"].responses.by_id
    service.frames.clear()
    service.end(response_id)
    again = fold(to_records([*service.frames, LOST]), state)
    before, after = state.sessions["s"], again.sessions["s"]

    assert changed(before, after) == ["responses", "usage"]
    response = after.responses.by_id[response_id]
    assert response.usage is not None
    assert replace(response, usage=None) == before.responses.by_id[response_id]
    assert (before.usage.tokens.total, after.usage.tokens.total) == (0, 3)


def test_a_connection_that_handed_over() -> None:
    """The end of the old connection ends only its own responses."""
    service, item_id = answering()
    records = to_records(service.frames)
    newer = [
        to_record({"type": "duologue.connecting"}, epoch=1),
        to_record({"type": "duologue.connected"}, epoch=1),
    ]
    service.frames.clear()
    theirs = service.begin()
    service.say(theirs, ["hello"])
    records += [*newer, *(to_record(f, epoch=1) for f in service.frames)]
    records.append(to_record(LOST))
    session = fold(records).sessions["s"]

    assert session.connection.status == "open"
    assert session.responses.active == theirs
    assert session.items[item_id].status == "incomplete"
    assert [r.status for r in session.responses.by_id.values()].count(
        "in_progress"
    ) == 1


CREATED: Any = {"type": "response.created", "response": {"id": "r"}}


DELTA: Any = {
    "type": "response.output_text.delta",
    "response_id": "r",
    "item_id": "a",
    "delta": "x",
}


SHOWN: Any = message("a", "assistant", [], status="in_progress")


ADDED: Any = {"type": "conversation.item.added", "item": SHOWN}


OUTPUT: Any = {
    "type": "response.output_item.added",
    "response_id": "r",
    "item": SHOWN,
}


@pytest.mark.parametrize(
    ("status", "ended"), [("completed", "completed"), ("cancelled", "incomplete")]
)
def test_no_item_of_a_response_that_is_over_stays_open(status: str, ended: str) -> None:
    """Open items end with their response; ended ones stay unchanged."""
    service = Service()
    response = service.begin()
    whole = service.say(response, ["one"], index=0)
    service.finish(whole)
    open_ = service.say(response, ["two"], index=1)
    service.end(response, [], status)
    items = fold(to_records(service.frames)).sessions["s"].items

    assert items[whole["item_id"]].status == "completed"
    assert items[open_["item_id"]].status == ended


DONE: Any = {"type": "response.done", "response": {"id": "r", "status": "completed"}}


@pytest.mark.parametrize(
    "frames",
    [
        # Text after the end of its item, in the same part or another one.
        [{**OUTPUT, "type": "response.output_item.done"}, DELTA],
        [
            {**OUTPUT, "type": "response.output_item.done"},
            {**DELTA, "content_index": 1},
        ],
        # Only the deltas link the item to the response.
        [ADDED, DELTA],
        [ADDED, {**DELTA, "delta": ""}],
    ],
)
def test_no_part_of_a_response_that_is_over_stays_open(frames: list[Any]) -> None:
    """All parts are final after ``response.done``, in any order of events."""
    session = fold(to_records([CREATED, *frames, DONE])).sessions["s"]
    item = session.items["a"]

    assert (item.status, all(part.final for part in item.parts)) == ("completed", True)


def test_the_end_of_a_response_with_a_deleted_item_that_plays() -> None:
    """The first text of a part counts; the tombstone does not change at the end."""
    at = {"response_id": "r", "item_id": "a", "content_index": 0}
    part = {"type": "text", "text": "Good"}
    ids = {"id": "r", "conversation_id": "c"}
    frames: list[Frame] = [
        {"type": "response.created", "response": ids},
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "output_audio_buffer.started", "response_id": "r"},
        {"type": "response.output_audio.done", **at},
        {"type": "conversation.item.deleted", "item_id": "a"},
        {"type": "response.done", "response": {**ids, "status": "completed"}},
    ]
    session = fold_frames(*frames)

    assert session.responses.by_id["r"].turn.first_text_at is not None
    assert session.activity.playing == "r"
    assert session.items["a"].status == "deleted"


def nameless(type: str, **response: Any) -> Frame:
    return {"type": f"response.{type}", "response": response}


def delta_of(item_id: str, text: str) -> Frame:
    return {"type": "response.output_text.delta", "item_id": item_id, "delta": text}


def output_of(item_id: str, text: str) -> Frame:
    content = [{"type": "output_text", "text": text}]
    return message(item_id, "assistant", content)


def seen(session: Session) -> list[tuple[str, tuple[str, ...]]]:
    responses = session.responses
    return [
        (one.status, one.item_ids)
        for one in map(responses.by_id.get, responses.order)
        if one
    ]


@pytest.mark.parametrize("no_id", [{}, {"id": None}, {"id": ""}])
def test_a_response_without_an_id(no_id: Frame) -> None:
    """It begins, has the items of events that name no response, and ends."""
    usage = {"total_tokens": 3, "output_tokens": 2}
    frames = [
        nameless("created", **no_id, status="in_progress"),
        delta_of("a", "go"),
        {"type": "response.output_item.added", "item": {"id": "b", "type": "message"}},
        nameless("done", **no_id, status="completed", usage=usage),
    ]
    running = fold_frames(*frames[:3])
    active = running.responses.active
    assert active is not None
    assert running.items["a"].placement.response_id == active
    first_text_at = running.responses.by_id[active].turn.first_text_at
    assert first_text_at == pytest.approx(1000.2)
    session = fold_frames(*frames)
    assert session.responses.active is None
    assert seen(session) == [("completed", ("a", "b"))]
    assert [t.text for t in select_transcripts(session)] == ["go", ""]
    assert session.usage.tokens.total == 3


def test_responses_without_ids_are_different() -> None:
    """Each has its own items; a late copy of an end belongs to its response."""
    first = nameless("done", output=[output_of("a", "one")])
    session = fold_frames(
        nameless("created"),
        delta_of("a", "on"),
        first,
        nameless("created"),
        delta_of("b", "tw"),
        first,
        nameless("done", status="cancelled", output=[output_of("b", "two")]),
        first,
    )
    assert seen(session) == [("completed", ("a",)), ("cancelled", ("b",))]
    assert [t.text for t in select_transcripts(session)] == ["one", "two"]


def test_a_response_without_an_id_whose_end_is_lost() -> None:
    """The next one ends it, because no event could name it."""
    session = fold_frames(
        nameless("created"),
        delta_of("a", "on"),
        nameless("created"),
        nameless("created"),
        delta_of("b", "two"),
        {"type": "response.created", "response": {"id": "r"}},
    )
    assert seen(session) == [
        ("incomplete", ("a",)),
        ("incomplete", ("b",)),
        ("in_progress", ()),
    ]
    assert session.responses.active == "r"
    assert session.problems == ()


def test_an_end_without_an_id() -> None:
    """It ends the active response; it can also be the first event of a response."""
    named = {"type": "response.created", "response": {"id": "r"}}
    done = nameless("done", output=[output_of("a", "x")])
    assert seen(fold_frames(named, done)) == [("completed", ("a",))]
    assert seen(fold_frames(done)) == [("completed", ("a",))]
    assert seen(fold_frames(done, done)) == [("completed", ("a",))]
    assert seen(fold_frames(nameless("done"))) == []


@pytest.mark.parametrize(
    "answer",
    [
        nameless("created"),
        nameless("created", id=None, conversation_id=None),
        nameless("done"),
        nameless("done", conversation_id=None, status="failed"),
    ],
)
def test_an_answer_without_an_id(answer: Frame) -> None:
    """It answers the request in flight."""
    records = [
        to_record({"type": "response.create", "event_id": "c"}, 1, dir="out"),
        to_record(answer, 2),
    ]
    responses = fold(records).sessions["s"].responses
    assert (responses.in_flight, len(responses.by_id)) == (None, 1)


def test_an_out_of_band_response_without_an_id() -> None:
    """Without a request in flight it is ignored, as no event could name it."""
    session = fold_frames(nameless("created", conversation_id=None))
    assert (session.responses.active, len(session.responses.by_id)) == (None, 0)


def test_an_id_that_looks_like_that_of_a_response_without_one() -> None:
    """An id of the service is not given twice."""
    taken = {"type": "response.created", "response": {"id": "anonymous_2"}}
    ended = {"type": "response.done", "response": {"id": "anonymous_2"}}
    session = fold_frames(taken, ended, nameless("created"), nameless("done"))
    assert len(seen(session)) == 2


TICK: Frame = {"type": "duologue.tick"}
OPEN: Frame = {"type": "session.created", "session": {"type": "realtime"}}
FIRST = 1000.0 + SILENCE_TIMEOUT
OUT: Frame = {"type": "response.create"}


def timed(*frames: tuple[float | None, Frame]) -> Session:
    records = [
        to_record(frame, at=at, dir="out" if frame is OUT else None)
        for at, frame in ((0.0, OPEN), *frames)
    ]
    return fold(records).sessions["s"]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], []),
        ([(1000.0, CREATED)], [FIRST]),
        # The answer to the next request ends this wait too.
        ([(1000.0, CREATED), (1001.0, OUT)], []),
        ([(1000.0, CREATED), (1001.0, DONE)], []),
        ([(None, CREATED)], []),
        ([(None, CREATED), (1000.0, TICK)], [FIRST]),
        ([(1000.0, CREATED), (FIRST - 1, TICK)], [FIRST]),
        ([(1000.0, CREATED), (FIRST, TICK)], [FIRST + SILENCE_TIMEOUT]),
    ],
)
def test_when_the_size_of_a_response_is_compared(
    frames: list[tuple[float | None, Frame]], expected: list[float]
) -> None:
    """It is compared after each period in which a response is in progress."""
    assert list(silence_deadlines(timed(*frames))) == expected


CALL: Frame = {"id": "f", "type": "function_call", "name": "f", "call_id": "c"}
CALLED: Frame = {**OUTPUT, "item": {**CALL, "arguments": ""}}
ARGUMENTS: Frame = {
    "type": "response.function_call_arguments.delta",
    "response_id": "r",
    "item_id": "f",
    "delta": "{",
}
AUDIO: Frame = {
    "type": "response.output_audio.delta",
    "response_id": "r",
    "item_id": "a",
    "content_index": 0,
    "delta": audio(480),
}


@pytest.mark.parametrize(
    ("before", "news", "is_over"),
    [
        ([], None, True),
        ([OUTPUT], None, True),
        ([OUTPUT], SHOWN, True),
        ([], OUTPUT, False),
        ([OUTPUT], DELTA, False),
        ([OUTPUT, DELTA], DELTA, False),
        ([OUTPUT, DELTA], {**DELTA, "delta": ""}, True),
        ([OUTPUT, AUDIO], AUDIO, False),
        ([CALLED], ARGUMENTS, False),
        ([CALLED, ARGUMENTS], None, True),
        (
            [OUTPUT, DELTA],
            {**DELTA, "type": "response.output_text.done", "text": "x"},
            False,
        ),
        ([OUTPUT], {**OUTPUT, "type": "response.output_item.done"}, False),
    ],
)
def test_a_response_that_no_longer_grows(
    before: list[Frame], news: Frame | None, is_over: bool
) -> None:
    """Any event that adds to it keeps it in progress; it ends with a problem."""
    frames = [(1000.0, frame) for frame in [CREATED, *before]]
    second = FIRST + SILENCE_TIMEOUT
    news = news or {"type": "rate_limits.updated", "rate_limits": []}
    session = timed(*frames, (FIRST, TICK), (FIRST + 1, news), (second, TICK))
    response = session.responses.by_id["r"]
    expected = Problem(
        "response_silent",
        "the service sent nothing of the response for 120 s",
        at=second,
        response_id="r",
    )

    assert (response.status, response.reason, session.responses.active) == (
        ("incomplete", "silent", None) if is_over else ("in_progress", None, "r")
    )
    assert session.problems == (expected,) * is_over
    assert all(
        (item.status == "incomplete") is is_over
        or item.status == "completed"
        or item.placement.response_id is None
        for item in session.items.values()
    )


def test_a_silent_response_with_a_deleted_item() -> None:
    """The deleted item adds nothing, so the response ends."""
    deleted: Frame = {"type": "conversation.item.deleted", "item_id": "a"}
    session = timed(
        *((1000.0, frame) for frame in (CREATED, OUTPUT, deleted)),
        *((FIRST + wait, TICK) for wait in (0.0, SILENCE_TIMEOUT)),
    )

    assert session.responses.by_id["r"].reason == "silent"
    assert session.items["a"].status == "deleted"


def test_a_tick_that_is_much_too_late() -> None:
    """The process slept, so events may be waiting: the wait begins again."""
    late = FIRST + 3 * SILENCE_TIMEOUT
    slept = timed((1000.0, CREATED), (FIRST, TICK), (late, TICK))
    over = timed(
        *((1000.0, CREATED), (FIRST, TICK), (late, TICK)),
        (late + SILENCE_TIMEOUT, TICK),
    )

    assert (slept.responses.active, slept.responses.waiting_since) == ("r", late)
    assert over.responses.by_id["r"].reason == "silent"


def test_no_response_is_silent_while_a_request_is_in_flight() -> None:
    """The request has a shorter wait of its own, so only that one ends."""
    # The first tick is much too late, so the wait begins anew.
    ticks = [(FIRST, TICK), (FIRST + REQUEST_TIMEOUT, TICK)]
    session = timed((1000.0, CREATED), (1001.0, OUT), *ticks)

    assert session.responses.active == "r"
    assert [problem.kind for problem in session.problems] == ["request_unanswered"]


@pytest.mark.parametrize("frames", [[], [CREATED, OUT], [CREATED, DONE]])
def test_a_tick_that_compares_nothing(frames: list[Frame]) -> None:
    """It does not change the responses, if none is in progress or one is requested."""
    before = [(1000.0, frame) for frame in frames]
    responses = timed(*before).responses

    assert timed(*before, (1001.0, TICK)).responses == responses


def test_a_silent_response_that_ends_after_all() -> None:
    """Its end adds the output and the usage, but not a second problem."""
    usage: Frame = {"total_tokens": 3}
    failed: Frame = {"id": "r", "status": "failed", "usage": usage}
    item = message("a", "assistant", [{"type": "output_text", "text": "Well, no"}])
    end: Frame = {"type": "response.done", "response": {**failed, "output": [item]}}
    session = timed(
        *((1000.0, frame) for frame in (CREATED, OUTPUT, DELTA)),
        *((FIRST + wait, TICK) for wait in (0.0, SILENCE_TIMEOUT)),
        *((FIRST + 2 * SILENCE_TIMEOUT, end),) * 2,
    )

    assert texts(session) == [("Well, no", True)]
    assert [problem.kind for problem in session.problems] == ["response_silent"]
    assert select_usage(session).total == 3


@pytest.mark.parametrize(
    ("frames", "stopping"),
    [
        ([{"type": "duologue.interrupted"}], True),
        ([], False),
    ],
)
def test_a_response_that_was_interrupted_before_it_began(
    frames: list[Frame], stopping: bool
) -> None:
    """It is marked; the one after it is not."""
    session = timed(
        *((1000.0, frame) for frame in (OUT, *frames, CREATED, DONE)),
        (1001.0, {"type": "response.created", "response": {"id": "next"}}),
    )
    found = {name: one.stopping for name, one in session.responses.by_id.items()}

    assert found == {"r": stopping, "next": False}


@pytest.mark.parametrize(("answered", "stopping"), [("u", True), ("v", False)])
def test_the_answer_to_a_turn_that_was_dismissed(answered: str, stopping: bool) -> None:
    """An interruption after a turn concerns its answer, not that of the next turn."""
    stopped: Frame = {"type": "input_audio_buffer.speech_stopped", "item_id": "u"}
    session = timed(
        (1000.0, stopped),
        (1001.0, {"type": "duologue.interrupted"}),
        (1002.0, {**stopped, "item_id": answered}),
        (1003.0, CREATED),
    )

    assert session.responses.by_id["r"].stopping is stopping
    assert session.responses.by_id["r"].turn.item_id == answered


def test_an_end_without_an_id_that_fits_no_response() -> None:
    """It ends the active response, even if its output is new: no user's message."""
    typed: Frame = {"type": "conversation.item.added", "item": TYPED}
    frames = [CREATED, OUTPUT, DELTA, typed]
    done = nameless("done", output=[output_of("u", "z"), output_of("new", "y")])

    assert seen(fold_frames(*frames, done)) == [("completed", ("a", "u~2", "new"))]


TYPED: Frame = message("u", "user", [])


def test_times_of_text_that_names_another_response() -> None:
    """An unknown response has no times, and the item's own response has not spoken."""
    other = {**DELTA, "response_id": "other"}
    session = fold_frames(CREATED, OUTPUT, other)

    assert session.responses.by_id["r"].turn.first_text_at is None
    assert texts(session) == [("x", False)]


def test_the_time_of_the_first_text_is_not_changed() -> None:
    """A part that ends later with its text does not change it."""
    part: Frame = {"type": "text", "text": "x"}
    ended = {**DELTA, "type": "response.content_part.done", "part": part}
    session = fold_frames(CREATED, OUTPUT, DELTA, ended)

    assert session.responses.by_id["r"].turn.first_text_at == pytest.approx(1000.3)
    assert session.items["a"].parts[0].final


def test_audio_without_a_response_id() -> None:
    """It is that of the item's response."""
    nameless_audio = {**AUDIO, "response_id": ""}
    session = fold_frames(CREATED, OUTPUT, nameless_audio)

    assert session.responses.by_id["r"].turn.first_audio_at == pytest.approx(1000.3)


def played(item_id: str, ms: int) -> Frame:
    return {"type": "duologue.played", "item_id": item_id, "ms": ms}


@pytest.mark.parametrize("plays", [True, False])
def test_audio_that_waits_behind_lost_audio(plays: bool) -> None:
    """A client discards what waits behind the audio that plays, if it reports both."""
    whole = {**OUTPUT, "type": "response.output_item.done"}
    frames = [
        *(CREATED, OUTPUT, AUDIO, whole, DONE),
        *({**frame, "response": {"id": "s"}} for frame in (CREATED,)),
        {**OUTPUT, "response_id": "s", "item": {**SHOWN, "id": "b"}},
        {**AUDIO, "response_id": "s", "item_id": "b"},
        {**DONE, "response": {"id": "s", "status": "completed"}},
        {"type": "output_audio_buffer.started", "response_id": "r"},
        *([played("a", 3)] if plays else []),
        LOST,
    ]
    items = fold_frames(OPEN, *frames).items
    found = [items[name].truncation for name in "ab"]
    cuts = [cut and cut.audio_end_ms for cut in found]

    assert cuts == ([3, 0] if plays else [800, None])
