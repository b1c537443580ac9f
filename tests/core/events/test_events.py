"""The catalogue of event classes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from duologue.core import LocalEventType, RealtimeEventType, SessionKind, decode, encode
from duologue.core import events as catalogue
from duologue.core.events.base import Event, Unknown
from duologue.core.wire.codec import malformed

from ..catalogue import EVERY, LOCAL, WIRE, example, fields, tag

SHARED = {"session.created", "session.updated", "session.update"}


def kind_of(cls: type[Event]) -> SessionKind:
    """The kind of session of a class."""
    return cls.KIND or SessionKind.REALTIME


def test_every_wire_type_has_its_classes() -> None:
    """Every wire type has one class; a type that translations share has two."""
    expected = {t.value: 1 + (t.value in SHARED) for t in RealtimeEventType}

    assert expected == Counter(tag(cls) for cls in WIRE)


def test_every_local_fact_has_its_class() -> None:
    """Every local fact has one class."""
    assert {t.value: 1 for t in LocalEventType} == Counter(tag(cls) for cls in LOCAL)


def test_a_class_is_named_after_its_type() -> None:
    """A class has its type in PascalCase; shared types add ``Translation``."""
    for cls in WIRE:
        words = tag(cls).replace(".", "_").split("_")
        name = "".join(word.capitalize() for word in words)

        assert name == cls.__name__.removeprefix("Translation")


def test_classes_are_exported_and_frozen() -> None:
    """Each class is exported, immutable and documented."""
    for cls in EVERY:
        config = cls.__struct_config__

        assert cls is getattr(catalogue, cls.__name__)
        assert cls.__name__ in catalogue.__all__
        assert (config.frozen, config.tag_field) == (True, "type"), cls
        assert cls.__doc__, cls


def test_round_trip_of_a_full_event() -> None:
    """An encoded event with every field filled decodes to the same event."""
    for cls in EVERY:
        event = example(cls)

        assert event == decode(encode(event), kind=kind_of(cls))
        assert tag(cls) == event.type


def test_a_full_event_loses_no_field() -> None:
    """Every field of a frame is in the class and is encoded unchanged."""
    for cls in EVERY:
        frame = fields(cls)

        assert frame == json.loads(encode(decode(json.dumps(frame), kind=kind_of(cls))))


def test_events_cannot_be_changed() -> None:
    """Events are immutable."""
    for cls in EVERY:
        event: Any = example(cls)
        name = msgspec.structs.fields(cls)[0].name if cls.__struct_fields__ else "x"
        with pytest.raises(AttributeError):
            setattr(event, name, None)


def test_defaults_stay_out_of_the_wire() -> None:
    """A default is left out; an explicit null is sent."""
    update = catalogue.SessionUpdate(
        session=catalogue.RealtimeSessionConfig(
            audio=catalogue.AudioConfig(input=catalogue.AudioInput(turn_detection=None))
        )
    )

    assert json.loads(encode(update)) == {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
    }


def test_items_and_parts_know_their_type() -> None:
    """The ``type`` of an item or part is its wire tag."""
    part = catalogue.InputTextPart(text="a")
    item = catalogue.MessageItem(content=(part,))

    assert (item.type, part.type) == ("message", "input_text")


def test_what_is_no_event_of_the_catalogue_has_a_type_too() -> None:
    """An unknown event has its wire type, any other ``malformed``."""
    assert Unknown(name="response.dreamt").type == "response.dreamt"
    assert malformed(b"{", "cut off").type == "malformed"
