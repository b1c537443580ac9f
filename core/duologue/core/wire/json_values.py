"""JSON values: their types, their canonical form, and how configurations merge.

Canonical JSON has sorted keys and no spaces. Free-form JSON in the state is canonical
text: it is immutable, and equal values have equal bytes, however the service formats
them.
"""

from __future__ import annotations

from typing import Any, TypeGuard, TypeVar

import msgspec

__all__ = ["canonical", "canonical_json", "is_array", "is_object", "is_tuple", "merged"]

_S = TypeVar("_S", bound=msgspec.Struct)
#: Objects nested deeper than this are replaced, not merged.
_MAX_MERGE_DEPTH = 16


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    """Whether it is a tuple: the form of an array in events and in the state."""
    return isinstance(value, tuple)


def canonical_json(value: Any) -> str:
    """The value (JSON values, a struct or `msgspec.Raw`) as canonical JSON."""
    try:
        plain = msgspec.json.decode(msgspec.json.encode(value))
        return msgspec.json.encode(plain, order="sorted").decode()
    except (RecursionError, OverflowError):  # pragma: no cover - see `codec.MAX_DEPTH`
        return "null"


def canonical(config: _S) -> _S:
    """The object with canonical free-form JSON; the same object if nothing changes."""
    changes = {
        name: tidy
        for name in config.__struct_fields__
        if (tidy := _canonical_field(value := getattr(config, name))) is not value
    }
    return msgspec.structs.replace(config, **changes) if changes else config


def _canonical_field(value: Any) -> Any:
    match value:
        case msgspec.Raw() | dict() | list():
            return msgspec.Raw(canonical_json(value).encode())
        case msgspec.Struct():
            return canonical(value)
        case _ if is_tuple(value):
            tidy = tuple(map(_canonical_field, value))
            same = all(a is b for a, b in zip(tidy, value, strict=True))
            return value if same else tidy
        case _:
            return value


def merged(value: Any, change: Any, depth: int = 0) -> Any:
    """A configuration after a change, merged as the service does it: key by key.

    null replaces the old value. An object of another ``type`` replaces the old object:
    for example, each type of turn detection has its own fields.
    """
    if not (is_object(value) and is_object(change)) or depth > _MAX_MERGE_DEPTH:
        return change
    if "type" in value and change.get("type", value["type"]) != value["type"]:
        return change
    both = {
        key: merged(value[key], change[key], depth + 1)
        for key in value.keys() & change.keys()
    }
    return {**value, **change, **both}
