"""Templates of a scenario: text with ``{name}`` and ``{name|filter}`` in it.

``{{`` and ``}}`` are braces. A filter makes something else of a value, such as
``{heard|count}``; it invents nothing where the value names no number.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from .numbers import count_to, in_words, number_in, sum_of

__all__ = ["FILTERS", "NAMES", "TemplateError", "check", "clock_names", "fill", "sure"]

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class TemplateError(ValueError):
    """A template names what is not there."""


def _plain(text: str) -> str:
    """JSON as something that can be said."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(each)}" for key, each in value.items())
    return _said(value)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, dict):
        return _plain(msgspec.json.encode(value).decode())
    return str(value)


def _length(text: str) -> str:
    count = len(text.split())
    return "one word" if count == 1 else f"{in_words(count)} words"


#: What may stand behind the bar.
FILTERS: dict[str, Callable[[str], str | int]] = {
    "count": count_to,
    "sum": sum_of,
    "number": number_in,
    "in_words": lambda text: in_words(number_in(text)),
    "length": _length,
    "plain": _plain,
    "upper": str.upper,
    "lower": str.lower,
    "capitalize": lambda text: text[:1].upper() + text[1:],
}
#: Those that need a number.
_NEEDY = frozenset({"count", "sum", "number", "in_words"})
#: Names that every template knows.
NAMES = frozenset({"heard", "tool", "output", "time", "date", "day", "year"})


def clock_names(at: float) -> dict[str, str]:
    """The time at this place, as it is said; ``at`` in seconds since the epoch."""
    now = time.localtime(at)
    hour = in_words((now.tm_hour - 1) % 12 + 1)
    if now.tm_min == 0:
        minute = "o'clock"
    else:
        minute = ("oh " if now.tm_min < 10 else "") + in_words(now.tm_min)
    return {
        "time": f"{hour} {minute}",
        "day": time.strftime("%A", now),
        "date": f"{time.strftime('%A, %B', now)} {now.tm_mday}",
        "year": str(now.tm_year),
    }


def check(template: str, known: Collection[str]) -> None:
    """Raise `TemplateError` for an unknown name or filter, or a brace left open."""
    if re.search("[{}]", _PLACE.sub("", template)):
        raise TemplateError("a brace stands alone here; {{ and }} are braces")
    for found in _PLACE.finditer(template):
        if found[1] is None:
            continue
        name, *filters = found[1].split("|")
        if name not in known:
            raise TemplateError(f"there is no value {{{name}}}")
        for each in filters:
            if each not in FILTERS:
                raise TemplateError(f"there is no filter |{each}")


def sure(template: str) -> bool:
    """Whether it can be filled whatever the values are."""
    places = (found[1] or "" for found in _PLACE.finditer(template))
    return not any(_NEEDY & set(place.split("|")[1:]) for place in places)


def fill(template: str, values: Mapping[str, str]) -> str | int:
    """The text; a number where the template is one place that gives a number.

    Raises `NoNumber` where a filter needs one and finds none.
    """
    alone = _PLACE.fullmatch(template)
    if alone is not None and alone[1] is not None:
        return _filled(alone, values)
    return _PLACE.sub(lambda found: str(_filled(found, values)), template)


def _filled(found: re.Match[str], values: Mapping[str, str]) -> str | int:
    if found[1] is None:
        return found[0][0]
    name, *filters = found[1].split("|")
    value: str | int = values.get(name, "")
    for each in filters:
        value = FILTERS[each](str(value))
    return value
