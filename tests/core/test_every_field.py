"""Every event with each field missing, null, of every wrong type, and very long.

The variants are generated from the classes, so a new field is included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from duologue.core import (
    Record,
    Session,
    SessionKind,
    State,
    dump,
    encode,
    fold,
    reduce,
)
from duologue.core.events.base import Event, LocalEvent, Malformed
from duologue.core.testing import Service, to_records
from duologue.core.testing.mutations import like
from duologue.core.views.view import summary, view

from .catalogue import DESCRIBED, EVERY, fields, shapes, tag
from .talk import changed

_GONE = object()
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
#: Wrong values of a field, by name.
WRONG: dict[str, Any] = {
    "missing": _GONE,
    "null": None,
    "string": "odd",
    "number": -7,
    "fraction": 0.5,
    "huge": 10**400,
    "word": 2**64,
    "bool": True,
    "list": [1, "a"],
    "object": {"type": "odd", "id": "odd"},
    "empty": {},
    "long": "é" * 50_000,
    "deep": DEEP,
}
every = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*at, key)
        if isinstance(one, dict | list):
            yield from paths(one, (*at, key))


def bend(frame: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    """A copy of the frame with another value at this path, or none."""
    key, *below = path
    copy = dict(frame) if isinstance(frame, dict) else list(frame)
    if below:
        copy[key] = bend(frame[key], tuple(below), wrong)
    elif wrong is _GONE:
        del copy[key]
    else:
        copy[key] = wrong
    return copy


def variants(cls: type[Event]) -> Iterator[tuple[tuple[Any, ...], str, bytes]]:
    """The class's examples with every wrong value at every path, once for each type
    of object that can be there."""
    seen: set[tuple[Any, ...]] = set()
    for frame in shapes(cls):
        for path in paths(frame):
            place = (path, kind_of(frame, path))
            if place not in seen:
                seen.add(place)
                for name, wrong in WRONG.items():
                    yield path, name, msgspec.json.encode(bend(frame, path, wrong))


def kind_of(frame: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The types of the enclosing objects, and the fields of the innermost."""
    types: list[Any] = []
    for key in path[:-1]:
        types.append(frame.get("type") if isinstance(frame, dict) else None)
        frame = frame[key]
    beside = (frame.get("type"), *frame) if isinstance(frame, dict) else ()
    return (*types, *beside)


def spoken() -> list[Record]:
    """A session with the items that the examples name."""
    service = Service()
    service.created()
    service.put(
        {
            "id": "item_1",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "what was said"}],
        }
    )
    service.reply("and ", "answered")
    return to_records(service.frames)


BEFORE = fold(spoken())


def record_of(cls: type[Event], frame: bytes) -> Record:
    local = issubclass(cls, LocalEvent)
    return Record.of(
        frame,
        seq=100,
        session="s",
        dir="local" if local else "in",
        at=2000.0,
        kind=cls.KIND or SessionKind.REALTIME,
    )


@every
def test_no_field_of_any_kind_raises(cls: type[Event]) -> None:
    """A bent event can be processed everywhere and changes no text of other items."""
    for path, name, frame in variants(cls):
        try:
            record = record_of(cls, frame)
            encoded = encode(record.event)
            read(reduce(State(), record))
            after = reduce(BEFORE, record)
            session = after.sessions.get("s")
            if session is not None and changed(BEFORE.sessions["s"], session):
                read(after)
        except Exception as error:
            pytest.fail(f"{tag(cls)} with {name} at {path}: {error!r}")
        assert encoded.startswith(b"{"), (tag(cls), path, name)
        if session is not None:
            assert words_of(session) == OTHERS, (tag(cls), path, name)


def read(state: State) -> None:
    """Dump and view a state."""
    dump(state)
    for session in state.sessions.values():
        msgspec.json.encode([view(session), summary(session)])


def words_of(session: Session) -> dict[str, list[str]]:
    """The text of the items that no example names."""
    items = BEFORE.sessions["s"].items
    return {
        item_id: [str(part.text) for part in session.items[item_id].parts]
        for item_id in items
        if item_id != "item_1"
    }


OTHERS = words_of(BEFORE.sessions["s"])


def story() -> list[dict[str, Any]]:
    """Frames with text in every field that can have text."""
    service = Service()
    service.created(model="m", tools=[{"type": "function", "name": "look"}])
    service.typed("typed words")
    service.spoken("spoken ", "words")
    response = service.begin(metadata={"topic": "words"})
    call = service.call(response, "look", ('{"a"', ": 1}"))
    service.end(response, [call])
    service.answer(call["call_id"], "found words")
    service.list_tools("shop")
    response = service.begin()
    output = [service.mcp_call(response, "shop")]
    for index, is_spoken in enumerate((True, False), start=1):
        said = service.say(response, ("more ", "words"), spoken=is_spoken, index=index)
        output.append(service.finish(said))
    service.end(response, output)
    return service.frames


