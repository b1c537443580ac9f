"""A session as JSON: the live view, and the summary."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map
from msgspec.structs import replace

from duologue.core import (
    Record,
    Session,
    State,
    fold,
    reduce,
    select_transcripts,
    select_turns,
)
from duologue.core.state.id_sequence import IdSequence
from duologue.core.state.model import (
    Call,
    Item,
    McpCall,
    McpTool,
    Part,
    Response,
    Responses,
    Segment,
    Translation,
)
from duologue.core.state.rope import Rope
from duologue.core.testing import Script, to_records
from duologue.core.testing.stream import Stream
from duologue.core.views.view import summary, view

from ..strategies import enough, hostile, legal, scripts
from ..talk import Frame, Service, audio, fold_frames, message, to_record

#: The number of states for each checked one; the last state is always checked.
STRIDE = 32

TOOL = {
    "type": "mcp",
    "server_label": "desk",
    "authorization": "secret",
    "headers": {"X-Key": "secret"},
}
FACTS: list[Frame] = [
    {"type": "duologue.connecting"},
    {"type": "duologue.connected"},
    {"type": "duologue.disconnected", "reason": "gone"},
    {"type": "duologue.disconnected", "expected": True},
    {"type": "duologue.cleared"},
    {"type": "duologue.muted", "muted": True},
    {"type": "duologue.volume", "volume": 0.5},
    {"type": "duologue.closed"},
    {"type": "duologue.tick"},
    {
        "type": "duologue.requested",
        "event": {"type": "session.update", "session": {"tools": [TOOL, "odd"]}},
    },
    {"type": "session.updated", "session": {"type": "realtime", "tools": [TOOL]}},
    {"type": "error", "error": {"type": "server_error", "message": "oh"}},
    {"type": "duologue.gap", "reason": "lost"},
    {"type": "duologue.tool_started", "call_id": "c"},
    {"type": "duologue.tool_finished", "call_id": "c", "error": "oh"},
    {"type": "input_audio_buffer.cleared"},
    {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 5}]},
]


def about(item_id: str, previous: str, response_id: str) -> list[Frame]:
    """Events that affect an item, its position or its response from outside."""
    item = message(item_id, "user", [{"type": "input_text", "text": "late"}])
    call = {"id": item_id, "type": "function_call", "name": "f", "call_id": "c"}
    output = {"type": "function_call_output", "call_id": "c", "output": "found"}
    mcp = {"server_label": "desk", "name": "look", "arguments": "{}"}
    approval = {"type": "mcp_approval_response", "approval_request_id": item_id}
    at = {"item_id": item_id, "content_index": 0}
    of = {"response_id": response_id, "item_id": item_id, "call_id": "c"}
    return [
        {"type": "conversation.item.deleted", "item_id": item_id},
        {"type": "conversation.item.truncated", **at, "audio_end_ms": 30},
        {
            "type": "conversation.item.added",
            "item": item,
            "previous_item_id": previous,
        },
        {"type": "conversation.item.done", "item": {**call, "arguments": "{}"}},
        {
            "type": "response.output_item.added",
            "response_id": response_id,
            "item": {**call, "arguments": ""},
        },
        {
            "type": "input_audio_buffer.committed",
            "item_id": item_id,
            "previous_item_id": previous,
        },
        {"type": "conversation.item.done", "item": {**output, "id": previous}},
        {"type": "response.function_call_arguments.delta", **of, "delta": "{"},
        {"type": "response.function_call_arguments.done", **of, "arguments": "{}"},
        {
            "type": "response.output_item.added",
            "response_id": response_id,
            "item": {**mcp, "id": item_id, "type": "mcp_approval_request"},
        },
        {
            "type": "conversation.item.added",
            "item": {**approval, "id": previous, "approve": True},
        },
        {
            "type": "response.output_item.done",
            "response_id": response_id,
            "item": {
                **mcp,
                "id": previous,
                "type": "mcp_call",
                "approval_request_id": item_id,
            },
        },
        {"type": "response.mcp_call.failed", "item_id": item_id},
        {"type": "mcp_list_tools.completed", "item_id": item_id},
        {"type": "duologue.played", "item_id": item_id, "ms": 20},
        {"type": "input_audio_buffer.speech_started", "item_id": item_id},
        {"type": "output_audio_buffer.started", "response_id": response_id},
        {"type": "output_audio_buffer.cleared", "response_id": response_id},
        {
            "type": "response.output_text.delta",
            **at,
            "response_id": "r/~",
            "delta": "x",
        },
        {
            "type": "response.output_text.delta",
            "item_id": item_id,
            "content_index": 2,
            "response_id": response_id,
            "delta": "third",
        },
        {
            "type": "response.done",
            "response": {
                "id": response_id,
                "status": "cancelled",
                "metadata": {"a": "b"},
            },
        },
    ]


#: An inserted event: its position, one of `about` and `FACTS`, and its subject.
STROKES = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 99), st.integers(0, 9999)),
    max_size=10,
)


def found(stream: list[Record], key: str) -> list[str]:
    """The values of a key at the top level of events, and some unknown ones."""
    values = {getattr(record.event, key, None) for record in stream}
    names = {value for value in values if isinstance(value, str) and value}
    return [*sorted(names), "new", "new/~1"]


def struck(stream: Stream, strokes: list[tuple[int, int, int]]) -> Stream:
    """The records with such events inserted anywhere."""
    items, responses = found(stream, "item_id"), found(stream, "response_id")
    for at, what, whom in strokes if stream else ():
        every = about(
            items[whom % len(items)],
            items[whom // 10 % len(items)],
            responses[whom // 100 % len(responses)],
        )
        every += FACTS
        near = stream[at % len(stream)]
        frame = every[what % len(every)]
        stroke = to_record(frame, near.seq, at=near.at, epoch=near.epoch)
        stream.insert(at % len(stream), stroke)
    return stream


#: Records of several turns and connections, duplicated, lost, moved and altered, with
#: deletions, truncations, moves and calls inserted.
STREAMS = st.builds(struck, hostile(legal(2)), STROKES)


def sessions(records: list[Record]) -> list[Session]:
    """The session before the first record and after each; an empty one if it is
    missing."""
    state = State()
    every = [Session("s")]
    for record in records:
        state = reduce(state, record)
        every.append(state.sessions.get("s") or Session("s"))
    return every


def is_plain(value: Any) -> bool:
    """Whether a value has only the exact types of JSON."""
    if type(value) is dict:
        return all(type(key) is str and is_plain(it) for key, it in value.items())
    if type(value) is list:
        return all(is_plain(it) for it in value)
    return value is None or type(value) in (str, int, float, bool)


@enough
@given(STREAMS)
def test_a_view_is_plain_json(stream: Stream) -> None:
    """Both forms are plain JSON and survive encoding and decoding."""
    for session in sessions(stream)[::-STRIDE]:
        for shape in (view(session), summary(session)):
            assert is_plain(shape)
            assert shape == json.loads(json.dumps(shape, allow_nan=False))
            assert shape == msgspec.json.decode(msgspec.json.encode(shape))


@enough
@given(STREAMS)
def test_a_view_agrees_with_the_selectors(stream: Stream) -> None:
    """Order, items and responses agree with the selectors."""
    session = sessions(stream)[-1]
    shown = view(session)
    lines = [
        item_id
        for item_id in shown["order"]
        if shown["items"][item_id]["role"] in ("user", "assistant")
    ]
    dead = {key for key, item in session.items.items() if item.status == "deleted"}

    assert [line.item_id for line in select_transcripts(session)] == lines
    assert set(session.items) - dead == set(shown["items"])
    for turn in select_turns(session):
        expected = attrs.asdict(turn)
        response = shown["responses"][expected.pop("response_id")]
        assert expected == {key: response[key] for key in expected}


@given(scripts(3))
def test_the_text_is_there_once(script: Script) -> None:
    """The chunks of the parts of an item join to the text of its line."""
    session = fold(to_records(script.frames)).sessions["s"]
    items = view(session)["items"]
    for line in select_transcripts(session):
        parts = items[line.item_id]["parts"]
        assert line.text == "".join(c for p in parts for c in p["chunks"]).strip()


def test_an_empty_session() -> None:
    """The view of an empty session has every key."""
    assert view(Session("s")) == {
        "id": "s",
        "kind": "realtime",
        "status": "connecting",
        "reason": None,
        "epoch": 0,
        "server_id": None,
        "expires_at": None,
        "reconnections": [],
        "requested": None,
        "confirmed": None,
        "conversation_id": None,
        "order": [],
        "items": {},
        "gaps": [],
        "translation": None,
        "responses": {},
        "response_order": [],
        "active": None,
        "activity": {
            "speaking_item": None,
            "playing": None,
            "muted": False,
            "volume": 1.0,
            "keys": [],
        },
        "usage": {
            "input_text": 0,
            "input_audio": 0,
            "input_image": 0,
            "cached_text": 0,
            "cached_audio": 0,
            "cached_image": 0,
            "output_text": 0,
            "output_audio": 0,
            "total": 0,
        },
        "transcription_usage": {
            "seconds": 0.0,
            "input_text": 0,
            "input_audio": 0,
            "output_text": 0,
            "total": 0,
        },
        "problems": [],
        "rate_limits": [],
    }


def test_a_reply_that_grows() -> None:
    """The text is a list of received chunks; the final text replaces them."""
    service = Service()
    response = service.begin(metadata={"a": "b"})
    said = service.say(response, ("Good", " day"))
    item_id = said["item_id"]
    growing = view(fold_frames(*service.frames))
    service.finish({**said, "text": "Good day."})
    final = view(fold_frames(*service.frames))

    assert growing["active"] == response
    assert growing["order"] == [item_id]
    assert growing["items"] == {
        item_id: {
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "response_id": response,
            "started_at": 1000.2,
            "finished_at": None,
            "phase": None,
            "interrupted": None,
            "heard": None,
            "confirmed": None,
            "parts": [
                {"type": "output_audio", "final": False, "chunks": ["Good", " day"]}
            ],
            "call": None,
        }
    }
    assert growing["responses"] == {
        response: {
            "status": "in_progress",
            "reason": None,
            "in_conversation": True,
            "item_ids": [item_id],
            "metadata": {"a": "b"},
            "item_id": None,
            "first_audio_ms": None,
            "first_text_ms": None,
            "barge_in_ms": None,
        }
    }
    assert final["items"][item_id]["parts"] == [
        {"type": "output_audio", "final": True, "chunks": ["Good day."]}
    ]


def test_the_same_session_gives_the_same_bytes() -> None:
    """Entries are sorted by id, so the hash seed does not matter."""
    ids = [f"item_{n}" for n in range(50)]
    every = Map({key: Item(key) for key in ids})
    replies = Responses(Map({key: Response(key) for key in ids}))
    shown = view(Session("s", items=every, responses=replies))

    assert list(shown["items"]) == list(shown["responses"]) == sorted(ids)


def test_an_interrupted_reply() -> None:
    """It has the position in ms, the heard text, and whether that is confirmed."""
    service = Service()
    said = service.say(service.begin(), ("one two three four",))
    service.send(
        "conversation.item.truncated",
        item_id=said["item_id"],
        content_index=0,
        audio_end_ms=5,
    )
    item = view(fold_frames(*service.frames))["items"][said["item_id"]]

    assert (item["interrupted"], item["confirmed"]) == (5, True)
    assert "one two three four".startswith(item["heard"])


def test_words_that_failed() -> None:
    """Only a part with a failed transcription has the key ``failure``."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    service.transcribe(user, (), fails=True)

    assert view(fold_frames(*service.frames))["items"][user]["parts"] == [
        {"type": "input_audio", "final": True, "failure": "inaudible", "chunks": []}
    ]


