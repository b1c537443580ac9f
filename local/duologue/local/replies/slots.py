"""Which tool a sentence asks for, and with what arguments: a guess without a model."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..interfaces import Tool
from .numbers import numbers_in

__all__ = ["arguments_for", "asked_for"]

#: Words in the names of tools that say nothing about them.
_EMPTY = frozenset(
    {"call", "data", "fetch", "find", "for", "from", "function", "get", "give", "info"}
    | {"look", "lookup", "make", "run", "set", "show", "tell", "the", "tool", "use"}
    | {"and", "with"}
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_BEFORE = r"\b(?:in|for|at|of|to|about|called|named)\b"
_OBJECT = re.compile(
    rf"{_BEFORE}\s+(?P<what>[\w' -]+?)(?=\s+{_BEFORE}|\s*[.?!,]*$)", re.IGNORECASE
)


def asked_for(heard: str, tools: tuple[Tool, ...]) -> Tool | None:
    """The first tool whose name has a word in common with what was heard."""
    said = {word.lower() for word in re.findall(r"\w+", heard)}
    for tool in tools:
        words = {word.lower() for word in _WORD.findall(tool.name)} - _EMPTY
        if any(len(word) > 2 and word in said for word in words):
            return tool
    return None


def arguments_for(tool: Tool, heard: str) -> str:
    """Arguments of the types that the tool's schema asks for, as JSON text."""
    schema = msgspec.json.decode(tool.parameters)
    fields = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(fields, dict):
        return "{}"
    numbers = numbers_in(heard)
    given = {name: _value(field, heard, numbers) for name, field in fields.items()}
    return msgspec.json.encode(given).decode()


def _value(schema: Any, heard: str, numbers: list[int]) -> Any:
    """A value for one field; takes the next number from ``numbers``."""
    schema = schema if isinstance(schema, dict) else {}
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        said = (each for each in choices if str(each).lower() in heard.lower())
        return next(said, choices[0])
    match schema.get("type"):
        case "integer" | "number":
            return numbers.pop(0) if numbers else 0
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {}
    found = _OBJECT.search(heard)
    return found["what"] if found else heard
