"""How a change of a configuration merges into it, as the service does it."""

from __future__ import annotations

from typing import Any

from .json_values import is_object

__all__ = ["merged"]

#: Objects deeper than this replace each other: no configuration is so deep.
_DEEP = 16


def merged(value: Any, change: Any, depth: int = 0) -> Any:
    """A configuration after a change of it: objects merge key by key.

    null is a value. An object of another ``type`` takes the other's place: a way to
    find turns has nothing of one that works otherwise.
    """
    if not (is_object(value) and is_object(change)) or depth > _DEEP:
        return change
    if "type" in value and change.get("type", value["type"]) != value["type"]:
        return change
    both = {
        key: merged(value[key], change[key], depth + 1)
        for key in value.keys() & change.keys()
    }
    return {**value, **change, **both}
