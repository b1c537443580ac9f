"""Scenario files: the rules of scripted replies in YAML, see ``docs/scenarios.md``."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from ..yaml_file import Map, YamlError, YamlFile, listed, texts_in
from .scripted_replies import Rule, ScriptedReplies, Step
from .templates import NAMES, needs_number

__all__ = ["ScenarioError", "default_replies", "load_scenario"]

_STEPS = Step.__struct_fields__
_PATTERNS = ("hear", "instructions", "result")
_TEMPLATES = ("remember", "do", *_STEPS)
#: Patterns that match every text, and patterns that match all but the empty text.
_ANYTHING = {"", ".*"}
_ANY_NAME = {".", *_ANYTHING}


class ScenarioError(YamlError):
    """A scenario file is invalid; the message names file, line and key."""


class _Scenario(msgspec.Struct, forbid_unknown_fields=True):
    rules: Annotated[list[Rule], msgspec.Meta(min_length=1)]


def load_scenario(path: str | Path) -> ScriptedReplies:
    """The scripted replies of a scenario file. Raises `ScenarioError`."""
    return ScriptedReplies(_rules(path))


@functools.cache
def _default_rules() -> list[Rule]:
    return _rules(Path(__file__).with_name("default.yaml"))


def default_replies() -> ScriptedReplies:
    """The scripted replies of ``default.yaml``."""
    return ScriptedReplies(_default_rules())


def _rules(path: str | Path) -> list[Rule]:
    typed = ("once", "wait", "arguments")
    file = YamlFile(path, "scenario", ScenarioError, "rules", typed)
    content = file.read()
    rules = file.convert(content, _Scenario).rules
    found: list[Map] = content["rules"]
    remembered = {name for rule in rules for name in rule.remember}
    certain: dict[int, Rule] = {}  # not `once`, templates always filled
    for number, (each, rule) in enumerate(zip(found, rules, strict=True), 1):
        may_fail = _check_texts(file, each, {*NAMES, *remembered})
        rule.do = list(_steps(each, rule))
        rule.say = rule.call = rule.fail = None
        rule.wait = 0.0
        if not rule.do:
            why = f"a rule needs one of {', '.join(_STEPS)}, do"
            file.fail(each.line, "rules", why)
        if rule.knows is not None and rule.knows not in remembered:
            why = f"rule {number}: no rule remembers {rule.knows}"
            file.fail(each.lines["knows"], "knows", why)
        for place, earlier in certain.items():
            if _covers(earlier, rule):
                why = f"rule {number} is never reached: rule {place} "
                why += f"(line {found[place - 1].line}) always applies first"
                file.fail(each.line, "rules", why)
        if not (rule.once or may_fail):
            certain[number] = rule
    return rules


def _check_texts(file: YamlFile, rule: Map, known: set[str]) -> bool:
    """Check the patterns and the templates; add the groups of ``hear`` to ``known``.

    Return whether filling one of the templates may raise `NoNumber`.
    """
    may_fail = False
    for key in (*_PATTERNS, *_TEMPLATES):
        for name, text in texts_in(rule.get(key), key):
            try:
                if key in _TEMPLATES:
                    may_fail |= needs_number(text, known)
                    continue
                pattern = re.compile(text)
                if key == "hear":
                    groups = range(1, pattern.groups + 1)
                    known.update(pattern.groupindex, map(str, groups))
            except (re.error, OverflowError) as error:
                file.fail(text.line, name, f"not a regular expression: {error}")
            except ValueError as error:
                file.fail(text.line, name, str(error))
    return may_fail


def _steps(found: Map, step: Step) -> Iterator[Step]:
    """Split a rule or a step into steps of one key, in the order of the file."""
    for key, value in found.items():
        if isinstance(step, Rule) and key == "do":
            for each, inner in zip(value, step.do, strict=True):
                yield from _steps(each, inner)
        elif key in _STEPS:
            yield Step(**{key: getattr(step, key)})


def _covers(rule: Rule, later: Rule) -> bool:
    """Whether ``rule`` applies whenever ``later`` does, by the text of the patterns."""
    hear = {*listed(rule.hear)}
    return (
        (bool(hear & _ANYTHING) or hear.issuperset(listed(later.hear)))
        and rule.instructions in _ANYTHING | {later.instructions}
        and (rule.result is None) is (later.result is None)
        and rule.result in (None, later.result, *_ANY_NAME)
        and rule.tool in (None, later.tool)
        and rule.knows in (None, later.knows)
    )