def test_cleared_and_deleted() -> None:
    """Cleared items are only in ``items``, deleted items nowhere."""
    service = Service()
    first, second = service.typed("one"), service.typed("two")
    service.frames.append({"type": "duologue.cleared"})
    third, fourth = service.typed("three"), service.typed("four")
    service.send("conversation.item.deleted", item_id=third)
    shown = view(fold_frames(*service.frames))

    assert shown["order"] == [fourth]
    assert sorted(shown["items"]) == sorted([first, second, fourth])


def test_a_configuration_keeps_its_secrets() -> None:
    """A view has no credentials of MCP servers."""
    shown = view(fold([to_record(f) for f in FACTS[9:11]]).sessions["s"])
    tool = {"type": "mcp", "server_label": "desk"}

    assert shown["requested"] == {"tools": [tool, "odd"]}
    assert shown["confirmed"] == {"type": "realtime", "tools": [tool]}


@pytest.mark.parametrize("requested", ["[1]", '{"tools":null}', '{"tools":"all"}'])
def test_a_configuration_of_any_shape(requested: str) -> None:
    """The requested configuration can be any JSON."""
    session = Session("s")
    connection = replace(session.connection, requested=requested)
    shown = view(replace(session, connection=connection))

    assert json.loads(requested) == shown["requested"]


