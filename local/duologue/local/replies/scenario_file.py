"""Scenario files: the rules of scripted replies in YAML, see ``docs/scenarios.md``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from ..yaml_file import List, Mapping, Node, Reader, YamlError, load, parse
from .scripted_replies import Rule, ScriptedReplies
from .templates import NAMES, mistake, needs_number

__all__ = ["ScenarioError", "default_replies", "load_scenario"]

_STEPS = ("say", "call", "wait", "fail")
#: Patterns that match every text, and those that match every function name.
_ANYTHING = {"", ".*"}
_A_NAME = {".", *_ANYTHING}


class ScenarioError(YamlError):
    """A scenario file is invalid; the message names file, line and key."""


def load_scenario(path: str | Path) -> ScriptedReplies:
    """The scripted replies of a scenario file. Raises `ScenarioError`."""
    return ScriptedReplies(_rules(path))


def default_replies() -> ScriptedReplies:
    """The scripted replies of ``default.yaml``."""
    return ScriptedReplies(_default_rules())


@functools.cache
def _default_rules() -> list[Rule]:
    return _rules(Path(__file__).with_name("default.yaml"))


def _rules(path: str | Path) -> list[Rule]:
    text = load(path, "scenario", ScenarioError)
    return parse(text, Reader(str(path), ScenarioError), _read)


def _read(reader: Reader, root: Node | None) -> list[Rule]:
    nodes = reader.sequence(reader.document(root, "rules")["rules"], "rules")
    fields = [
        reader.mapping(node, "rules", {*_CONDITIONS, *_STEPS, "do"}) for node in nodes
    ]
    remembered = {
        name
        for each in fields
        if "remember" in each
        for name in reader.mapping(each["remember"], "remember", None)
    }
    rules: list[Rule] = []
    for number, (node, each) in enumerate(zip(nodes, fields, strict=True), 1):
        known = {*NAMES, *remembered}
        rule = _RuleReader(reader.name, reader.error, known).rule(node, each)
        if rule.knows is not None and rule.knows not in remembered:
            reader.fail(node, "knows", f"rule {number}: nothing remembers {rule.knows}")
        for place, earlier in enumerate(rules):
            if _covers(earlier, rule):
                line = nodes[place].start_mark.line + 1
                why = f"rule {place + 1} (line {line}) applies whenever it does"
                reader.fail(node, "rules", f"rule {number} is never reached: {why}")
        rules.append(rule)
    return rules


def _covers(rule: Rule, later: Rule) -> bool:
    """Whether ``rule`` applies whenever ``later`` does; compares patterns as text."""
    if rule.once or rule.needs_number or bool(rule.result) is not bool(later.result):
        return False
    hear = {each.pattern for each in rule.hear}
    return (
        (bool(hear & _ANYTHING) or hear >= {each.pattern for each in later.hear})
        and rule.instructions.pattern in _ANYTHING | {later.instructions.pattern}
        and (rule.result in (None, later.result) or rule.result.pattern in _A_NAME)
        and rule.tool in (None, later.tool)
        and rule.knows in (None, later.knows)
    )


@attrs.frozen
class _RuleReader(Reader):
    """Reads one rule. Its templates may use the ``known`` names."""

    known: set[str]
    templates: list[str] = attrs.Factory(list)

    def rule(self, node: Node, fields: dict[str, Node]) -> Rule:
        conditions = {
            key: read(self, fields[key], key)
            for key, read in _CONDITIONS.items()
            if key in fields
        }
        steps = tuple(self.steps(fields))
        if not steps:
            self.fail(node, "rules", f"a rule needs one of {', '.join(_STEPS)}, do")
        unsure = any(map(needs_number, self.templates))
        return Rule(**conditions, steps=steps, needs_number=unsure)

    def patterns(self, node: Node, key: str) -> tuple[re.Pattern[str], ...]:
        found = tuple(self.pattern(each, key) for each in self.one_or_more(node, key))
        for each in found:
            self.known.update(each.groupindex, map(str, range(1, each.groups + 1)))
        return found

    def pattern(self, node: Node, key: str) -> re.Pattern[str]:
        try:
            return re.compile(self.text(node, key), re.IGNORECASE)
        except re.error as error:
            self.fail(node, key, f"not a regular expression: {error}")

    def remember(self, node: Node, key: str) -> dict[str, str]:
        values = self.mapping(node, key, None)
        return {name: self.template(each, key) for name, each in values.items()}

    def template(self, node: Node, key: str) -> str:
        text = self.text(node, key)
        if why := mistake(text, self.known):
            self.fail(node, key, why)
        self.templates.append(text)
        return text

    def steps(self, fields: dict[str, Node]) -> Iterator[tuple[str, Any]]:
        for key, node in fields.items():
            match key:
                case "say":
                    nodes = self.one_or_more(node, key)
                    yield key, [self.template(each, key) for each in nodes]
                case "call":
                    read = {"name": self.template, "arguments": self.json_object}
                    for each in self.one_or_more(node, key):
                        yield key, self.short(each, key, "name", **read)
                case "wait":
                    yield key, self.seconds(node, key)
                case "fail":
                    texts = {"message": self.template, "code": self.template}
                    yield key, self.short(node, key, "message", **texts)
                case "do":
                    for each in self.sequence(node, key):
                        yield from self.steps(self.mapping(each, key, {*_STEPS}))

    def json_object(self, node: Node, key: str) -> dict[str, Any]:
        fields = self.mapping(node, key, None)
        return {name: self.json(each, key) for name, each in fields.items()}

    def json(self, node: Node, key: str) -> Any:
        """A JSON value; its texts are templates."""
        if isinstance(node, Mapping):
            return self.json_object(node, key)
        if isinstance(node, List):
            return [self.json(each, key) for each in node.value]
        value = self.plain(node, key)
        if isinstance(value, str):
            return self.template(node, key)
        is_json = value is None or isinstance(value, bool | int | float)
        return value if is_json else str(node.value)


_CONDITIONS: dict[str, Callable[[_RuleReader, Node, str], Any]] = {
    "hear": _RuleReader.patterns,  # first: its groups are names for `remember`
    "instructions": _RuleReader.pattern,
    "result": _RuleReader.pattern,
    "tool": _RuleReader.text,
    "knows": _RuleReader.text,
    "once": _RuleReader.truth,
    "remember": _RuleReader.remember,
}
