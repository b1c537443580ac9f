"""Which rules of a script can never say anything: one before them always does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .script import CallStep, FailStep, Rule, SayStep
from .templates import sure

__all__ = ["first_covering"]

#: Patterns that are found in every text, and in every text that is not empty.
_ANYTHING = frozenset({"", ".*", "^", "$", "^.*$"})
_SOMETHING = _ANYTHING | {".", ".+"}


def first_covering(rules: list[Rule]) -> int | None:
    """The place of the first rule that holds whenever the last one does.

    A rule whose texts may lack a number does not count, nor does one that is used
    once. Patterns are compared as texts, so not all that is covered is found.
    """
    *before, last = rules
    places = (place for place, rule in enumerate(before) if _covers(rule, last))
    return next(places, None)


def _covers(rule: Rule, later: Rule) -> bool:
    if rule.once or (rule.result is None) is not (later.result is None):
        return False
    conditions = (
        _hears(rule, later),
        _fits(rule.instructions, later.instructions, _ANYTHING),
        # A function has a name.
        _fits(rule.result, later.result, _SOMETHING),
        rule.tool in (None, later.tool),
        rule.knows in (None, later.knows),
    )
    return all(conditions) and all(map(sure, _templates(rule)))


def _hears(rule: Rule, later: Rule) -> bool:
    own = {pattern.pattern for pattern in rule.hear}
    if not own or own & _ANYTHING:
        return True
    return bool(later.hear) and {each.pattern for each in later.hear} <= own


def _fits(
    pattern: re.Pattern[str] | None,
    later: re.Pattern[str] | None,
    anything: frozenset[str],
) -> bool:
    return pattern is None or pattern.pattern in anything or pattern == later


def _templates(rule: Rule) -> Iterator[str]:
    """All texts of a rule that are filled."""
    for _, template in rule.remember:
        yield template
    for step in rule.steps:
        match step:
            case SayStep(templates):
                yield from templates
            case CallStep(name, arguments):
                yield name
                yield from _texts_in(arguments)
            case FailStep(message):
                yield message


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(each)
