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
    nullable,
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


@pytest.mark.parametrize(
    ("shape", "good", "bad", "code"),
    [
        (text, "", 3, "invalid_type"),
        (boolean, False, None, "invalid_type"),
        (boolean, True, 1, "invalid_type"),
        (integer(1, 3), 3, 4, "invalid_value"),
        (integer(0, 3), 1, True, "invalid_type"),
        (integer(0, 3), 1, 1.5, "invalid_type"),
        (number(0, 1), 1, 1.01, "invalid_value"),
        (number(0, 1), 0.5, "0.5", "invalid_type"),
        (one_of("a", "b"), "b", "c", "invalid_value"),
        (one_of(1), 1, True, "invalid_value"),
        (nullable(text), None, 3, "invalid_type"),
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
    shape(good, "here")
    with pytest.raises(Refusal) as raised:
        shape(bad, "here")
    assert code in (None, raised.value.code)
    assert (raised.value.param or "").startswith("here")


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