CALL = Call("c", "look", Rope("{").append('"a":1}'), complete=True)
OUTPUT = Call("c", complete=True, output="found")


def test_a_call_in_a_view() -> None:
    """The arguments of a call are chunks, like any text."""
    shown = view(Session("s", items=Map({"i": Item("i", "function_call", call=CALL)})))

    assert shown["items"]["i"]["call"] == {
        "name": "look",
        "call_id": "c",
        "final": False,
        "complete": True,
        "running": False,
        "answered": False,
        "output": None,
        "error": None,
        "mcp": None,
        "arguments": ["{", '"a":1}'],
    }


def test_a_list_of_tools_in_a_view() -> None:
    """A list of tools has only their names."""
    mcp = McpCall("desk", tools=(McpTool("look", '{"name":"look"}'),))
    item = Item("i", "mcp_list_tools", call=Call(mcp=mcp))

    assert view(Session("s", items=Map({"i": item})))["items"]["i"]["call"]["mcp"] == {
        "server_label": "desk",
        "approval_request_id": None,
        "approve": None,
        "tools": ["look"],
    }


def test_who_said_what() -> None:
    """A part has ``segments`` if the model distinguishes speakers."""
    part = Part("input_audio", segments=(Segment("g", "A", 0.0, 1.5, "Hi"),))
    item = Item("i", role="user", parts=(part,))

    assert view(Session("s", items=Map({"i": item})))["items"]["i"]["parts"] == [
        {
            "type": "input_audio",
            "final": False,
            "segments": [
                {"id": "g", "speaker": "A", "start": 0.0, "end": 1.5, "text": "Hi"}
            ],
            "chunks": [],
        }
    ]


