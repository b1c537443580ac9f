"""JSON Patch (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from duologue.core import DuologueError
from duologue.core.views.json_patch import PatchError, apply

PAGE: dict[str, Any] = {"a": {"b": [1, 2], "~": 0, "/": 1, "": 2}, "c": [[3], {"d": 4}]}


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("add", "/a/b/1", {**PAGE, "a": {**PAGE["a"], "b": [1, "v", 2]}}),
        ("add", "/a/b/-", {**PAGE, "a": {**PAGE["a"], "b": [1, 2, "v"]}}),
        ("add", "/a/b/2", {**PAGE, "a": {**PAGE["a"], "b": [1, 2, "v"]}}),
        ("add", "/a/b", {**PAGE, "a": {**PAGE["a"], "b": "v"}}),
        ("add", "/a/~0", {**PAGE, "a": {**PAGE["a"], "~": "v"}}),
        ("add", "/a/~01", {**PAGE, "a": {**PAGE["a"], "~1": "v"}}),
        ("add", "", "v"),
        ("replace", "", "v"),
        ("replace", "/a/~1", {**PAGE, "a": {**PAGE["a"], "/": "v"}}),
        ("replace", "/a/", {**PAGE, "a": {**PAGE["a"], "": "v"}}),
        ("replace", "/c/1/d", {**PAGE, "c": [[3], {"d": "v"}]}),
        ("replace", "/c/0", {**PAGE, "c": ["v", {"d": 4}]}),
        ("remove", "/c/0", {**PAGE, "c": [{"d": 4}]}),
        ("remove", "/c/1/d", {**PAGE, "c": [[3], {}]}),
    ],
)
def test_an_operation(name: str, path: str, expected: Any) -> None:
    """An operation works as in RFC 6902 and does not change its argument."""
    kept = copy.deepcopy(PAGE)

    assert expected == apply(PAGE, [{"op": name, "path": path, "value": "v"}])
    assert kept == PAGE


def test_untouched_nodes_are_shared() -> None:
    """Only the nodes on the path are copied."""
    patched = apply(PAGE, [{"op": "replace", "path": "/a/b/0", "value": 9}])

    assert patched["c"] is PAGE["c"]
    assert apply(PAGE, []) is PAGE


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 1},
        {"op": "move", "from": "/a", "path": "/b"},
        {"path": "/a", "value": 1},
        {"op": "remove"},
        {"op": "add", "path": 1, "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "a/b", "value": 1},
        {"op": "remove", "path": ""},
        {"op": "remove", "path": "/x"},
        {"op": "replace", "path": "/x", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/c/1/d/e", "value": 1},
        {"op": "add", "path": "/a/b/3", "value": 1},
        {"op": "add", "path": "/a/b/01", "value": 1},
        {"op": "add", "path": "/a/b/-1", "value": 1},
        {"op": "add", "path": "/a/b/one", "value": 1},
        {"op": "replace", "path": "/a/b/2", "value": 1},
        {"op": "replace", "path": "/a/b/-", "value": 1},
        {"op": "remove", "path": "/a/b/-"},
        {"op": "add", "path": "/c/-/x", "value": 1},
    ],
)
def test_an_invalid_operation(operation: dict[str, Any]) -> None:
    """The error names the operation, and the document does not change."""
    kept = copy.deepcopy(PAGE)
    with pytest.raises(PatchError, match=r"path") as raised:
        apply(PAGE, [operation])

    assert isinstance(raised.value, DuologueError)
    assert kept == PAGE
