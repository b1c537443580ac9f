"""Templates of a scenario: text with ``{name}`` and ``{name|filter}`` in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from .number_words import count_to, in_words, number_in, sum_of

__all__ = ["NAMES", "clock_values", "fill", "mistake", "needs_number"]

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def _plain(text: str) -> str:
    try:
        return _spoken(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return text


def _spoken(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_spoken(each)}" for key, each in value.items())
    return ", ".join(map(_spoken, value)) if isinstance(value, list) else str(value)


def _length(text: str) -> str:
    count = len(text.split())
    return "one word" if count == 1 else f"{in_words(count)} words"


#: These raise `NoNumber` for a text without a number, or without a sum.
_NUMBER_FILTERS: dict[str, Callable[[str], str | int]] = {
    "count": count_to,
    "sum": sum_of,
    "number": number_in,
    "in_words": lambda text: in_words(number_in(text)),
}
_FILTERS: dict[str, Callable[[str], str | int]] = {
    **_NUMBER_FILTERS,
    "length": _length,
    "plain": _plain,
    "upper": str.upper,
    "lower": str.lower,
    "capitalize": lambda text: text[:1].upper() + text[1:],
}
#: The names that every template may use.
NAMES = frozenset({"heard", "tool", "output", "time", "date", "day", "year"})


def clock_values(at: float) -> dict[str, str]:
    """The local date and time in words; ``at`` is in seconds since the Unix epoch."""
    now = time.localtime(at)
    minute = ("oh " if now.tm_min < 10 else "") + in_words(now.tm_min)
    minute = minute if now.tm_min else "o'clock"
    return {
        "time": f"{in_words((now.tm_hour - 1) % 12 + 1)} {minute}",
        "day": time.strftime("%A", now),
        "date": f"{time.strftime('%A, %B', now)} {now.tm_mday}",
        "year": str(now.tm_year),
    }


def mistake(template: str, known: Collection[str]) -> str | None:
    """The error in a template, if any: a name, a filter or an unpaired brace."""
    if re.search("[{}]", _FIELD.sub("", template)):
        return "a brace stands alone here; {{ and }} are braces"
    for name, *filters in _fields(template):
        if name not in known:
            return f"there is no value {{{name}}}"
        for each in filters:
            if each not in _FILTERS:
                return f"there is no filter |{each}"
    return None


def needs_number(template: str) -> bool:
    """Whether `fill` may raise `NoNumber` for this template."""
    return any(_NUMBER_FILTERS.keys() & set(used) for _, *used in _fields(template))


def _fields(template: str) -> list[list[str]]:
    """For each field, its name and its filters."""
    fields = (found[1] for found in _FIELD.finditer(template))
    return [field.split("|") for field in fields if field is not None]


def fill(template: str, values: Mapping[str, str]) -> str | int:
    """The filled template; a number if it is a single field with a numeric value.

    Raises `NoNumber` if a filter needs a number and its text contains none.
    """

    def value_of(found: re.Match[str]) -> str | int:
        if found[1] is None:
            return found[0][0]
        name, *filters = found[1].split("|")
        value: str | int = values.get(name, "")
        for each in filters:
            value = _FILTERS[each](str(value))
        return value

    if alone := _FIELD.fullmatch(template):
        return value_of(alone)
    return _FIELD.sub(lambda found: str(value_of(found)), template)