@pytest.mark.parametrize(
    ("confirmed", "expected"), [(None, None), ('{"type":"x"}', {"type": "x"})]
)
def test_a_translation(confirmed: str | None, expected: Any) -> None:
    """Both texts of a translation are chunks."""
    both = Translation(Rope("Guten").append(" Tag"), Rope("Good"), confirmed=confirmed)
    conversation = replace(Session("s").conversation, translation=both)

    assert view(Session("s", conversation=conversation))["translation"] == {
        "confirmed": expected,
        "closed": False,
        "input": {"chunks": ["Guten", " Tag"]},
        "output": {"chunks": ["Good"]},
    }


def test_the_items_of_a_summary() -> None:
    """A summary lists the items of the conversation, then the out-of-band ones.

    The text of a call is its arguments, and that of an output the output. Texts are
    stripped as in the transcript.
    """
    items = {
        "m": Item("m", role="user", parts=(Part("input_text", Rope("Hi ")),)),
        "sys": Item("sys", role="system", parts=(Part("input_text", Rope("Be")),)),
        "call": Item("call", "function_call", call=CALL),
        "out": Item("out", "function_call_output", call=OUTPUT),
        "dead": Item("dead", role="user", status="deleted"),
        "z": Item("z", role="assistant", parts=(Part("output_text", Rope("Psst")),)),
        "y": Item("y", role="assistant"),
    }
    aside = Response("r", in_conversation=False, item_ids=("z", "lost"))
    session = Session(
        "s",
        items=Map(items),
        responses=Responses(Map({"r": aside}), IdSequence(["r"])),
    )
    order = IdSequence(["sys", "m", "dead", "call", "out"])
    conversation = replace(session.conversation, order=order, cleared_after="sys")
    found = summary(replace(session, conversation=conversation))

    assert [tuple(item.values()) for item in found["items"]] == [
        ("sys", "message", "system", "in_progress", "Be"),
        ("m", "message", "user", "in_progress", "Hi"),
        ("call", "function_call", None, "in_progress", '{"a":1}'),
        ("out", "function_call_output", None, "in_progress", "found"),
        ("z", "message", "assistant", "in_progress", "Psst"),
        ("y", "message", "assistant", "in_progress", ""),
    ]
    assert list(found["items"][0]) == ["id", "type", "role", "status", "text"]
    assert [line["item_id"] for line in found["transcript"]] == ["m"]
    assert found["responses"] == [{"id": "r", "status": "in_progress"}]


