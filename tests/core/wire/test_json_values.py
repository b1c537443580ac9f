"""Canonical JSON, and the merge of configurations."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import decode, dump, events, fold
from duologue.core.wire.json_values import (
    canonical,
    canonical_json,
    is_array,
    is_object,
    is_tuple,
    merged,
)

from ..talk import to_record

SESSION: dict[str, Any] = {
    "type": "realtime",
    "tools": [
        {"type": "function", "name": "f", "parameters": {"b": [1, {"d": 2, "c": 3}]}},
        {"type": "mcp", "server_label": "maps", "headers": {"x": "y"}},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "tracing": "auto",
    "truncation": None,
    "prompt": {"id": "p", "variables": {"z": 1, "a": 2}},
}


def spelled(spacing: Any, *, backwards: bool) -> bytes:
    """The same configuration with other spacing and key order."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            pairs = [(key, turned(one)) for key, one in value.items()]
            return dict(pairs[::-1] if backwards else pairs)
        return [turned(one) for one in value] if isinstance(value, list) else value

    frame = turned({"type": "session.updated", "session": SESSION})
    return json.dumps(frame, indent=spacing).encode()


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("spacing", [None, 0, 4])
def test_a_configuration_is_the_same_however_it_is_spelled(
    spacing: Any, backwards: bool
) -> None:
    """Spacing and key order do not change the dump of the state."""
    one = dump(fold([to_record(spelled(None, backwards=False))]))
    two = dump(fold([to_record(spelled(spacing, backwards=backwards))]))

    assert one == two


def test_what_is_confirmed_cannot_be_changed() -> None:
    """The confirmed configuration is immutable at any depth."""
    state = fold([to_record(spelled(None, backwards=False))])
    left: list[Any] = [state.sessions["s"].connection.confirmed]
    while left:
        value = left.pop()
        assert not isinstance(value, dict | list | bytearray)
        if isinstance(value, msgspec.Struct):
            assert value.__struct_config__.frozen
            left += [getattr(value, name) for name in value.__struct_fields__]
        elif isinstance(value, tuple):
            left += value


def test_what_is_canonical_is_left_alone() -> None:
    """A canonical configuration stays the same object."""
    plain = events.RealtimeSessionConfig(
        tools=(events.FunctionTool(name="f"),), instructions="a"
    )

    assert plain is canonical(plain)


def test_values_that_were_given_become_text() -> None:
    """Free-form JSON of a constructed event becomes canonical."""
    tool = events.FunctionTool(name="f", parameters={"b": 1, "a": [2]})
    found = canonical(events.RealtimeSessionConfig(tools=(tool,)))

    assert msgspec.json.encode(found) == (
        b'{"type":"realtime","tools":[{"type":"function","name":"f",'
        b'"parameters":{"a":[2],"b":1}}]}'
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, (True, False, False)),
        ([], (False, True, False)),
        ((), (False, False, True)),
        ("", (False, False, False)),
        (None, (False, False, False)),
    ],
)
def test_the_forms_of_a_value(value: Any, expected: tuple[bool, bool, bool]) -> None:
    """An array is a list in JSON values, and a tuple in events and in the state."""
    assert (is_object(value), is_array(value), is_tuple(value)) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text("aé"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
)


@given(json_values)
def test_one_spelling(value: Any) -> None:
    """Canonical JSON has the same value and is stable."""
    text = canonical_json(value)

    assert value == json.loads(text)
    assert text == canonical_json(msgspec.Raw(text.encode()))


def test_an_event_goes_out_as_it_was_written() -> None:
    """Decoding and encoding does not make JSON canonical."""
    tracing = b'"tracing":{"b":1,"a":2}'
    frame = b'{"type":"session.update","session":{"type":"realtime",%s}}' % tracing

    assert msgspec.json.encode(decode(frame)) == frame


@pytest.mark.parametrize(
    ("value", "change", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"tools": [1, 2]}, {"tools": [3]}, {"tools": [3]}),
        ({"type": "x", "a": 1}, {"b": 2}, {"type": "x", "a": 1, "b": 2}),
        ({"type": "x", "a": 1}, {"type": "x", "b": 2}, {"type": "x", "a": 1, "b": 2}),
        ({"type": "x", "a": 1}, {"type": "y", "b": 2}, {"type": "y", "b": 2}),
    ],
)
def test_objects_merge_key_by_key(value: Any, change: Any, expected: Any) -> None:
    """Null is a value, a list is replaced, and so is an object of another type."""
    assert merged(value, change) == expected


def test_no_depth_is_too_much() -> None:
    """The merge is not limited by the depth of the objects."""
    deep: Any = {}
    for _ in range(10_000):
        deep = {"a": deep}

    assert merged(deep, deep)["a"] is not deep
