"""Scenario files.

`load_scenario` gives a mind that follows a file. The format is told in
``docs/scenarios.md``; ``default.yaml`` beside this module is an example of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..yaml_file import List, Mapping, Node, Reader, Scalar, YamlError, load, parse
from .reach import first_covering
from .script import (
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


class ScenarioError(YamlError):
    """A scenario cannot be used; the message names the file, the line and the key."""


def load_scenario(path: str | Path) -> ScriptedMind:
    """A mind that follows the file. Raises `ScenarioError`."""
    return ScriptedMind(_read(load(path, "scenario", ScenarioError), str(path)))


def default_mind() -> ScriptedMind:
    """A mind that follows the default scenario."""
    return ScriptedMind(_default())


@functools.cache
def _default() -> Script:
    return _read(_DEFAULT.read_text(encoding="utf-8"), _DEFAULT.name)


def _read(text: str, name: str) -> Script:
    return parse(text, _Reader(name, ScenarioError), _Reader.script)


class _Reader(Reader):
    """Reads the nodes of a scenario."""

    def script(self, root: Node | None) -> Script:
        if root is None:
            self.fail(root, "rules", "the file is empty")
        top = self.mapping(root, "rules", {"rules"})
        if "rules" not in top:
            self.fail(root, "rules", "is missing")
        nodes = self.sequence(top["rules"], "rules")
        remembered = {
            name.value
            for node in nodes
            if isinstance(node, Mapping)
            for key, value in node.value
            if key.value == "remember" and isinstance(value, Mapping)
            for name, _ in value.value
            if isinstance(name, Scalar)
        }
        known = NAMES | remembered
        rules: list[Rule] = []
        for node in nodes:
            rules.append(self.rule(node, known))
            self.check_use(rules, nodes, remembered)
        return Script(tuple(rules))

    def check_use(
        self, rules: list[Rule], nodes: list[Node], remembered: set[str]
    ) -> None:
        """Refuse a rule, the last of these, that can never say anything."""
        number = len(rules)
        node, rule = nodes[number - 1], rules[-1]
        if rule.knows is not None and rule.knows not in remembered:
            self.fail(node, "knows", f"rule {number}: nothing remembers {rule.knows}")
        if (place := first_covering(rules)) is not None:
            line = nodes[place].start_mark.line + 1
            self.fail(
                node,
                "rules",
                f"rule {number} is never reached: rule {place + 1} (line {line}) "
                "holds whenever it does",
            )

    def rule(self, node: Node, known: frozenset[str]) -> Rule:
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

    def pattern(self, node: Node, key: str) -> re.Pattern[str]:
        try:
            return re.compile(self.text(node, key), re.IGNORECASE)
        except re.error as error:
            self.fail(node, key, f"not a regular expression: {error}")

    def template(self, node: Node, key: str, known: frozenset[str]) -> str:
        text = self.text(node, key)
        try:
            check(text, known)
        except TemplateError as error:
            self.fail(node, key, str(error))
        return text

    def pairs(self, node: Node, key: str) -> list[tuple[str, Node]]:
        return list(self.mapping(node, key, None).items())

    def templates_in(self, node: Node, key: str, known: frozenset[str]) -> Any:
        """A JSON value whose texts are templates."""
        if isinstance(node, Mapping):
            inner = self.pairs(node, key)
            return {name: self.templates_in(each, key, known) for name, each in inner}
        if isinstance(node, List):
            return [self.templates_in(each, key, known) for each in node.value]
        value = self.plain(node, key)
        if isinstance(value, str):
            return self.template(node, key, known)
        if value is not None and not isinstance(value, bool | int | float):
            return str(node.value)
        return value


def _say(reader: _Reader, node: Node, known: frozenset[str]) -> list[Step]:
    texts = reader.one_or_more(node)
    if not texts:
        reader.fail(node, "say", "the list is empty")
    return [SayStep(tuple(reader.template(each, "say", known) for each in texts))]


def _call(reader: _Reader, node: Node, known: frozenset[str]) -> list[Step]:
    return [_one_call(reader, each, known) for each in reader.one_or_more(node)]


def _one_call(reader: _Reader, node: Node, known: frozenset[str]) -> CallStep:
    if isinstance(node, Scalar):
        return CallStep(reader.template(node, "call", known))
    fields = reader.mapping(node, "call", {"name", "arguments"})
    if "name" not in fields:
        reader.fail(node, "call", "name is missing")
    arguments = None
    if "arguments" in fields:
        reader.mapping(fields["arguments"], "arguments", None)
        arguments = reader.templates_in(fields["arguments"], "arguments", known)
    return CallStep(reader.template(fields["name"], "name", known), arguments)


def _wait(reader: _Reader, node: Node, _: frozenset[str]) -> list[Step]:
    return [WaitStep(reader.seconds(node, "wait"))]


def _fail(reader: _Reader, node: Node, known: frozenset[str]) -> list[Step]:
    if isinstance(node, Scalar):
        return [FailStep(reader.template(node, "fail", known))]
    fields = reader.mapping(node, "fail", {"message", "code"})
    if "message" not in fields:
        reader.fail(node, "fail", "message is missing")
    message = reader.template(fields["message"], "message", known)
    if "code" not in fields:
        return [FailStep(message)]
    return [FailStep(message, reader.text(fields["code"], "code"))]


_STEPS: dict[str, Callable[[_Reader, Node, frozenset[str]], list[Step]]] = {
    "say": _say,
    "call": _call,
    "wait": _wait,
    "fail": _fail,
}
_CONDITIONS: dict[str, Callable[[_Reader, Node, str], Any]] = {
    "hear": _Reader.pattern,
    "instructions": _Reader.pattern,
    "result": _Reader.pattern,
    "tool": _Reader.text,
    "knows": _Reader.text,
    "once": _Reader.truth,
    "remember": _Reader.pairs,
}
