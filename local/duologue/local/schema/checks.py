"""Validation of JSON values, with the real service's errors.

A `Shape` is a function that takes a value and its path and raises `Refusal`. Like the
GA service, it refuses unknown keys, including the flat keys of the beta.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .refusal import Refusal

__all__ = [
    "Shape",
    "anything",
    "boolean",
    "either",
    "integer",
    "items",
    "name",
    "nullable",
    "number",
    "one_of",
    "record",
    "tagged",
    "text",
    "texts",
]

Shape = Callable[[Any, str], None]

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


def _out_of_range(path: str, low: float, high: float, value: Any) -> Refusal:
    return Refusal(
        "invalid_value",
        f"Invalid value for '{path}': expected {low} to {high}, but got {value}.",
        param=path,
    )


def anything(value: Any, path: str) -> None:
    """Any JSON value."""


def text(value: Any, path: str) -> None:
    """A string."""
    if not isinstance(value, str):
        raise _wrong_type(path, "a string", value)


def name(most: int) -> Shape:
    """A string of 1 to ``most`` characters."""

    def check(value: Any, path: str) -> None:
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
                "invalid_value", f"Invalid '{path}': the string is empty.", param=path
            )

    return check


def boolean(value: Any, path: str) -> None:
    """True or false, not null."""
    if not isinstance(value, bool):
        raise _wrong_type(path, "a boolean", value)


def integer(low: int, high: int) -> Shape:
    """A whole number from ``low`` to ``high``."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(path, "an integer", value)
        if not low <= value <= high:
            raise _out_of_range(path, low, high, value)

    return check


def number(low: float, high: float) -> Shape:
    """A number from ``low`` to ``high``."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(path, "a decimal", value)
        if not low <= value <= high:
            raise _out_of_range(path, low, high, value)

    return check


def one_of(*values: str | int) -> Shape:
    """One of these values."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or value not in values:
            known = ", ".join(f"'{each}'" for each in values)
            raise Refusal(
                "invalid_value",
                f"Invalid value: '{value}'. Supported values are: {known}.",
                param=path,
            )

    return check


def nullable(shape: Shape) -> Shape:
    """A value of this shape, or null."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            shape(value, path)

    return check


def items(shape: Shape, *, most: int = 1_000) -> Shape:
    """An array of up to ``most`` values of this shape."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(path, "an array", value)
        if len(value) > most:
            raise Refusal(
                "array_above_max_length",
                f"Invalid '{path}': more than {most} entries.",
                param=path,
            )
        for index, each in enumerate(value):
            shape(each, f"{path}[{index}]")

    return check


#: An array of strings.
texts = items(text)


def record(fields: Mapping[str, Shape], *, required: tuple[str, ...] = ()) -> Shape:
    """An object with these keys only."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        for key, each in value.items():
            inner = f"{path}.{key}" if path else key
            if key not in fields:
                raise Refusal(
                    "unknown_parameter", f"Unknown parameter: '{inner}'.", param=inner
                )
            fields[key](each, inner)
        for key in required:
            if key not in value:
                inner = f"{path}.{key}" if path else key
                raise Refusal(
                    "missing_required_parameter",
                    f"Missing required parameter: '{inner}'.",
                    param=inner,
                )

    return check


def tagged(shapes: Mapping[str, Shape], *, default: str | None = None) -> Shape:
    """An object whose ``type`` selects one of these shapes."""
    kinds = one_of(*shapes)

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        kind = value.get("type", default)
        if kind is None:
            record({}, required=("type",))({}, path)
        kinds(kind if isinstance(kind, str) else repr(kind), f"{path}.type")
        shapes[str(kind)](value, path)

    return check


def either(*shapes: tuple[type, Shape]) -> Shape:
    """The first shape whose Python type matches the value."""

    def check(value: Any, path: str) -> None:
        for kind, shape in shapes:
            if isinstance(value, kind) and not isinstance(value, bool):
                shape(value, path)
                return
        wanted = " or ".join(_NAMES[kind] for kind, _ in shapes)
        raise _wrong_type(path, wanted, value)

    return check
