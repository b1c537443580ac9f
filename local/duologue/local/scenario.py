"""Scenario files: the one module that knows YAML.

`load_scenario` gives a mind that follows a file. The format is told in
``docs/scenarios.md``; ``default.yaml`` beside this module is an example of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import attrs
import yaml

from duologue.transports.errors import DuologueError

from .mind import (
    CallStep,
    FailStep,
    Rule,
    SayStep,
    Script,
    ScriptedMind,
    Step,
    WaitStep,
)
from .templates import NAMES, TemplateError, check

__all__ = ["ScenarioError", "default_mind", "load_scenario"]

_DEFAULT = Path(__file__).with_name("default.yaml")
_LONGEST_WAIT = 600.0


class ScenarioError(DuologueError):
    """A scenario cannot be used; the message names the file, the line and the key."""


def load_scenario(path: str | Path) -> ScriptedMind:
    """A mind that follows the file. Raises `ScenarioError`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ScenarioError(f"cannot read the scenario {path}: {why}") from error
    return ScriptedMind(_read(text, str(path)))


def default_mind() -> ScriptedMind:
    """A mind that follows the default scenario."""
    return ScriptedMind(_default())


@functools.cache
def _default() -> Script:
    return _read(_DEFAULT.read_text(encoding="utf-8"), _DEFAULT.name)


