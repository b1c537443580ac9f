"""The classes of the state: immutable, hashable, small where they change often."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from immutables import Map

from duologue.core.events.config import (
    AudioConfig,
    AudioInput,
    RealtimeSessionConfig,
)
from duologue.core.state import model as module

CLASSES = [getattr(module, name) for name in module.__all__]
#: The classes that every text delta rebuilds; the cost grows with their fields.
HOT = [module.State, module.Session, module.Item, module.Part]
REQUIRED = {
    **{name: "x" for name in ("id", "type", "kind", "message", "key", "name", "json")},
    **{name: "x" for name in ("speaker", "text", "config", "item_id", "event")},
    "event_id": "x",
    **{name: 1 for name in ("audio_end_ms", "start", "end", "received_at", "epoch")},
}


def made(cls: type) -> Any:
    fields = msgspec.structs.fields(cls)
    return cls(**{f.name: REQUIRED[f.name] for f in fields if f.required})


@pytest.mark.parametrize("cls", CLASSES)
def test_frozen_with_slots(cls: type) -> None:
    """Fields can be neither set nor added."""
    value = made(cls)
    with pytest.raises(AttributeError, match="immutable"):
        setattr(value, value.__struct_fields__[0], None)
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("cls", CLASSES)
def test_hashable_by_value(cls: type) -> None:
    """New objects are equal and hashable by value."""
    assert made(cls) == made(cls)
    assert hash(made(cls)) == hash(made(cls))


@pytest.mark.parametrize("cls", HOT)
def test_hot_nodes_are_narrow(cls: type) -> None:
    """A class that every delta rebuilds has at most nine fields."""
    assert len(msgspec.structs.fields(cls)) <= 9


def test_the_server_of_a_call() -> None:
    """Only an MCP call has a server label."""
    assert module.Call("c").server_label is None
    assert module.Call(mcp=module.McpCall("shop")).server_label == "shop"


def test_what_stands_under_an_id() -> None:
    """An id of None finds nothing, even if an object has the empty id."""
    item, response = module.Item(""), module.Response("")
    responses = module.Responses(Map({"": response}))
    session = module.Session("s", items=Map({"": item}), responses=responses)

    assert (session.item(""), session.item(None), session.item("x")) == (
        item,
        None,
        None,
    )
    assert (session.response(""), session.response(None), session.response("x")) == (
        response,
        None,
        None,
    )


def test_the_confirmed_configuration_of_user_audio() -> None:
    """It is empty if the service has confirmed none."""
    given = AudioInput(transcription=None)
    configs = [
        RealtimeSessionConfig(audio=AudioConfig(input=given)),
        RealtimeSessionConfig(audio=AudioConfig()),
        RealtimeSessionConfig(),
        None,
    ]

    assert [module.Connection(confirmed=each).audio_input for each in configs] == [
        given,
        *[AudioInput()] * 3,
    ]


@pytest.mark.parametrize(
    ("dialing", "expected"),
    [
        (module.Dialing(1), False),
        (module.Dialing(1, running=True), True),
        (module.Dialing(1, connected_at=0.0), True),
        (module.Dialing(1, failures=3, failed_at=5.0), False),
    ],
)
def test_the_next_connection_that_is_alive(
    dialing: module.Dialing, expected: bool
) -> None:
    """It is connected or being connected."""
    assert dialing.is_alive is expected


CHANGES = (module.ConfigChange("1"), module.ConfigChange("2"))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (module.Connection(), "{}"),
        (module.Connection(requested="3"), "3"),
        (module.Connection(requested="3", changes=CHANGES), "1"),
        (module.Connection(requested="3", changes=CHANGES, accepted="4"), "4"),
    ],
)
def test_the_configuration_to_restore_first(
    connection: module.Connection, expected: str
) -> None:
    """The accepted one, or else the first change, or else what was requested."""
    assert connection.base == expected
