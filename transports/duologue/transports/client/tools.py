"""Functions of the application that the model may call.

::

    def weather(city: str, days: int = 1) -> dict[str, float]:
        '''The temperature in a city, in °C.'''

    session = await client.start_session(tools=[weather])

The schema of the arguments comes from the annotations, what the model is told from the
docstring. A coroutine function runs in the loop, any other in a thread. Calls of one
response run at the same time; each output goes to the model as it comes, and the answer
is requested once, when all are in (see `duologue.core.effects.rules`). An error is an
output too: the model gets its message. A call that is interrupted before its arguments
are whole is not run.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import attrs
import msgspec

from duologue.core import Call
from duologue.core import events as ev
from duologue.core.effects import commands

__all__ = ["MAX_OUTPUT", "TIMEOUT", "Tool", "Toolbox", "tool"]

#: Seconds that a function may take, unless it says otherwise.
TIMEOUT = 30.0
#: Characters of an output that go to the model; more is an error.
MAX_OUTPUT = 65_536

_log = logging.getLogger("duologue")

Spec = ev.FunctionTool | ev.McpToolServer


@attrs.frozen
class Tool:
    """A function with what the model must know of it. Made by `tool`.

    ``timeout`` is in seconds.
    """

    name: str
    function: Callable[..., Any]
    spec: ev.FunctionTool
    arguments: type[msgspec.Struct]
    timeout: float = TIMEOUT

    async def call(self, arguments: str) -> str:
        """Run it with these arguments (JSON text); its output as text.

        Text is given as it is, anything else as JSON. Raises what the function raised,
        `msgspec.ValidationError` for arguments that do not fit, TimeoutError, and
        ValueError for an output of more than `MAX_OUTPUT` characters.
        """
        given = msgspec.json.decode(arguments or "{}", type=self.arguments)
        values = {name: getattr(given, name) for name in given.__struct_fields__}
        async with asyncio.timeout(self.timeout):
            if inspect.iscoroutinefunction(self.function):
                result = await self.function(**values)
            else:
                result = await asyncio.to_thread(self.function, **values)
        output = result if isinstance(result, str) else _json(result)
        if len(output) > MAX_OUTPUT:
            raise ValueError(f"the output has more than {MAX_OUTPUT} characters")
        return output


def tool(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = TIMEOUT,
) -> Tool:
    """A function as a tool.

    ``name`` and ``description`` default to those of the function; ``timeout`` in
    seconds. Annotations may be all that msgspec knows, `msgspec.Meta` with them; no
    annotation takes any JSON. Raises TypeError for a function whose arguments cannot
    be named, or have a type that JSON has not.
    """
    name = name or str(getattr(function, "__name__", ""))
    arguments = _arguments(name, function)
    try:
        (root,), parts = msgspec.json.schema_components(
            [arguments], ref_template="#/$defs/{name}"
        )
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    schema = parts.pop(root["$ref"].rpartition("/")[2])
    schema.pop("title", None)
    if parts:
        schema["$defs"] = parts
    said = description or inspect.getdoc(function) or ""
    spec = ev.FunctionTool(name=name, description=said, parameters=_raw(schema))
    return Tool(name, function, spec, arguments, timeout)


def _arguments(name: str, function: Callable[..., Any]) -> type[msgspec.Struct]:
    """The arguments of a function as a type that msgspec decodes."""
    hints = typing.get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        kinds = (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if parameter.kind not in kinds:
            raise TypeError(f"{name}: {parameter} cannot be given by its name")
        hint = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, _default(parameter.default)))
    return msgspec.defstruct(
        "Arguments", fields, kw_only=True, forbid_unknown_fields=True
    )


def _default(value: Any) -> Any:
    """A default as the schema shows it; that of a list or an object it does not."""
    if value is None or isinstance(value, str | int | float):
        return value
    return msgspec.field(default_factory=lambda: value)


def _raw(schema: dict[str, Any]) -> Any:
    """As the decoder gives it: free-form JSON."""
    return msgspec.Raw(msgspec.json.encode(schema))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Toolbox:
    """Runs the tools of one session.

    ``spawn`` runs a task beneath the session, ``note`` records a fact, ``send`` sends
    an event.
    """

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, Any]], object],
        note: Callable[[ev.LocalEvent], None],
        send: Callable[[ev.ClientEvent], Awaitable[None]],
    ) -> None:
        self._spawn = spawn
        self._note = note
        self._send = send
        self._tools: dict[str, Tool] = {}
        self._theirs: frozenset[str] = frozenset()

    def replace(
        self, tools: Iterable[Tool | Spec | Callable[..., Any]]
    ) -> tuple[Spec, ...]:
        """From here on there are these tools; what the service must know of them.

        One that is a specification only is left to the application to run (by the
        notice ``tool_call``). Raises TypeError as `tool` does, ValueError for a name
        that comes twice.
        """
        specs: list[Spec] = []
        ours: dict[str, Tool] = {}
        for one in tools:
            if not isinstance(one, Spec):
                made = one if isinstance(one, Tool) else tool(one)
                ours[made.name] = made
                one = made.spec
            specs.append(one)
        names = [str(spec.name) for spec in specs if isinstance(spec, ev.FunctionTool)]
        if len(set(names)) != len(names):
            raise ValueError(f"a tool's name comes twice: {', '.join(names)}")
        self._tools, self._theirs = ours, frozenset(names) - ours.keys()
        return tuple(specs)

    def run(self, call: Call) -> None:
        """The model calls a function: run it, unless the application does."""
        if call.call_id is None or call.name in self._theirs or not self._tools:
            return
        self._spawn(self._run(call, call.call_id))

    async def _run(self, call: Call, call_id: str) -> None:
        self._note(ev.ToolStarted(call_id=call_id))
        problem: str | None = "the session ended before the tool did"
        try:
            output, problem = await self._output(call)
        finally:
            # Also where the session ends meanwhile: no tool runs for ever.
            self._note(ev.ToolFinished(call_id=call_id, error=problem))
        try:
            await self._send(commands.send_tool_output(call_id, output))
        except Exception as error:
            _log.warning("the output of %s was not sent: %s", call.name, error)

    async def _output(self, call: Call) -> tuple[str, str | None]:
        """What the model is told, and what went wrong."""
        task = asyncio.current_task()
        try:
            found = self._tools.get(call.name)
            if found is None:
                raise LookupError(f"there is no tool {call.name!r}")
            return await found.call(str(call.arguments)), None
        except TimeoutError as error:
            problem = str(error) or "it took too long"
        except asyncio.CancelledError:
            if task is not None and task.cancelling():
                raise
            problem = "it was cancelled"
        except Exception as error:
            _log.info("tool %s failed", call.name, exc_info=True)
            problem = f"{type(error).__name__}: {error}"
        problem = " ".join(problem.split())
        return _json({"error": problem}), problem