def _read(text: str, name: str) -> Script:
    try:
        return _Reader(name).script(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or "it is not YAML"
        raise ScenarioError(f"{name}{line}: {why}") from error
    except RecursionError as error:
        raise ScenarioError(f"{name}: it is nested too deeply") from error


@attrs.frozen
class _Reader:
    """Reads nodes, which know their lines."""

    name: str

    def fail(self, node: yaml.Node | None, key: str, why: str) -> NoReturn:
        line = 1 if node is None else node.start_mark.line + 1
        raise ScenarioError(f"{self.name}, line {line}: {key}: {why}")

    def script(self, root: yaml.Node | None) -> Script:
        if root is None:
            self.fail(root, "rules", "the file is empty")
        top = self.mapping(root, "rules", {"rules"})
        if "rules" not in top:
            self.fail(root, "rules", "is missing")
        nodes = self.sequence(top["rules"], "rules")
        remembered = {
            name.value
            for node in nodes
            if isinstance(node, yaml.MappingNode)
            for key, value in node.value
            if key.value == "remember" and isinstance(value, yaml.MappingNode)
            for name, _ in value.value
            if isinstance(name, yaml.ScalarNode)
        }
        known = NAMES | remembered
        return Script(tuple(self.rule(node, known) for node in nodes))

    def rule(self, node: yaml.Node, known: frozenset[str]) -> Rule:
        fields = self.mapping(node, "rules", set(_CONDITIONS) | set(_STEPS) | {"do"})
        values: dict[str, Any] = {}
        if "hear" in fields:
            values["hear"] = tuple(
                self.pattern(each, "hear") for each in self.one_or_more(fields["hear"])
            )
            for pattern in values["hear"]:
                groups = range(1, pattern.groups + 1)
                known = known | set(pattern.groupindex) | set(map(str, groups))
        for key, read in _CONDITIONS.items():
            if key in fields and key != "hear":
                values[key] = read(self, fields[key], key)
        values["remember"] = tuple(
            (name, self.template(each, "remember", known))
            for name, each in values.get("remember", ())
        )
        steps: list[Step] = []
        for key, each in fields.items():
            if key == "do":
                for step in self.sequence(each, "do"):
                    parts = self.mapping(step, "do", set(_STEPS))
                    for inner, value in parts.items():
                        steps += _STEPS[inner](self, value, known)
            elif key in _STEPS:
                steps += _STEPS[key](self, each, known)
        if not steps:
            self.fail(node, "rules", f"a rule needs one of {', '.join(_STEPS)} or do")
        return Rule(**values, steps=tuple(steps))

    def mapping(
        self, node: yaml.Node, key: str, allowed: set[str] | None
    ) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, key, "keys with values are needed here")
        found: dict[str, yaml.Node] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self.fail(name, key, "a key is a word")
            if allowed is not None and name.value not in allowed:
                words = ", ".join(sorted(allowed))
                self.fail(name, name.value, f"there is no such key; there are {words}")
            if name.value in found:
                self.fail(name, name.value, "stands here twice")
            found[name.value] = value
        return found

    def sequence(self, node: yaml.Node, key: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.fail(node, key, "a list is needed here")
        return list(node.value)

    def one_or_more(self, node: yaml.Node) -> list[yaml.Node]:
        return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]

    def text(self, node: yaml.Node, key: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.fail(node, key, "a text is needed here")
        return str(node.value)

    def pattern(self, node: yaml.Node, key: str) -> re.Pattern[str]:
        try:
            return re.compile(self.text(node, key), re.IGNORECASE)
        except re.error as error:
            self.fail(node, key, f"not a regular expression: {error}")

    def template(self, node: yaml.Node, key: str, known: frozenset[str]) -> str:
        text = self.text(node, key)
        try:
            check(text, known)
        except TemplateError as error:
            self.fail(node, key, str(error))
        return text

    def truth(self, node: yaml.Node, key: str) -> bool:
        value = self.plain(node, key)
        if not isinstance(value, bool):
            self.fail(node, key, "true or false is needed here")
        return value

    def seconds(self, node: yaml.Node, key: str) -> float:
        value = self.plain(node, key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(node, key, "a number of seconds is needed here")
        if not 0 <= value <= _LONGEST_WAIT:
            self.fail(node, key, f"seconds go from 0 to {_LONGEST_WAIT:g}")
        return float(value)

    def pairs(self, node: yaml.Node, key: str) -> list[tuple[str, yaml.Node]]:
        return list(self.mapping(node, key, None).items())

    def plain(self, node: yaml.Node, key: str) -> Any:
        """The value as YAML means it: a number, a truth, a date."""
        try:
            return yaml.SafeLoader("").construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):
            self.fail(node, key, "this value cannot be read")

    def templates_in(self, node: yaml.Node, key: str, known: frozenset[str]) -> Any:
        """A JSON value whose texts are templates."""
        if isinstance(node, yaml.MappingNode):
            inner = self.pairs(node, key)
            return {name: self.templates_in(each, key, known) for name, each in inner}
        if isinstance(node, yaml.SequenceNode):
            return [self.templates_in(each, key, known) for each in node.value]
        value = self.plain(node, key)
        if isinstance(value, str):
            return self.template(node, key, known)
        if value is not None and not isinstance(value, bool | int | float):
            return str(node.value)
        return value


def _say(reader: _Reader, node: yaml.Node, known: frozenset[str]) -> list[Step]:
    texts = reader.one_or_more(node)
    if not texts:
        reader.fail(node, "say", "the list is empty")
    return [SayStep(tuple(reader.template(each, "say", known) for each in texts))]


def _call(reader: _Reader, node: yaml.Node, known: frozenset[str]) -> list[Step]:
    return [_one_call(reader, each, known) for each in reader.one_or_more(node)]


def _one_call(reader: _Reader, node: yaml.Node, known: frozenset[str]) -> CallStep:
    if isinstance(node, yaml.ScalarNode):
        return CallStep(reader.template(node, "call", known))
    fields = reader.mapping(node, "call", {"name", "arguments"})
    if "name" not in fields:
        reader.fail(node, "call", "name is missing")
    arguments = None
    if "arguments" in fields:
        reader.mapping(fields["arguments"], "arguments", None)
        arguments = reader.templates_in(fields["arguments"], "arguments", known)
    return CallStep(reader.template(fields["name"], "name", known), arguments)


def _wait(reader: _Reader, node: yaml.Node, _: frozenset[str]) -> list[Step]:
    return [WaitStep(reader.seconds(node, "wait"))]


def _fail(reader: _Reader, node: yaml.Node, known: frozenset[str]) -> list[Step]:
    if isinstance(node, yaml.ScalarNode):
        return [FailStep(reader.template(node, "fail", known))]
    fields = reader.mapping(node, "fail", {"message", "code"})
    if "message" not in fields:
        reader.fail(node, "fail", "message is missing")
    message = reader.template(fields["message"], "message", known)
    if "code" not in fields:
        return [FailStep(message)]
    return [FailStep(message, reader.text(fields["code"], "code"))]


_STEPS: dict[str, Callable[[_Reader, yaml.Node, frozenset[str]], list[Step]]] = {
    "say": _say,
    "call": _call,
    "wait": _wait,
    "fail": _fail,
}
_CONDITIONS: dict[str, Callable[[_Reader, yaml.Node, str], Any]] = {
    "hear": _Reader.pattern,
    "instructions": _Reader.pattern,
    "result": _Reader.pattern,
    "tool": _Reader.text,
    "knows": _Reader.text,
    "once": _Reader.truth,
    "remember": _Reader.pairs,
}
