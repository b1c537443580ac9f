"""A reply model that follows rules, and remembers values for each session."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from ..interfaces import (
    Call,
    Called,
    Line,
    Prompt,
    ReplyModelError,
    ReplyPart,
    Returned,
    Say,
    Tool,
    Wait,
)
from .number_words import NoNumber
from .templates import clock_values, fill
from .tool_arguments import arguments_for, tool_named_in

__all__ = ["LABEL", "Rule", "ScriptedMind", "ScriptedReplies"]

#: The label of scripted replies, in the metadata of each response.
LABEL = "scripted, not a language model"
_NO_RULE = "I have no line for that. This is a scripted reply, not a language model."
#: The number of sessions whose state is kept.
_SESSIONS = 1_000
_ANYTHING = re.compile("")


@attrs.frozen(kw_only=True)
class Rule:
    """A rule of a scenario; the fields have the names of its keys.

    ``steps`` are pairs of a key and its value: ``say`` with a list of texts, ``call``
    and ``fail`` with a mapping, ``wait`` with seconds. ``needs_number``: filling one
    of the templates may raise `NoNumber`.
    """

    hear: Sequence[re.Pattern[str]] = (_ANYTHING,)
    instructions: re.Pattern[str] = _ANYTHING
    result: re.Pattern[str] | None = None
    tool: str | None = None
    knows: str | None = None
    once: bool = False
    remember: Mapping[str, str] = attrs.Factory(dict)
    steps: Sequence[tuple[str, Any]]
    needs_number: bool = False


@attrs.define
class _Session:
    """The remembered values, and how often each rule was used."""

    values: dict[str, str] = attrs.Factory(dict)
    uses: Counter[int] = attrs.Factory(Counter)


class ScriptedReplies:
    """Replies by the first rule that applies."""

    label = LABEL

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ReplyPart]:
        """The parts of the reply. Raises `ReplyModelError` for ``fail``."""
        for part in _spaced(self._parts(prompt)):
            yield part

    def _parts(self, prompt: Prompt) -> Iterable[ReplyPart | ReplyModelError]:
        tool = prompt.forced
        if prompt.tool_choice == "required" and prompt.tools:
            tool = tool_named_in(prompt.heard, prompt.tools) or prompt.tools[0]
        if tool is not None:
            return [Call(tool.name, arguments_for(tool, prompt.heard))]
        session = self._session(prompt.session)
        for number, rule in enumerate(self._rules):
            uses = session.uses[number]
            values = _match(rule, prompt, session.values)
            if values is None or (rule.once and uses):
                continue
            try:
                remembered = {
                    name: str(fill(text, values))
                    for name, text in rule.remember.items()
                }
                values |= session.values | remembered
                parts = [_part(*step, values, prompt, uses) for step in rule.steps]
            except NoNumber:
                continue  # the rule must not invent a number: try the next one
            session.uses[number] += 1
            session.values |= remembered
            return parts
        return [Say(_NO_RULE)]

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.setdefault(session_id, _Session())
        self._sessions.move_to_end(session_id)
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return session


#: The name in version 0.1.
ScriptedMind = ScriptedReplies


def _match(
    rule: Rule, prompt: Prompt, remembered: Mapping[str, str]
) -> dict[str, str] | None:
    """The values for the templates of a rule; None if the rule does not apply."""
    found = next((m for p in rule.hear if (m := p.search(prompt.heard))), None)
    result = _result(prompt)
    if (
        found is None
        or not rule.instructions.search(prompt.instructions)
        or not (rule.knows is None or rule.knows in remembered)
        or (rule.result is None) is not (result is None)
        or (rule.result and result and not rule.result.search(result["tool"]))
    ):
        return None
    values = {**clock_values(prompt.at), **remembered, "heard": prompt.heard}
    values |= result or {}
    values |= {str(n): text or "" for n, text in enumerate(found.groups(), 1)}
    values |= found.groupdict("")
    if rule.tool is not None:
        tool = _available_tool(rule.tool, prompt)
        if tool is None:
            return None
        values["tool"] = tool.name
    return values


def _available_tool(name: str, prompt: Prompt) -> Tool | None:
    tools = () if prompt.tool_choice == "none" else prompt.tools
    if name == "any":
        return tool_named_in(prompt.heard, tools)
    return next((tool for tool in tools if tool.name == name), None)


def _result(prompt: Prompt) -> dict[str, str] | None:
    """The outputs since the last message, and the function that gave the last one."""
    outputs: list[Returned] = []
    for entry in prompt.lines:
        if isinstance(entry, Returned):
            outputs.append(entry)
        elif isinstance(entry, Line) and entry.role != "system":
            outputs.clear()
    if not outputs:
        return None
    calls = (entry for entry in prompt.lines if isinstance(entry, Called))
    names = (call.name for call in calls if call.call_id == outputs[-1].call_id)
    output = " and ".join(each.output for each in outputs)
    return {"tool": next(names, "function"), "output": output}


def _part(
    key: str, value: Any, values: Mapping[str, str], prompt: Prompt, uses: int
) -> ReplyPart | ReplyModelError:
    """The part of the reply that a step gives. Raises `NoNumber`."""
    if key == "wait":
        return Wait(value)
    if key == "say":
        return Say(str(fill(value[uses % len(value)], values)))
    filled = _filled(value, values)
    if key == "fail":
        return ReplyModelError(**{name: str(text) for name, text in filled.items()})
    name = str(filled["name"])
    if "arguments" in filled:
        return Call(name, msgspec.json.encode(filled["arguments"]).decode())
    tool = next((tool for tool in prompt.tools if tool.name == name), Tool(name))
    return Call(name, arguments_for(tool, prompt.heard))


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """A JSON value with its texts filled as templates."""
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    return value


def _spaced(parts: Iterable[ReplyPart | ReplyModelError]) -> Iterator[ReplyPart]:
    """The parts, with a space between two texts. Raises `ReplyModelError`."""
    before = ""
    for part in parts:
        if isinstance(part, ReplyModelError):
            raise part
        if isinstance(part, Say):
            if re.fullmatch(r"\S\S", before[-1:] + part.text[:1]):
                part = Say(f" {part.text}")
            before = part.text or before
        elif isinstance(part, Call):
            before = ""
        yield part
