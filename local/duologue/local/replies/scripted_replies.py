"""A reply model that follows rules, and remembers values for each session."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from ..interfaces import (
    Call,
    Called,
    Prompt,
    ReplyModelError,
    ReplyPart,
    Returned,
    Say,
    Tool,
    Wait,
)
from ..yaml_file import listed
from .number_words import NoNumber
from .templates import clock_values, fill
from .tool_arguments import arguments_for, tool_named, tool_named_in

__all__ = ["LABEL", "Rule", "ScriptedMind", "ScriptedReplies", "Step"]

#: The label of scripted replies, in the metadata of each response.
LABEL = "scripted, not a language model"
_NO_RULE = "I have no line for that. This is a scripted reply, not a language model."
#: The number of sessions whose state is kept.
_SESSIONS = 1_000
_T = TypeVar("_T")
_Several = Annotated[list[_T], msgspec.Meta(min_length=1)]


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """A call. Without arguments, they are derived from the tool's schema."""

    name: str
    arguments: dict[str, Any] | None = None


class Failure(msgspec.Struct, forbid_unknown_fields=True):
    """The message and the code of a failed response."""

    message: str
    code: str = "server_error"


class Step(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A step of a rule: one of its fields. The texts are templates."""

    say: str | _Several[str] | None = None
    call: str | Function | _Several[str | Function] | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    fail: str | Failure | None = None


class Rule(Step, kw_only=True, forbid_unknown_fields=True):
    """A rule: its conditions, and its steps, of which those in ``do`` come last."""

    hear: str | _Several[str] = ""
    instructions: str = ""
    result: str | None = None
    tool: str | None = None
    knows: str | None = None
    once: bool = False
    remember: dict[str, str] = {}
    do: _Several[Step] = []


class ScriptedReplies:
    """Replies by the first rule that applies."""

    label = LABEL

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        # The remembered values of each session, and how often it used each rule.
        self._sessions: dict[str, tuple[dict[str, str], Counter[int]]] = {}

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ReplyPart]:
        """The parts of the reply. Raises `ReplyModelError` for ``fail``."""
        before = ""
        for part in self._parts(prompt):
            if isinstance(part, ReplyModelError):
                raise part
            if isinstance(part, Say):
                if re.fullmatch(r"\S\S", before[-1:] + part.text[:1]):
                    part = Say(f" {part.text}")
                before = part.text or before
            elif isinstance(part, Call):
                before = ""
            yield part

    def _parts(self, prompt: Prompt) -> list[ReplyPart | ReplyModelError]:
        tool = prompt.forced
        if prompt.tool_choice == "required" and prompt.tools:
            tool = tool_named_in(prompt.heard, prompt.tools) or prompt.tools[0]
        if tool is not None:
            return [Call(tool.name, arguments_for(tool, prompt.heard))]
        known, used = self._sessions.pop(prompt.session, ({}, Counter()))
        self._sessions[prompt.session] = known, used  # the last used one is last
        if len(self._sessions) > _SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        for number, rule in enumerate(self._rules):
            values = _match(rule, prompt, known)
            if values is None or (rule.once and used[number]):
                continue
            try:
                remembered = {
                    name: str(fill(text, values))
                    for name, text in rule.remember.items()
                }
                values |= known | remembered
                parts = list(_run(rule, values, prompt, used[number]))
            except NoNumber:
                continue  # the rule has no number: try the next rule
            used[number] += 1
            known |= remembered
            return parts
        return [Say(_NO_RULE)]


#: The name in version 0.1.
ScriptedMind = ScriptedReplies


def _match(
    rule: Rule, prompt: Prompt, remembered: Mapping[str, str]
) -> dict[str, str] | None:
    """The values for the templates of a rule; None if the rule does not apply."""
    matches = (_search(each, prompt.heard) for each in listed(rule.hear))
    found = next(filter(None, matches), None)
    result = _result(prompt)
    if (
        found is None
        or not _search(rule.instructions, prompt.instructions)
        or (rule.knows is not None and rule.knows not in remembered)
        or (rule.result is None) is not (result is None)
        or (rule.result and result and not _search(rule.result, result["tool"]))
    ):
        return None
    values = {**clock_values(prompt.at), **remembered, "heard": prompt.heard}
    values |= result or {}
    values |= {str(n): text or "" for n, text in enumerate(found.groups(), 1)}
    values |= found.groupdict("")
    if rule.tool is not None:
        tools = () if prompt.tool_choice == "none" else prompt.tools
        find = tool_named_in if rule.tool == "any" else tool_named
        tool = find(prompt.heard if rule.tool == "any" else rule.tool, tools)
        if tool is None:
            return None
        values["tool"] = tool.name
    return values


def _result(prompt: Prompt) -> dict[str, str] | None:
    """The outputs since the last message, and the function that gave the last one."""
    outputs: list[Returned] = []
    names: dict[str, str] = {}
    for entry in prompt.lines:
        if isinstance(entry, Called):
            names[entry.call_id] = entry.name
        elif isinstance(entry, Returned):
            outputs.append(entry)
        elif entry.role != "system":
            outputs.clear()
    if not outputs:
        return None
    output = " and ".join(each.output for each in outputs)
    return {"tool": names.get(outputs[-1].call_id, "function"), "output": output}


def _search(pattern: str, text: str) -> re.Match[str] | None:
    return re.search(pattern, text, re.IGNORECASE)


def _run(
    rule: Rule, values: Mapping[str, str], prompt: Prompt, uses: int
) -> Iterator[ReplyPart | ReplyModelError]:
    """The parts of the reply that the steps give. Raises `NoNumber`."""
    for step in (rule, *rule.do):
        if texts := listed(step.say):
            yield Say(str(fill(texts[uses % len(texts)], values)))
        calls: list[str | Function] = listed(step.call)
        for call in calls:
            function = Function(call) if isinstance(call, str) else call
            name, arguments = str(fill(function.name, values)), function.arguments
            if arguments is None:
                tool = tool_named(name, prompt.tools) or Tool(name)
                yield Call(name, arguments_for(tool, prompt.heard))
            else:
                given = msgspec.json.encode(fill(arguments, values))
                yield Call(name, given.decode())
        if step.wait:
            yield Wait(step.wait)
        if step.fail is not None:
            fail = Failure(step.fail) if isinstance(step.fail, str) else step.fail
            code = str(fill(fail.code, values))
            yield ReplyModelError(str(fill(fail.message, values)), code=code)
