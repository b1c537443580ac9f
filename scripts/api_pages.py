"""The reference pages of the public names of the core and of its testing package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import attrs
import msgspec
from introspection import (
    comment_above,
    defined,
    own_doc,
    says,
    struct_table,
    value_table,
)
from rendering import code, join, signature, table

import duologue.core
from duologue.core import store, testing
from duologue.core.log.record import Direction
from duologue.core.state.dedup import Window
from duologue.core.state.id_sequence import IdSequence
from duologue.core.state.rope import Rope

__all__ = ["core_page", "function_entry", "testing_page"]

#: Names that other pages describe.
ELSEWHERE = {
    "commands": "client-events.md",
    "events": "events.md",
    "LocalEventType": "facts.md",
    "RealtimeEventType": "events.md",
    "SessionKind": "state.md#sessionkind",
    "SessionStatus": "state.md#sessionstatus",
    "Command": "client-events.md#commands",
    "Send": "client-events.md#send",
    "Connect": "client-events.md#connect",
    "Disconnect": "client-events.md#disconnect",
    "SwitchTo": "client-events.md#switchto",
    "WakeAt": "client-events.md#wakeat",
    "RunTool": "client-events.md#runtool",
    "FlushAudio": "client-events.md#flushaudio",
    "Reconnect": "client-events.md#connect",
    "react": "client-events.md#react",
}
#: The names of `duologue.core`, in the order of the page. The test of the page fails
#: for a public name that stands nowhere.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Folding": ("reduce", "fold"),
    "The store": ("Store", "Change", "Cursor", "Resync"),
    "Records and logs": ("Record", "read_log", "LogReader", "to_line"),
    "Frames": ("decode", "encode"),
    "Snapshots": ("dump", "load"),
    "Views": ("view", "summary", "patch", "apply"),
    "Configuration": ("SessionConfig",),
    "A live session without I/O": ("Machine",),
    "Reconnecting": ("Backoff",),
    "Errors": ("DuologueError", "LogError", "SnapshotError", "PatchError"),
}
#: The public methods of these classes; the others are internal.
ONLY = {
    "StoreMachine": ("make_store",),
    "Rope": ("append", "chunks"),
    "IdSequence": (),
    "Window": (),
}
#: Classes that users do not construct.
GIVEN = ("Cursor", "IdSequence", "Window")


def core_page() -> str:
    parts = [
        "# The core",
        "What `duologue.core` exports. [Selectors](selectors.md) and "
        "[nodes of the state](state.md) have pages of their own, and so have:",
        "\n".join(f"- `{name}`: [{link}]({link})" for name, link in ELSEWHERE.items())
        + "\n- `__version__`: the version of the distribution, as text.",
    ]
    for title, listed in SECTIONS.items():
        names = [name for name in listed if name in duologue.core.__all__]
        if not names:
            continue
        parts.append(f"## {title}")
        if title == "The store":
            parts.append(
                "What can be subscribed to, the slices, are the nodes of a session in "
                "[the state](state.md)."
            )
        parts += [entry(name, getattr(duologue.core, name)) for name in names]
        if title == "The store":
            parts += [alias(store, n) for n in ("Subscriber", "Dispatch", "Middleware")]
            parts.append(
                "What a middleware may do is said in [property-testing]"
                "(../property-testing.md#checks-in-one-line)."
            )
    return join(*parts, "## Types that the tables name", *types())


def types() -> Iterator[str]:
    """Types in the tables of fields that are neither nodes nor objects."""
    yield class_entry("Rope", Rope)
    yield "So `str(part.text)` is what was said, `str(call.arguments)` JSON text."
    yield join(
        class_entry("IdSequence", IdSequence), "It can be iterated, and has a length."
    )
    yield class_entry("Window", Window)
    yield join(
        "### Direction", f"```\nDirection = {Direction!r}\n```".replace("typing.", "")
    )
    yield join(
        "### Json",
        "Free-form JSON inside an event. What was decoded holds its bytes "
        "(`msgspec.Raw`); whoever builds an event gives any JSON value.",
    )
    yield join(
        "### Map",
        "`immutables.Map`: a read-only mapping. `m.set(key, value)` gives another one "
        "and leaves this one as it is.",
    )


def testing_page() -> str:
    return join(
        "# Testing",
        says(testing),
        *(
            entry(name, getattr(testing, name))
            for name in testing.__all__
            if name != "fold"
        ),
        "### fold",
        "[`duologue.core.fold`](core.md#fold).",
    )


def entry(name: str, value: Any) -> str:
    return (
        class_entry(name, value) if isinstance(value, type) else function_entry(value)
    )


def function_entry(
    function: Callable[..., Any], names: tuple[str, ...] = ("Script",)
) -> str:
    """A function; ``names`` are those of the page."""
    name = getattr(function, "__name__", "")
    # A class of the same letters has the plain heading: anchors ignore case.
    title = f"{name} (function)" if name.title() in names else name
    return join(
        f"### {title}", f"```\n{signature(name, function)}\n```", says(function)
    )


def class_entry(name: str, cls: type) -> str:
    """A class: docstring, fields or constructor, and methods."""
    if name in GIVEN or (issubclass(cls, Exception) and "__init__" not in vars(cls)):
        made = ""
    elif attrs.has(cls):
        made = value_table(cls)
    elif issubclass(cls, msgspec.Struct):
        made = struct_table(cls)
    elif hasattr(cls, "_fields"):
        made = named_table(cls)
    else:
        made = f"```\n{signature(name, cls)}\n```"
    text = says(cls) if own_doc(cls) else ""
    return join(f"### {name}", bases(cls), text, made, *methods(name, cls))


def bases(cls: type) -> str:
    """The base classes of an error."""
    if not issubclass(cls, BaseException):
        return ""
    return "Derived from " + ", ".join(f"`{b.__name__}`" for b in cls.__bases__) + "."


def named_table(cls: Any) -> str:
    rows = [
        f"| `{field}` | {code(cls.__annotations__[field].__forward_arg__)} |"
        for field in cls._fields
    ]
    return table("| field | type |", rows)


def methods(name: str, cls: type) -> Iterator[str]:
    """The public methods and properties defined in the class itself."""
    only = ONLY.get(name)
    for word, value in vars(cls).items():
        if word.startswith("_") or (only is not None and word not in only):
            continue
        if isinstance(value, property):
            yield join(f"#### {name}.{word}", says(value))
            continue
        function = getattr(value, "__func__", value)
        if inspect.isfunction(function) and not hasattr(cls, "_fields"):
            shown = f"```\n{signature(f'{name}.{word}', function)}\n```"
            yield join(f"#### {name}.{word}", shown, says(function))


def alias(module: ModuleType, name: str) -> str:
    """A type alias with its source and its comment."""
    return join(
        f"### {name}",
        comment_above(module, name),
        f"```\n{name} = {defined(module, name)}\n```",
    )
