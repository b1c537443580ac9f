"""Every event of the catalogue with each of its fields missing, null, of every wrong
type, very long: made from the classes themselves, so that a new field is tried too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from duologue.core import Record, SessionKind, State, dump, encode, fold, reduce
from duologue.core.events.base import Event, LocalEvent, Malformed
from duologue.core.leniency import ESSENTIAL, READ
from duologue.core.testing import Service, to_records
from duologue.core.view import summary, view

from .catalogue import EVERY, fields, shapes, tag

_GONE = object()
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
#: What a field can be that it should not be, by a name for the report.
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
    """Every place in a JSON value below the top."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*at, key)
        if isinstance(one, dict | list):
            yield from paths(one, (*at, key))


def bend(frame: dict[str, Any], path: tuple[Any, ...], wrong: Any) -> bytes:
    """The frame with another value at this place, or none."""
    frame = copy.deepcopy(frame)
    inside: Any = frame
    for key in path[:-1]:
        inside = inside[key]
    if wrong is _GONE:
        del inside[path[-1]]
    else:
        inside[path[-1]] = wrong
    return msgspec.json.encode(frame)


def variants(cls: type[Event]) -> Iterator[tuple[tuple[Any, ...], str, bytes]]:
    """The class's example, bent in every way at every place."""
    for frame in shapes(cls):
        for path in paths(frame):
            for name, wrong in WRONG.items():
                yield path, name, bend(frame, path, wrong)


def spoken() -> list[Record]:
    """A session in which the ids of the examples mean something."""
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
    translation = cls.__module__.endswith("translation")
    return Record.of(
        frame,
        seq=100,
        session="s",
        dir="local" if local else "in",
        at=2000.0,
        kind=SessionKind.TRANSLATION if translation else SessionKind.REALTIME,
    )


@every
def test_no_field_of_any_kind_raises(cls: type[Event]) -> None:
    """Decoded, folded into an empty and a used state, dumped, viewed, encoded."""
    for path, name, frame in variants(cls):
        record = record_of(cls, frame)
        for before in (State(), BEFORE):
            after = reduce(before, record)
            try:
                dump(after)
                for session in after.sessions.values():
                    msgspec.json.encode([view(session), summary(session)])
                    msgspec.json.decode(encode(record.event))
            except Exception as error:
                pytest.fail(f"{tag(cls)} with {name} at {path}: {error!r}")


@every
def test_a_bent_event_costs_no_other_text(cls: type[Event]) -> None:
    """What an event says wrongly of one item leaves the words of all the others."""
    for path, name, frame in variants(cls):
        state = reduce(BEFORE, record_of(cls, frame))
        if (session := state.sessions.get("s")) is None:
            continue
        for item_id, item in BEFORE.sessions["s"].items.items():
            if item_id != "item_1":
                found = session.items[item_id]
                assert [str(p.text) for p in item.parts] == [
                    str(p.text) for p in found.parts
                ], (tag(cls), path, name)


def story() -> list[dict[str, Any]]:
    """Frames with words in every place where words can stand."""
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


def words(frames: list[Any]) -> dict[str, Any]:
    """All the words of a session, by item."""
    session = fold(to_records(frames)).sessions["s"]
    return {
        item.id: (
            [str(part.text) for part in item.parts],
            item.call and (str(item.call.arguments), item.call.output),
        )
        for item in session.items.values()
    }


STORY = story()
#: Read nowhere by the reducer as words, ids or places, but steer how a frame is read.
STEERS = {"type", "event_id"}


def unread(frame: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The places of a frame that no rule of text or order reads."""
    known = READ | ESSENTIAL | STEERS | {"session", "error", "usage", "rate_limits"}
    for path in paths(frame):
        if not {key for key in path if isinstance(key, str)} & known:
            yield path
    yield ("unheard_of",)


@pytest.mark.parametrize("number", range(len(STORY)))
@pytest.mark.parametrize("name", sorted(set(WRONG) - {"missing"}))
def test_a_wrong_type_where_nobody_reads_loses_no_text(number: int, name: str) -> None:
    """The frame with the fault folds to the same words as the intact one."""
    intact = words(STORY)
    for path in unread(STORY[number]):
        bent = bend(STORY[number], path, WRONG[name])
        frames = [*STORY[:number], bent, *STORY[number + 1 :]]

        assert intact == words(frames), path


def test_what_steers_is_read() -> None:
    """The lists above name fields that exist, so that none hides a typing error."""
    every_key = {
        str(key)
        for cls in EVERY
        for shape in shapes(cls)
        for path in paths(shape)
        for key in path
    }

    assert READ - every_key == set()


def test_malformed_says_why() -> None:
    """A wrong type in a field that is read is a fact with a reason, not a guess."""
    frame = bend(fields(EVERY[0]), ("type",), 3)

    assert isinstance(record_of(EVERY[0], frame).event, Malformed)
