"""Chooses a tool for a sentence, and its arguments, without a language model."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..interfaces import Tool
from .number_words import numbers_in

__all__ = ["arguments_for", "tool_named", "tool_named_in"]

#: Words in the names of tools that say nothing about their subject.
_STOP_WORDS = {
    *("and", "call", "data", "fetch", "find", "for", "from", "function", "get", "give"),
    *("info", "look", "lookup", "make", "run", "set", "show", "tell", "the", "tool"),
    *("use", "with"),
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PREPOSITION = r"\b(?:in|for|at|of|to|about|called|named)\b"
_OBJECT = re.compile(
    rf"{_PREPOSITION}\s+([\w' -]+?)(?=\s+{_PREPOSITION}|\s*[.?!,]*$)", re.IGNORECASE
)


def tool_named(name: str, tools: tuple[Tool, ...]) -> Tool | None:
    """The tool of this name."""
    return next((tool for tool in tools if tool.name == name), None)


def tool_named_in(text: str, tools: tuple[Tool, ...]) -> Tool | None:
    """The first tool that has a word of its name in the text."""
    said = {word for word in re.findall(r"\w+", text.lower()) if len(word) > 2}
    for tool in tools:
        if said & {word.lower() for word in _WORD.findall(tool.name)} - _STOP_WORDS:
            return tool
    return None


def arguments_for(tool: Tool, text: str) -> str:
    """Arguments as JSON, of the types in the tool's schema, taken from the text."""
    schema = msgspec.json.decode(tool.parameters)
    fields = schema.get("properties") if isinstance(schema, dict) else None
    fields = fields if isinstance(fields, dict) else {}
    numbers = numbers_in(text)
    given = {name: _value(field, text, numbers) for name, field in fields.items()}
    return msgspec.json.encode(given).decode()


def _value(schema: Any, text: str, numbers: list[int]) -> Any:
    """A value for one field; removes the number that it takes from ``numbers``."""
    schema = schema if isinstance(schema, dict) else {}
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        said = (each for each in choices if str(each).lower() in text.lower())
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
    found = _OBJECT.search(text)
    return found[1] if found else text
