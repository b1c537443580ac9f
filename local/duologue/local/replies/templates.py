"""Templates of a scenario: text with ``{name}`` and ``{name|filter}`` in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from .number_words import count_to, in_words, number_in, sum_of

__all__ = ["NAMES", "clock_values", "fill", "needs_number"]

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _plain_json(text: str) -> str:
    try:
        return _plain(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return text


def _length(text: str) -> str:
    count = len(text.split())
    return "one word" if count == 1 else f"{in_words(count)} words"


#: The first four raise `NoNumber` for a text without a number, or without a sum.
_FILTERS: dict[str, Callable[[str], str | int]] = {
    "count": count_to,
    "sum": sum_of,
    "number": number_in,
    "in_words": lambda text: in_words(number_in(text)),
    "length": _length,
    "plain": _plain_json,
    "upper": str.upper,
    "lower": str.lower,
    "capitalize": lambda text: text[:1].upper() + text[1:],
}
_NUMBER_FILTERS = {"count", "sum", "number", "in_words"}
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


def needs_number(template: str, known: Collection[str]) -> bool:
    """Whether `fill` may raise `NoNumber` for this template.

    Raises `ValueError` for an unpaired brace, and for an unknown name or filter.
    """
    if re.search("[{}]", _FIELD.sub("", template)):
        raise ValueError("there is an unpaired brace; write {{ or }} for a brace")
    found = (each[1] for each in _FIELD.finditer(template))
    fields = [each.split("|") for each in found if each is not None]
    used = [each for _, *filters in fields for each in filters]
    if unknown := [name for name, *_ in fields if name not in known]:
        raise ValueError(f"there is no value {{{unknown[0]}}}")
    if unknown := [each for each in used if each not in _FILTERS]:
        raise ValueError(f"there is no filter |{unknown[0]}")
    return not _NUMBER_FILTERS.isdisjoint(used)


def fill(template: Any, values: Mapping[str, str]) -> Any:
    """The filled template; a number if it is a single field with a numeric value.

    In a list or an object, each text is filled. Raises `NoNumber` if a filter needs a
    number and its text contains none.
    """
    if isinstance(template, list):
        return [fill(each, values) for each in template]
    if isinstance(template, dict):
        return {key: fill(each, values) for key, each in template.items()}
    if not isinstance(template, str):
        return template

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
