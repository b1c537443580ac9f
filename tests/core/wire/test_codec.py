"""Frames to events: `decode` never raises and is strict only in strict fields."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import SessionKind, decode, encode, events, fold
from duologue.core.events.base import Event, Malformed, Unknown
from duologue.core.testing import bent
from duologue.core.wire.codec import MAX_AUDIO_FRAME, MAX_DEPTH, MAX_FRAME

from ..catalogue import EVERY, WIRE, fields, tag
from ..talk import to_record

DELTA = {
    "type": "response.output_text.delta",
    "event_id": "e",
    "response_id": "r",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "delta": "a",
}


def with_fields(**changes: Any) -> bytes:
    """The delta with some fields replaced."""
    return json.dumps({**DELTA, **changes}).encode()


HOSTILE: dict[str, bytes | str] = {
    "empty": b"",
    "blank": b"  ",
    "not JSON": b"hello",
    "two values": b"{}{}",
    "torn": b'{"type":"error"',
    "array": b'[{"type":"error"}]',
    "string": b'"error"',
    "number": b"1",
    "null": b"null",
    "no type": b"{}",
    "null type": b'{"type":null}',
    "type is a number": b'{"type":5}',
    "NaN": b'{"type":"response.dreamt","x":NaN}',
    "NaN in an unread field": b'{"type":"response.created","x":NaN}',
    "Infinity": b'{"type":"response.dreamt","x":-Infinity}',
    "number without end": b'{"type":"response.dreamt","x":1e999}',
    "very long integer": b'{"type":"response.dreamt","x":%s}' % (b"9" * 5000),
    "number without end that is read": with_fields()[:-1] + b',"content_index":1e999}',
    "surrogate in a str": '{"type":"response.dreamt","x":"\ud800"}',
    "surrogate in bytes": b'{"type":"response.dreamt","x":"\xed\xa0\x80"}',
    "escaped surrogate": b'{"type":"response.dreamt","x":"\\ud800"}',
    "escaped surrogate, unread": b'{"type":"response.created","x":"\\udfff"}',
    "bad UTF-8": b'{"type":"error","error":{"message":"\xff"}}',
    "bad UTF-8 in an unread field": with_fields()[:-1] + b',"x":"\xff"}',
    "UTF-16": json.dumps(DELTA).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + with_fields(),
    "line break in a string": b'{"type":"response.dreamt","x":"a\nb"}',
    "deep": b'{"type":"response.dreamt","x":' + b"[" * 100_000,
    "deep and whole": b'{"type":"x","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep in an unread field": with_fields()[:-1]
    + b',"x":'
    + b'{"a":' * 100_000
    + b"1"
    + b"}" * 100_000
    + b"}",
    "item_id null": with_fields(item_id=None),
    "item_id missing": json.dumps({"type": DELTA["type"], "delta": "a"}).encode(),
    "item_id a number": with_fields(item_id=5),
    "delta a list": with_fields(delta=["a"]),
    "content_index a string": with_fields(content_index="0"),
    "content_index a truth": with_fields(content_index=True),
    "content_index a fraction": with_fields(content_index=0.5),
    "item a string": b'{"type":"conversation.item.added","item":"i"}',
    "item null": b'{"type":"conversation.item.added","item":null}',
    "content a string": json.dumps(
        {
            "type": "conversation.item.added",
            "item": {"type": "message", "id": "i", "content": "hello"},
        }
    ).encode(),
    "id of an unknown item": json.dumps(
        {"type": "conversation.item.added", "item": {"type": "new", "id": 5}}
    ).encode(),
    "response null": b'{"type":"response.done","response":null}',
}


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_believed_is_malformed(frame: bytes | str) -> None:
    """An unusable frame gives `Malformed` with its size, hash, head and reason."""
    event = decode(frame)
    size = len(
        frame.encode(errors="surrogatepass") if isinstance(frame, str) else frame
    )

    assert isinstance(event, Malformed), event
    assert size == event.size
    assert len(event.digest) == 16
    assert len(event.head) <= 80
    assert event.reason
    assert "\n" not in event.reason
    assert len(event.reason) <= 200


TOLERATED: dict[str, tuple[Any, Event]] = {
    "unknown field": (
        {"type": "error", "error": {}, "new": [1]},
        events.Error(error=events.ErrorDetail()),
    ),
    "wrong type in an unread field": (
        {"type": "error", "event_id": 5, "error": {"message": "m", "param": []}},
        events.Error(error=events.ErrorDetail(message="m")),
    ),
    "missing index": (
        {k: DELTA[k] for k in ("type", "item_id", "delta")},
        events.ResponseOutputTextDelta(
            response_id="", item_id="i", output_index=0, content_index=0, delta="a"
        ),
    ),
    "null index": (
        {**DELTA, "content_index": None, "output_index": None},
        msgspec.convert(DELTA, events.ResponseOutputTextDelta),
    ),
    "a null among the parts": (
        {
            "type": "conversation.item.added",
            "item": {
                **{"type": "message", "id": "i", "role": "user"},
                "content": [None, {"type": "input_text", "text": "a"}],
            },
        },
        events.ConversationItemAdded(
            item=events.MessageItem(
                id="i", role="user", content=(events.InputTextPart(text="a"),)
            )
        ),
    ),
    "a null in metadata": (
        {"type": "response.done", "response": {"id": "r", "metadata": {"a": None}}},
        events.ResponseDone(response=events.RealtimeResponse(id="r", metadata={})),
    ),
    "a whole number with a point": (
        {**DELTA, "content_index": 0.0},
        msgspec.convert(DELTA, events.ResponseOutputTextDelta),
    ),
    "a fraction of a ms": (
        {
            "type": "input_audio_buffer.speech_started",
            "item_id": "i",
            "audio_start_ms": 12.75,
        },
        events.InputAudioBufferSpeechStarted(item_id="i", audio_start_ms=12),
    ),
    "unknown item": (
        {"type": "conversation.item.added", "item": {"type": "new", "id": "i", "x": 1}},
        events.ConversationItemAdded(
            item=events.UnknownItem(
                name="new", id="i", fields={"type": "new", "id": "i", "x": 1}
            )
        ),
    ),
    "unknown part": (
        {
            "type": "conversation.item.added",
            "item": {"type": "message", "id": "i", "content": [{"type": "smell"}]},
        },
        events.ConversationItemAdded(
            item=events.MessageItem(
                id="i",
                content=(events.UnknownPart(name="smell", fields={"type": "smell"}),),
            )
        ),
    ),
    "part without anything": (
        {"type": "response.content_part.added", "item_id": "i"},
        events.ResponseContentPartAdded(
            response_id="",
            item_id="i",
            output_index=0,
            content_index=0,
            part=events.UnknownPart(name=""),
        ),
    ),
    "session null": (
        {"type": "session.created", "session": None},
        events.SessionCreated(session=events.RealtimeSessionConfig()),
    ),
    "usage of no type": (
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "i",
            "transcript": "a",
            "usage": {"total_tokens": 3},
        },
        events.ConversationItemInputAudioTranscriptionCompleted(
            item_id="i",
            content_index=0,
            transcript="a",
            usage=events.TokenUsage(total_tokens=3),
        ),
    ),
    "response.create without a response": (
        {"type": "response.create", "event_id": 5},
        events.ResponseCreate(),
    ),
}


@pytest.mark.parametrize(("frame", "event"), TOLERATED.values(), ids=TOLERATED)
def test_the_rest_is_tolerated(frame: Any, event: Event) -> None:
    """A wrong value in an unread field costs no other field."""
    assert event == decode(json.dumps(frame))


def test_unknown_events_keep_their_json() -> None:
    """A new event type is no error, and all its fields are kept."""
    frame = {"type": "response.dreamt", "event_id": "e", "sheep": 3}
    event = decode(json.dumps(frame))

    assert Unknown(name="response.dreamt", event_id="e", fields=frame) == event
    assert event.type == "response.dreamt"
    assert frame == json.loads(encode(event))


def test_duplicate_keys_take_the_last() -> None:
    """The last of two equal keys counts, as in JSON readers."""
    frame = json.dumps(DELTA)[:-1] + ',"delta":"b"}'

    assert msgspec.convert({**DELTA, "delta": "b"}, events.ResponseOutputTextDelta) == (
        decode(frame)
    )


@pytest.mark.parametrize(
    ("type", "field", "cap"),
    [
        ("response.output_text.delta", "delta", MAX_FRAME),
        ("response.dreamt", "delta", MAX_FRAME),
        ("response.output_audio.delta", "delta", MAX_AUDIO_FRAME),
        ("input_audio_buffer.append", "audio", MAX_AUDIO_FRAME),
    ],
)
def test_size_caps(type: str, field: str, cap: int) -> None:
    """The limit is 1 MiB for a frame and 16 MiB for a frame with audio."""
    bare = json.dumps({**DELTA, "type": type, field: ""})
    most = json.dumps({**DELTA, "type": type, field: "A" * (cap - len(bare))})

    assert len(most) == cap
    assert not isinstance(decode(most), Malformed)
    assert isinstance(decode(most + " "), Malformed)


def test_kind_decides_what_shared_names_mean() -> None:
    """The kind of session selects the class of a shared event type."""
    frame = json.dumps({"type": "session.updated", "session": {}})

    assert isinstance(decode(frame), events.SessionUpdated)
    assert isinstance(
        decode(frame, kind=SessionKind.TRANSLATION), events.TranslationSessionUpdated
    )


def test_a_session_that_says_translation_is_one() -> None:
    """The first event of a translation session names its kind."""
    frame = {"type": "session.created", "session": {"type": "translation", "id": "s"}}

    assert events.TranslationSessionCreated(
        session=events.TranslationConfig(type="translation", id="s")
    ) == decode(json.dumps(frame))


@given(st.binary())
def test_no_bytes_raise(frame: bytes) -> None:
    """Decoding any bytes gives an event."""
    assert isinstance(decode(frame), Event)


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_raises(frame: str) -> None:
    """Decoding any text gives an event, even with lone surrogates."""
    assert isinstance(decode(frame), Event)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(json_values, st.sampled_from([*map(tag, WIRE), ""]))
def test_no_json_raises(value: Any, type: str) -> None:
    """Decoding any JSON gives an event, under any type."""
    if isinstance(value, dict):
        value = {**value, "type": type}

    assert isinstance(decode(json.dumps(value)), Event)


@given(st.data(), st.sampled_from(EVERY))
def test_no_bent_event_raises(data: st.DataObject, cls: type[Event]) -> None:
    """An event with any one value missing or replaced still gives an event."""
    frame = data.draw(bent(fields(cls)))

    assert isinstance(decode(json.dumps(frame)), Event)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON value, at any depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, ...]] = []
    for key, one in inner:
        found.append((*at, key))
        if isinstance(one, dict | list):
            found += paths(one, (*at, key))
    return found


MISSING = object()
WRONG = [
    MISSING,
    None,
    5,
    -1,
    2**70,
    10**400,
    1.5,
    True,
    "",
    "x" * 70_000,
    [],
    [None],
    {},
]


@pytest.mark.parametrize("cls", EVERY)
def test_every_field_missing_null_wrong_or_long(cls: type[Event]) -> None:
    """Any such event decodes and folds, and the state can be read."""
    whole = fields(cls)
    for path in paths(whole):
        for wrong in WRONG:
            frame = bend(whole, path, wrong)
            record = to_record(frame)
            assert isinstance(record.event, Event)
            fold([record])


def bend(frame: Any, path: tuple[Any, ...], value: object) -> Any:
    """The frame with another value at a path, or without it."""
    frame = copy.deepcopy(frame)
    inside = frame
    for key in path[:-1]:
        inside = inside[key]
    if value is MISSING:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return frame


def test_malformed_has_no_wire_type() -> None:
    """The type of a malformed event is ``malformed``."""
    assert decode(b"").type == "malformed"


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"response.output_text.delta","item_id":"i","delta":"a"}',
        b'{"type":"of.a.new.kind","any":["thing"]}',
    ],
)
def test_an_event_goes_out_as_it_came(frame: bytes) -> None:
    """Encoding a decoded event, known or unknown, keeps its fields."""
    assert json.loads(frame).items() <= json.loads(encode(decode(frame))).items()


def nested(levels: int, string: str = "") -> bytes:
    """An event of unknown type with nested lists and a text."""
    inner = "[" * (levels - 1) + "]" * (levels - 1)
    return f'{{"type":"x","text":{json.dumps(string)},"deep":{inner}}}'.encode()


def called(depth: int, frame: bytes) -> type:
    """The class that a frame decodes to, this many calls deeper in the stack."""
    return called(depth - 1, frame) if depth else type(decode(frame))


@pytest.mark.parametrize("calls", [0, 300])
@pytest.mark.parametrize(
    ("levels", "expected"), [(MAX_DEPTH, Unknown), (MAX_DEPTH + 1, Malformed)]
)
def test_the_depth_is_our_own(calls: int, levels: int, expected: type) -> None:
    """The depth limit does not depend on the stack, so replays agree."""
    assert called(calls, nested(levels)) is expected


@pytest.mark.parametrize("text", ["[" * 500, '"' + "{" * 500, "\\" + "[" * 500])
def test_brackets_in_a_text_nest_nothing(text: str) -> None:
    """Only brackets outside of strings count."""
    assert type(decode(nested(3, text))) is Unknown


@given(st.text('"\\[]{}a'))
def test_the_depth_beside_any_text(text: str) -> None:
    """Quotes and backslashes in a string do not change the count of brackets."""
    assert type(decode(nested(MAX_DEPTH, text))) is Unknown
    assert type(decode(nested(MAX_DEPTH + 1, text))) is Malformed


@pytest.mark.parametrize("unit", ['\\"', "\\", "a", "[", '"', "[]"])
def test_the_largest_frame_is_looked_at_once(unit: str) -> None:
    """The depth check takes linear time, even in an unterminated string."""
    frame = "[" + "[]" * MAX_DEPTH + '"'
    frame += unit * ((MAX_AUDIO_FRAME - len(frame)) // len(unit))

    assert isinstance(decode(frame), Malformed)


def test_an_item_of_an_unknown_type_is_sent_as_it_is() -> None:
    """The item is its JSON, with the id of the event's item."""
    frame = b'{"type":"conversation.item.create","item":{"type":"new","id":"i","a":1}}'
    event = decode(frame)

    assert json.loads(encode(event)) == json.loads(frame)


@pytest.mark.parametrize(
    ("item_id", "expected"),
    [
        (None, {"type": "new", "size": 3}),
        ("i", {"type": "new", "size": 3, "id": "i"}),
    ],
)
def test_an_item_of_an_unknown_type(item_id: str | None, expected: Any) -> None:
    """It is encoded as its JSON, with the id that it has now, or without one."""
    fields = {"type": "new", "id": "old", "size": 3}
    item = events.UnknownItem(name="new", id=item_id, fields=fields)
    frame = encode(events.ConversationItemCreate(item=item))

    assert json.loads(frame) == {"type": "conversation.item.create", "item": expected}