def words(state: State) -> dict[str, Any]:
    """All text of a session, by item."""
    session = state.sessions["s"]
    return {
        item.id: (
            [str(part.text) for part in item.parts],
            item.call and (str(item.call.arguments), item.call.output),
        )
        for item in session.items.values()
    }


STORY = story()
#: Fields that are strict in some class.
STRICT = {name for cls in DESCRIBED for name in cls.STRICT | cls.ESSENTIAL}
#: Fields that select how a frame is decoded.
STEERS = {"type", "event_id"}


def unread(frame: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The paths of a frame outside all strict fields."""
    known = STRICT | STEERS | {"session", "error", "usage", "rate_limits"}
    for path in paths(frame):
        if not {key for key in path if isinstance(key, str)} & known:
            yield path
    yield ("unheard_of",)


@pytest.mark.parametrize("name", sorted(set(WRONG) - {"missing"}))
def test_a_wrong_type_outside_of_strict_fields_loses_no_text(name: str) -> None:
    """The frame with the fault folds to the same text as the intact one."""
    stream = to_records(STORY)
    intact, before = words(fold(stream)), State()
    for number, (record, frame) in enumerate(zip(stream, STORY, strict=True)):
        after = reduce(before, record)
        for path in unread(frame):
            bent = like(record, msgspec.json.encode(bend(frame, path, WRONG[name])))
            found = reduce(before, bent)
            if found != after:
                found = fold(stream[number + 1 :], found)
                assert intact == words(found), (frame["type"], path)
        before = after


@pytest.mark.parametrize("cls", DESCRIBED, ids=lambda cls: cls.__name__)
def test_the_listed_fields_of_a_class_exist(cls: Any) -> None:
    """Every field name that a class lists exists, so no rule is lost by a typo."""
    base = cls.__mro__[1]
    named = (cls.STRICT - base.STRICT) | {*cls.AUDIO}

    assert named - set(cls.__struct_fields__) == set()


#: A wrong position, duration or count, and the event that is left.
DROPPED: dict[str, tuple[dict[str, Any], str]] = {
    "speech_started": (
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0},
        "audio_start_ms",
    ),
    "speech_stopped": (
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0},
        "audio_end_ms",
    ),
    "timeout_triggered": (
        {
            "type": "input_audio_buffer.timeout_triggered",
            "audio_start_ms": 0,
            "audio_end_ms": 0,
        },
        "audio_start_ms",
    ),
    "segment": (
        {
            "type": "conversation.item.input_audio_transcription.segment",
            **{"content_index": 0, "id": "s", "speaker": "A", "text": "a"},
            **{"start": 0.0, "end": 0.0},
        },
        "end",
    ),
}


@pytest.mark.parametrize("wrong", ["1.5", [1], {"ms": 1}, True])
@pytest.mark.parametrize(("frame", "name"), DROPPED.values(), ids=DROPPED)
def test_a_wrong_position_is_dropped(
    frame: dict[str, Any], name: str, wrong: Any
) -> None:
    """The field gets its default; the event and the user's line stay."""
    frame = {**frame, "item_id": "item_9"}
    record, bent = to_records([frame, {**frame, name: wrong}])

    assert bent.event == record.event
    assert "item_9" in reduce(BEFORE, bent).sessions["s"].items


@pytest.mark.parametrize("wrong", ["1", [], -0.5, True])
def test_a_wrong_count_costs_no_other(wrong: Any) -> None:
    """An invalid token count is -1, unknown; the other counts and the response stay."""
    usage = {"total_tokens": 7, "input_token_details": {"text_tokens": wrong}}
    response = {"id": "r", "status": "completed", "usage": usage}
    [record] = to_records([{"type": "response.done", "response": response}])
    event: Any = record.event

    assert event.response.usage.total_tokens == 7
    assert event.response.usage.input_token_details.text_tokens == -1


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ({"type": "conversation.item.truncated", "item_id": "i"}, "audio_end_ms"),
        ({"type": "duologue.played", "item_id": "i"}, "ms"),
    ],
)
def test_a_required_position(frame: Any, name: str) -> None:
    """A wrong type is malformed: 0 would mean that the user heard nothing."""
    [record] = to_records([{**frame, "content_index": 0, name: "1"}])

    assert isinstance(record.event, Malformed)


def test_malformed_says_why() -> None:
    """A wrong type in a strict field gives `Malformed` with a reason."""
    frame = msgspec.json.encode(bend(fields(EVERY[0]), ("type",), 3))

    assert isinstance(record_of(EVERY[0], frame).event, Malformed)
