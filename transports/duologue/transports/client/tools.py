"""Tools: functions of the application that the model may call.

::

    def weather(city: str, days: int = 1) -> dict[str, float]:
        '''The temperature in a city, in °C.'''

    session = await client.start_session(tools=[weather])

The annotations become the schema of the arguments, the docstring the description. A
coroutine function runs in the event loop, any other function in a thread. The calls of
one response run concurrently. Each output is sent when it is ready; the next response
is requested once, after the last output (see `duologue.core.effects.responses`). If a
function raises, the message of the exception is the output. A call that is interrupted
before its arguments are complete is not run.
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
from msgspec import UNSET

from duologue.core import Call, SessionConfig
from duologue.core import events as ev
from duologue.core.effects import commands

__all__ = ["MAX_OUTPUT", "TIMEOUT", "Tool", "Toolbox", "tool"]

#: Seconds that a function may take by default.
TIMEOUT = 30.0
#: Maximum length of an output in characters; a longer one is an error.
MAX_OUTPUT = 65_536

#: Seconds that a cancelled function may take to clean up.
_GRACE = 1.0
#: Maximum length of an error message in characters: as JSON, it is a valid output.
_MAX_PROBLEM = MAX_OUTPUT // 8

_log = logging.getLogger("duologue")

Spec = ev.FunctionTool | ev.McpToolServer


@attrs.frozen
class Tool:
    """A function and its specification for the model. Made by `tool`.

    ``timeout`` is in seconds.
    """

    name: str
    function: Callable[..., Any]
    spec: ev.FunctionTool
    arguments: type[msgspec.Struct]
    timeout: float = TIMEOUT

    async def call(self, arguments: str) -> str:
        """Run the function with these arguments (JSON text); return text.

        A str is returned unchanged, any other result as JSON. Raises the function's
        exceptions, `msgspec.ValidationError` for invalid arguments, TimeoutError, and
        ValueError for an output of more than `MAX_OUTPUT` characters, or one that is
        not valid Unicode.
        """
        given = msgspec.json.decode(arguments or "{}", type=self.arguments)
        values = msgspec.structs.asdict(given)
        if inspect.iscoroutinefunction(self.function):
            work = self.function(**values)
        else:
            work = asyncio.to_thread(_called, self.function, values)
        result = await _within(self.timeout, work, self.name)
        output = result if isinstance(result, str) else _json(result)
        if len(output) > MAX_OUTPUT:
            raise ValueError(f"the output has more than {MAX_OUTPUT} characters")
        output.encode()  # raises UnicodeEncodeError for a lone surrogate
        return output


def tool(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = TIMEOUT,
) -> Tool:
    """Make a tool of a function.

    ``name`` and ``description`` default to the function's name and docstring;
    ``timeout`` is in seconds. Annotations may use every type that msgspec supports,
    also `msgspec.Meta`; a parameter without annotation takes any JSON. Raises TypeError
    for a parameter that cannot be passed by name, or whose type JSON cannot represent.
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
    description = description or inspect.getdoc(function) or ""
    parameters: Any = msgspec.Raw(msgspec.json.encode(schema))
    spec = ev.FunctionTool(name=name, description=description, parameters=parameters)
    return Tool(name, function, spec, arguments, timeout)


def _arguments(name: str, function: Callable[..., Any]) -> type[msgspec.Struct]:
    """The parameters of a function as a struct."""
    hints = typing.get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        kinds = (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if parameter.kind not in kinds:
            raise TypeError(f"{name}: {parameter} cannot be passed by name")
        hint = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, _default(parameter.default)))
    return msgspec.defstruct(
        "Arguments", fields, kw_only=True, forbid_unknown_fields=True
    )


def _default(value: Any) -> Any:
    """A default value. The schema shows scalars only."""
    if value is None or isinstance(value, str | int | float):
        return value
    return msgspec.field(default_factory=lambda: value)


