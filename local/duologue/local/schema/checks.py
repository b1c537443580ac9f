"""Validation of JSON values, with the real service's errors.

A `Shape` is a function that takes a value and its path, and returns the value without
the nulls that mean "not given". It raises `Refusal`. Like the GA service, it refuses
unknown keys, including the flat keys of the beta.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .refusal import Refusal

__all__ = [
    "Shape",
    "anything",
    "boolean",
    "either",
    "integer",
    "items",
    "json_text",
    "name",
    "number",
    "one_of",
    "record",
    "tagged",
    "text",
    "texts",
]

Shape = Callable[[Any, str], Any]

_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
}


def _wrong_type(path: str, wanted: str, value: Any) -> Refusal:
    got = _NAMES.get(type(value), type(value).__name__)
    return Refusal(
        "invalid_type",
        f"Invalid type for '{path}': expected {wanted}, but got {got} instead.",
        param=path,
    )


def _check_range(kind: str, path: str, low: float, high: float, value: Any) -> None:
    if low <= value <= high:
        return
    side, sign, bound = ("below min", ">=", low)
    if value > high:
        side, sign, bound = ("above max", "<=", high)
    raise Refusal(
        f"{kind}_{side.replace(' ', '_')}_value",
        f"Invalid '{path}': {kind} {side}imum value. Expected a value {sign} {bound}, "
        f"but got {value} instead.",
        param=path,
    )


def json_text(value: Any) -> str:
    """A value as a message shows it: a string in quotes, any other value as JSON."""
    if isinstance(value, str):
        return f"'{value}'"
    return msgspec.json.encode(value).decode()


def anything(value: Any, path: str) -> Any:
    """Any JSON value."""
    return value


def text(value: Any, path: str) -> Any:
    """A string."""
    if not isinstance(value, str):
        raise _wrong_type(path, "a string", value)
    return value


def name(most: int) -> Shape:
    """A string of 1 to ``most`` characters."""

    def check(value: Any, path: str) -> Any:
        text(value, path)
        if len(value) > most:
            raise Refusal(
                "string_above_max_length",
                f"Invalid '{path}': string too long. Expected a string with maximum "
                f"length {most}, but got a string with length {len(value)} instead.",
                param=path,
            )
        if not value:
            raise Refusal(
                "empty_string",
                f"Invalid '{path}': empty string. Expected a string with minimum "
                "length 1, but got an empty string instead.",
                param=path,
            )
        return value

    return check


def boolean(value: Any, path: str) -> Any:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong_type(path, "a boolean", value)
    return value


def integer(low: int, high: int) -> Shape:
    """A whole number from ``low`` to ``high``."""

    def check(value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(path, "an integer", value)
        _check_range("integer", path, low, high, value)
        return value

    return check


def number(low: float, high: float) -> Shape:
    """A number from ``low`` to ``high``."""

    def check(value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(path, "a decimal", value)
        _check_range("decimal", path, low, high, value)
        return value

    return check


def one_of(*values: str) -> Shape:
    """One of these strings."""

    def check(value: Any, path: str) -> Any:
        if value not in values:
            known = ", ".join(f"'{each}'" for each in values)
            raise Refusal(
                "invalid_value",
                f"Invalid value: {json_text(value)}. Supported values are: {known}.",
                param=path,
            )
        return value

    return check


def items(shape: Shape, *, most: int = 1_000) -> Shape:
    """An array of up to ``most`` values of this shape."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise _wrong_type(path, "an array", value)
        if len(value) > most:
            raise Refusal(
                "array_above_max_length",
                f"Invalid '{path}': more than {most} entries.",
                param=path,
            )
        return [shape(each, f"{path}[{index}]") for index, each in enumerate(value)]

    return check


#: An array of strings.
texts = items(text)


def record(
    fields: Mapping[str, Shape],
    *,
    required: tuple[str, ...] = (),
    off: tuple[str, ...] = (),
    never_null: tuple[str, ...] = (),
) -> Shape:
    """An object with these keys only.

    A null means that the key is not given. But the null of a key in ``off`` is kept: it
    switches something off. The null of a required key or one in ``never_null`` is
    refused.
    """
    refused = required + never_null

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        given = {}
        for key, each in value.items():
            inner = f"{path}.{key}" if path else key
            if key not in fields:
                raise Refusal(
                    "unknown_parameter", f"Unknown parameter: '{inner}'.", param=inner
                )
            if each is not None or key in refused:
                given[key] = fields[key](each, inner)
            elif key in off:
                given[key] = None
        for key in required:
            if key not in value:
                inner = f"{path}.{key}" if path else key
                raise Refusal(
                    "missing_required_parameter",
                    f"Missing required parameter: '{inner}'.",
                    param=inner,
                )
        return given

    return check


def tagged(shapes: Mapping[str, Shape], *, default: str | None = None) -> Shape:
    """An object whose ``type`` selects one of these shapes."""
    kinds = one_of(*shapes)

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        kind = value.get("type")
        kind = default if kind is None else kind
        if kind is None:
            record({}, required=("type",))({}, path)
        kinds(kind, f"{path}.type")
        return shapes[str(kind)](value, path)

    return check


def either(*shapes: tuple[type, Shape]) -> Shape:
    """The first shape whose Python type matches the value."""

    def check(value: Any, path: str) -> Any:
        for kind, shape in shapes:
            if isinstance(value, kind) and not isinstance(value, bool):
                return shape(value, path)
        wanted = " or ".join(_NAMES[kind] for kind, _ in shapes)
        raise _wrong_type(path, wanted, value)

    return check
