"""A script that stands in for a language model, and says so.

A `Script` is a list of rules; the first whose conditions all hold, and whose texts can
be filled, says what happens.
`scenario` reads them from a file.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

import attrs
import msgspec

from ..interfaces import (
    Call,
    Called,
    MindError,
    Prompt,
    Returned,
    Say,
    Thought,
    Tool,
    Wait,
)
from .numbers import NoNumber
from .slots import arguments_for, asked_for
from .templates import clock_names, fill

__all__ = [
    "LABEL",
    "CallStep",
    "FailStep",
    "Rule",
    "SayStep",
    "Script",
    "ScriptedMind",
    "Step",
    "WaitStep",
]

#: What every face of a scripted reply says.
LABEL = "scripted, not a language model"
_NO_RULE = "I have no line for that. This is a scripted reply, not a language model."
#: Sessions whose state is kept.
_SESSIONS = 1_000


@attrs.frozen
class SayStep:
    """Say one of these, the next one each time."""

    templates: tuple[str, ...]


@attrs.frozen
class CallStep:
    """Call a function. Without ``arguments`` they are guessed from what was heard."""

    name: str
    arguments: Any = None


@attrs.frozen
class WaitStep:
    """Say nothing for so many seconds."""

    seconds: float


@attrs.frozen
class FailStep:
    """Let the response fail."""

    message: str
    code: str = "server_error"


Step = SayStep | CallStep | WaitStep | FailStep


@attrs.frozen(kw_only=True)
class Rule:
    """What happens when.

    ``hear`` and ``instructions`` are searched in what the user said last and in the
    instructions in force; ``result`` in the name of the function whose output came
    last; ``tool`` names a tool that the session must have, ``any`` one that was asked
    for. ``knows`` names a value that must have been remembered. ``once``: only the
    first time.
    """

    hear: tuple[re.Pattern[str], ...] = ()
    instructions: re.Pattern[str] | None = None
    result: re.Pattern[str] | None = None
    tool: str | None = None
    knows: str | None = None
    once: bool = False
    remember: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = ()


@attrs.frozen
class Script:
    """The rules, in their order."""

    rules: tuple[Rule, ...]


@attrs.define
class _State:
    """What a session remembers, and how often each rule was used."""

    values: dict[str, str] = attrs.Factory(dict)
    used: dict[int, int] = attrs.Factory(dict)


class ScriptedMind:
    """Answers by a script. Keeps a little state for each session."""

    label = LABEL

    def __init__(self, script: Script) -> None:
        self._script = script
        self._states: OrderedDict[str, _State] = OrderedDict()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Thought]:
        """What the script says to what happened last."""
        for thought in self._thoughts(prompt):
            yield thought

    def _thoughts(self, prompt: Prompt) -> Iterator[Thought]:
        tool = _demanded(prompt)
        if tool is not None:
            yield Call(tool.name, arguments_for(tool, prompt.heard))
            return
        state = self._state(prompt.session)
        for number, rule in enumerate(self._script.rules):
            times = state.used.get(number, 0)
            values = _matched(rule, prompt, state)
            if values is None or (rule.once and times):
                continue
            try:
                remembered = {
                    name: str(fill(template, values))
                    for name, template in rule.remember
                }
                values |= state.values | remembered
                thoughts = [
                    _thought(step, values, prompt, times) for step in rule.steps
                ]
            except NoNumber:
                continue  # nothing is made up: another rule has to say something
            state.used[number] = times + 1
            state.values |= remembered
            yield from _spaced(thoughts)
            return
        yield Say(_NO_RULE)

    def _state(self, session: str) -> _State:
        state = self._states.pop(session, None) or _State()
        self._states[session] = state
        while len(self._states) > _SESSIONS:
            self._states.popitem(last=False)
        return state


def _spaced(thoughts: Iterable[Thought | MindError]) -> Iterator[Thought]:
    """The thoughts, with a space between what two of them say. Raises `MindError`."""
    said = ""
    for thought in thoughts:
        if isinstance(thought, MindError):
            raise thought
        if isinstance(thought, Say):
            text = thought.text
            if said and text and not (said[-1].isspace() or text[0].isspace()):
                thought = Say(f" {text}")
            said = text or said
        elif isinstance(thought, Call):
            said = ""
        yield thought


def _demanded(prompt: Prompt) -> Tool | None:
    """The tool that must be called, whatever the script says."""
    if prompt.tool_choice == "required" and prompt.tools:
        return asked_for(prompt.heard, prompt.tools) or prompt.tools[0]
    return prompt.forced


def _matched(rule: Rule, prompt: Prompt, state: _State) -> dict[str, str] | None:
    """The values for the templates of a rule; None where it does not hold."""
    values = clock_names(prompt.at) | state.values | {"heard": prompt.heard}
    returned = _returned(prompt)
    if (rule.result is not None) is not (returned is not None):
        return None
    if rule.result is not None and returned is not None:
        name, output = returned
        if rule.result.search(name) is None:
            return None
        values |= {"tool": name, "output": output}
    if rule.hear:
        found = next((f for p in rule.hear if (f := p.search(prompt.heard))), None)
        if found is None:
            return None
        values |= {str(n): text or "" for n, text in enumerate(found.groups(), 1)}
        values |= {name: text or "" for name, text in found.groupdict().items()}
    given = rule.instructions
    if given is not None and given.search(prompt.instructions) is None:
        return None
    if rule.tool is not None:
        tool = _usable(rule.tool, prompt)
        if tool is None:
            return None
        values["tool"] = tool.name
    if rule.knows is not None and rule.knows not in state.values:
        return None
    return values


def _usable(wanted: str, prompt: Prompt) -> Tool | None:
    """The tool that a rule needs, if the session has it and may use it."""
    if prompt.tool_choice == "none":
        return None
    if wanted == "any":
        return asked_for(prompt.heard, prompt.tools)
    return next((tool for tool in prompt.tools if tool.name == wanted), None)


def _returned(prompt: Prompt) -> tuple[str, str] | None:
    """The function whose output came after all that was said, and that output."""
    outputs: list[Returned] = []
    names: dict[str, str] = {}
    for entry in prompt.lines:
        if isinstance(entry, Called):
            names[entry.call_id] = entry.name
        elif isinstance(entry, Returned):
            outputs.append(entry)
        elif entry.role in ("user", "assistant"):
            outputs.clear()
    if not outputs:
        return None
    said = " and ".join(each.output for each in outputs)
    return names.get(outputs[-1].call_id, "function"), said


def _thought(
    step: Step, values: dict[str, str], prompt: Prompt, times: int
) -> Thought | MindError:
    """What a step comes to. Raises `NoNumber`."""
    match step:
        case SayStep(templates):
            return Say(str(fill(templates[times % len(templates)], values)))
        case CallStep(template, arguments):
            name = str(fill(template, values))
            return Call(name, _arguments(name, arguments, values, prompt))
        case WaitStep(seconds):
            return Wait(seconds)
        case FailStep(message, code):
            return MindError(str(fill(message, values)), code=code)


def _arguments(name: str, template: Any, values: dict[str, str], prompt: Prompt) -> str:
    if template is not None:
        return msgspec.json.encode(_filled(template, values)).decode()
    tool = next((tool for tool in prompt.tools if tool.name == name), Tool(name))
    return arguments_for(tool, prompt.heard)


def _filled(template: Any, values: dict[str, str]) -> Any:
    """A JSON value with the templates in it filled."""
    if isinstance(template, str):
        return fill(template, values)
    if isinstance(template, list):
        return [_filled(each, values) for each in template]
    if isinstance(template, dict):
        return {key: _filled(each, values) for key, each in template.items()}
    return template