def test_dollars_have_no_noise() -> None:
    """A cost is written without rounding noise."""
    service = Service()
    service.created(model="m")
    usage = {"total_tokens": 3, "input_token_details": {"text_tokens": 3}}
    service.send("response.done", response={"id": "r", "usage": usage})
    found = summary(fold_frames(*service.frames), {"m": {"text": {"input": 25.6}}})

    assert (found["cost"]["usd"], found["cost"]["input_text"]) == (7.68e-05, 7.68e-05)
    assert 3 * 25.6 / 1_000_000 != 7.68e-05


def test_a_whole_summary() -> None:
    """A summary has everything that `replay` prints about a session."""
    service = Service()
    service.created(model="gpt-realtime")
    user = service.typed("Hello")
    response = service.begin(metadata={"duologue": "scripted"})
    said = service.say(response, ("Hi",), spoken=False)
    service.finish(said)
    usage = {
        "total_tokens": 1_500_000,
        "input_token_details": {"text_tokens": 1_000_000},
        "output_token_details": {"text_tokens": 500_000},
    }
    done = {"id": response, "status": "completed", "usage": usage}
    service.send("response.done", response=done)
    service.frames.append({"type": "response.dreamt"})
    session = fold_frames(*service.frames)
    table = {"gpt-realtime": {"text": {"input": 2.0, "cached": 1.0, "output": 8.0}}}
    line = {"final": True, "interrupted": None, "heard": None}

    assert summary(session, table) == {
        "id": "s",
        "status": "open",
        "transcript": [
            {
                "item_id": user,
                "role": "user",
                "text": "Hello",
                **line,
                "started_at": 1000.3,
                "finished_at": 1000.3,
                "metadata": {},
            },
            {
                "item_id": said["item_id"],
                "role": "assistant",
                "text": "Hi",
                **line,
                "started_at": 1000.6,
                "finished_at": 1001.2,
                "metadata": {"duologue": "scripted"},
            },
        ],
        "items": [
            {
                "id": user,
                "type": "message",
                "role": "user",
                "status": "completed",
                "text": "Hello",
            },
            {
                "id": said["item_id"],
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "text": "Hi",
            },
        ],
        "responses": [{"id": response, "status": "completed"}],
        "usage": {
            "input_text": 1_000_000,
            "input_audio": 0,
            "input_image": 0,
            "cached_text": 0,
            "cached_audio": 0,
            "cached_image": 0,
            "output_text": 500_000,
            "output_audio": 0,
            "total": 1_500_000,
        },
        "cost": {
            "model": "gpt-realtime",
            "usd": 6.0,
            "input_text": 2.0,
            "input_audio": 0.0,
            "input_image": 0.0,
            "cached_text": 0.0,
            "cached_audio": 0.0,
            "cached_image": 0.0,
            "output_text": 4.0,
            "output_audio": 0.0,
            "missing": [],
        },
        "turns": [
            {
                "response_id": response,
                "item_id": None,
                "first_audio_ms": None,
                "first_text_ms": 600.0,
                "barge_in_ms": None,
            }
        ],
        "problems": [],
        "reconnections": [],
        "counters": {
            "events": 15,
            "unknown": 1,
            "malformed": 0,
            "duplicate": 0,
            "late": 0,
        },
    }


def test_problems_and_no_price() -> None:
    """A problem has all its fields, and an unknown model has no cost."""
    error = {"type": "error", "error": {"code": "bad", "message": "oh"}}
    session = fold([to_record(error)]).sessions["s"]
    found = summary(session)

    assert found["cost"] is None
    assert [problem["message"] for problem in found["problems"]] == ["oh"]
    assert found["problems"] == view(session)["problems"]


def test_no_audio() -> None:
    """Received audio does not change a view."""
    service = Service()
    said = service.say(service.begin(), ("a",))
    before = view(fold_frames(*service.frames))
    delta = {**said, "delta": audio(480)}
    service.send("response.output_audio.delta", **delta)

    assert before == view(fold_frames(*service.frames))
