"""JSON in one spelling: keys in order, no spaces.

What stands in the state must be the same bytes for the same value, however a service
spells it, and nobody's to change.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

__all__ = ["canonical", "canonical_json"]

_S = TypeVar("_S", bound=msgspec.Struct)


def canonical_json(value: Any) -> str:
    """The value (JSON values, an event's object or `msgspec.Raw`) as canonical JSON."""
    try:
        plain = msgspec.json.decode(msgspec.json.encode(value))
        return msgspec.json.encode(plain, order="sorted").decode()
    except (RecursionError, OverflowError):  # pragma: no cover - decoding is stricter
        return "null"


def canonical(config: _S) -> _S:
    """The same object with all free-form JSON in it canonical; itself if it was."""
    changes = {
        name: tidy
        for name in config.__struct_fields__
        if (tidy := _tidy(value := getattr(config, name))) is not value
    }
    return msgspec.structs.replace(config, **changes) if changes else config


def _tidy(value: Any) -> Any:
    match value:
        case msgspec.Raw() | dict() | list():
            return msgspec.Raw(canonical_json(value).encode())
        case msgspec.Struct():
            return canonical(value)
        case _:
            return _tidy_all(value) if type(value) is tuple else value


def _tidy_all(values: Any) -> Any:
    tidy = tuple(map(_tidy, values))
    same = all(a is b for a, b in zip(tidy, values, strict=True))
    return values if same else tidy
