"""Checks of JSON values: accepted values, and the errors for others."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.local.schema.checks import (
    Shape,
    boolean,
    either,
    integer,
    items,
    name,
    number,
    one_of,
    record,
    tagged,
    text,
)
from duologue.local.schema.conversation_items import INPUT, ITEM
from duologue.local.schema.refusal import Refusal
from duologue.local.schema.session_config import RESPONSE

PAIR = record({"type": text, "a": integer(1, 3)}, required=("a",))
TAGGED = tagged({"a": PAIR})


@pytest.mark.parametrize(
    ("shape", "good", "bad", "code"),
    [
        (text, "", 3, "invalid_type"),
        (boolean, False, None, "invalid_type"),
        (boolean, True, 1, "invalid_type"),
        (integer(1, 3), 3, 4, "integer_above_max_value"),
        (integer(1, 3), 1, 0, "integer_below_min_value"),
        (integer(0, 3), 1, True, "invalid_type"),
        (integer(0, 3), 1, 1.5, "invalid_type"),
        (number(0, 1), 1, 1.01, "decimal_above_max_value"),
        (number(0, 1), 0, -1, "decimal_below_min_value"),
        (number(0, 1), 0.5, "0.5", "invalid_type"),
        (one_of("a", "b"), "b", "c", "invalid_value"),
        (one_of("1"), "1", 1, "invalid_value"),
        (name(2), "ab", "", "empty_string"),
        (name(2), "ab", "abc", "string_above_max_length"),
        (items(text), ["a"], ["a", 3], "invalid_type"),
        (items(text, most=1), ["a"], ["a", "b"], "array_above_max_length"),
        (PAIR, {"a": 1}, {"a": 1, "b": 2}, "unknown_parameter"),
        (PAIR, {"a": 1}, {}, "missing_required_parameter"),
        (PAIR, {"a": 1}, [], "invalid_type"),
        (tagged({"x": PAIR}), {"type": "x", "a": 1}, {"a": 1}, None),
        (tagged({"x": PAIR}, default="x"), {"a": 1}, {"type": "y"}, "invalid_value"),
        (either((str, text), (dict, PAIR)), {"a": 1}, 3, "invalid_type"),
    ],
)
def test_a_shape_lets_through_what_fits(
    shape: Shape, good: Any, bad: Any, code: str | None
) -> None:
    assert shape(good, "here") == good
    with pytest.raises(Refusal) as raised:
        shape(bad, "here")
    assert code in (None, raised.value.code)
    assert (raised.value.param or "").startswith("here")


def test_a_null_is_not_given() -> None:
    """Except for a key that it switches off, a required key and a key that refuses it.

    The value comes back without the nulls, at any depth.
    """
    inner = record({"a": text, "off": text}, off=("off",))
    shape = record(
        {"type": text, "one": inner, "many": items(inner), "yes": boolean, "on": text},
        required=("on",),
        never_null=("yes",),
    )
    nulls = {"a": None, "off": None}
    assert shape({"type": None, "one": nulls, "many": [nulls], "on": "x"}, "") == {
        "one": {"off": None},
        "many": [{"off": None}],
        "on": "x",
    }
    for key in ("yes", "on"):
        with pytest.raises(Refusal) as raised:
            shape({"on": "x", key: None}, "")
        assert (raised.value.code, raised.value.param) == ("invalid_type", key)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (["x", None], '["x",null]'),
        ({"a": False}, '{"a":false}'),
        ("None", "'None'"),
    ],
)
def test_a_refusal_shows_a_value_as_json(value: Any, shown: str) -> None:
    """Not as Python has it."""
    with pytest.raises(Refusal) as raised:
        one_of("a")(value, "here")
    assert raised.value.message == f"Invalid value: {shown}. Supported values are: 'a'."
    if value is not None:  # a type of null is a missing type
        with pytest.raises(Refusal) as raised:
            TAGGED({"type": value}, "here")
        assert raised.value.message.startswith(f"Invalid value: {shown}. ")


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        (
            integer(24_000, 24_000),
            16_000,
            "Invalid 'here': integer below minimum value. Expected a value >= 24000, "
            "but got 16000 instead.",
        ),
        (
            number(0.25, 1.5),
            2,
            "Invalid 'here': decimal above maximum value. Expected a value <= 1.5, but "
            "got 2 instead.",
        ),
    ],
)
def test_a_number_out_of_range_has_the_codes_of_the_api(
    shape: Shape, value: float, message: str
) -> None:
    with pytest.raises(Refusal) as raised:
        shape(value, "here")
    assert (raised.value.message, raised.value.param) == (message, "here")


USER = {"type": "message", "role": "user"}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "message", "content": []}, "item.role"),
        ({**USER, "role": "robot", "content": []}, "item.role"),
        (USER, "item.content"),
        ({**USER, "content": [{"type": "text", "text": "a"}]}, "item.content[0].type"),
        (
            {**USER, "content": [{"type": "output_text", "text": "a"}]},
            "item.content[0].type",
        ),
        ({**USER, "content": [{"type": "input_text"}]}, "item.content[0].text"),
        (
            {
                **USER,
                "role": "assistant",
                "content": [{"type": "output_audio", "transcript": "a"}],
            },
            "item.content[0].type",
        ),
        ({**USER, "content": [], "id": ""}, "item.id"),
        ({"type": "function_call_output", "output": "a"}, "item.call_id"),
        ({"type": "function_call", "name": "a"}, "item.arguments"),
        ({"type": "item_reference", "id": "a"}, "item.type"),
        ({"type": "picture"}, "item.type"),
        ({}, "item.type"),
    ],
)
def test_an_item_is_what_the_protocol_says(item: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as raised:
        ITEM(item, "item")
    assert raised.value.param == param


def test_a_reference_is_for_the_input_of_a_response() -> None:
    INPUT([{"type": "item_reference", "id": "a"}], "response.input")
    with pytest.raises(Refusal):
        INPUT([{"type": "item_reference"}], "response.input")


@pytest.mark.parametrize(
    "metadata",
    [{"a": 1}, {"a" * 65: "b"}, {"a": "b" * 513}, {str(n): "" for n in range(17)}, []],
)
def test_metadata_has_limits(metadata: Any) -> None:
    """16 pairs, keys of 64 characters, values of 512."""
    RESPONSE({"metadata": {str(n) * 32: "b" * 512 for n in range(10, 26)}}, "response")
    with pytest.raises(Refusal):
        RESPONSE({"metadata": metadata}, "response")