async def _within(timeout: float, work: Coroutine[Any, Any, Any], name: str) -> Any:
    """The result of a tool; raises TimeoutError after ``timeout`` seconds.

    The tool has its own task, because a function that ignores its cancellation would
    keep its caller for ever. It gets `_GRACE` seconds to clean up.
    """
    task = asyncio.create_task(_outcome(work))
    try:
        if not (await asyncio.wait({task}, timeout=timeout))[0]:
            raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_GRACE)
        if not task.done():
            _log.warning("tool %s ignores its cancellation; it still runs", name)
    result, error = task.result()
    if error is not None:
        raise error
    return result


async def _outcome(work: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    """The result of a coroutine, or its exception: a SystemExit would end the loop."""
    try:
        return await work, None
    except BaseException as error:
        return None, error


def _called(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    """The result of a function. A task cannot raise the exceptions of iterators."""
    try:
        return function(**values)
    except (StopIteration, GeneratorExit) as error:
        raise RuntimeError(f"function raised {type(error).__name__}") from error


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "the exception has no message"


class Toolbox:
    """Runs the tools of one session.

    ``spawn`` starts a task that ends with the session, ``note`` records a fact,
    ``send`` sends an event.
    """

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, Any]], object],
        note: Callable[[ev.LocalEvent], None],
        send: Callable[[ev.ClientEvent], Awaitable[object]],
    ) -> None:
        self._spawn = spawn
        self._note = note
        self._send = send
        self._tools: dict[str, Tool] = {}
        self._of_application: frozenset[str] = frozenset()

    def replace(
        self, tools: Iterable[Tool | Spec | Callable[..., Any]]
    ) -> tuple[Spec, ...]:
        """Use these tools from now on; return their specifications.

        A tool may be a specification without a function; then your application runs it
        (see the notice ``tool_call``). Raises TypeError as `tool` does, ValueError for
        a duplicate name.
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
            raise ValueError(f"duplicate tool name: {', '.join(names)}")
        self._tools, self._of_application = ours, frozenset(names) - ours.keys()
        return tuple(specs)

    def configure(
        self, config: SessionConfig, tools: Iterable[Tool | Spec | Callable[..., Any]]
    ) -> SessionConfig:
        """Use the tools of ``config`` and these; return the complete configuration.

        Raises as `replace` does.
        """
        configured = () if config.tools is UNSET else config.tools
        specs = self.replace((*configured, *tools))
        return config if specs == configured else attrs.evolve(config, tools=specs)

    def run(self, call: Call) -> None:
        """Run the tool of a call, unless the application runs it."""
        if call.call_id is None or call.name in self._of_application or not self._tools:
            return
        self._spawn(self._run(call, call.call_id, call.key or call.call_id))

    async def _run(self, call: Call, call_id: str, key: str) -> None:
        self._note(ev.ToolStarted(call_id=key))
        problem: str | None = "the session ended before the tool did"
        try:
            output, problem = await self._output(call)
        finally:
            # Record the end of every started tool, even if the session has ended.
            self._note(ev.ToolFinished(call_id=key, error=problem))
        try:
            await self._send(commands.send_tool_output(call_id, output))
        except Exception as error:
            _log.warning("the output of %s was not sent: %s", call.name, error)

    async def _output(self, call: Call) -> tuple[str, str | None]:
        """The output for the model, and the problem, if there was one."""
        task = asyncio.current_task()
        try:
            found = self._tools.get(call.name)
            if found is None:
                raise LookupError(f"there is no tool {call.name!r}")
            return await found.call(str(call.arguments)), None
        except TimeoutError as error:
            problem = _message(error) or "it took too long"
        except asyncio.CancelledError:
            if task is not None and task.cancelling():
                raise
            problem = "it was cancelled"
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            # Also SystemExit and exception groups: a tool does not end the session.
            _log.info("tool %s failed", call.name, exc_info=True)
            problem = f"{type(error).__name__}: {_message(error)}"
        problem = problem.encode(errors="backslashreplace").decode()
        problem = " ".join(problem.split())[:_MAX_PROBLEM]
        return _json({"error": problem}), problem
