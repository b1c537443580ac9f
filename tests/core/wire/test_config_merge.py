"""How a change of a configuration merges into it."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core.wire.config_merge import merged


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
    """null is a value, a list is one value, another type takes the place."""
    assert merged(value, change) == expected


def test_no_depth_is_too_much() -> None:
    """What no configuration is replaces what was there."""
    deep: Any = {}
    for _ in range(10_000):
        deep = {"a": deep}

    assert merged(deep, deep)["a"] is not deep
