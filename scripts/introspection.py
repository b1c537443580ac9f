"""Introspection of the code: names, classes and docstrings as Markdown."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import sys
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

import attrs
import msgspec
from rendering import anchor, code, markdown, plain, table

from duologue.core.events.base import ClientEvent, Event, ServerEvent
from duologue.core.events.types import SessionKind, SessionStatus
from duologue.core.state import dedup, usage
from duologue.core.state import model as state

#: The modules of the catalogue in the order of the specification, with their titles.
CATALOGUE = {
    "session": "Session",
    "conversation": "Conversation",
    "audio": "Audio",
    "response": "Response",
    "mcp": "MCP",
    "error": "Failure",
    "translation": "Translation",
}
#: The modules of the objects inside events, with their titles.
OBJECTS = {"items": "Items and parts", "config": "Configuration", "objects": "Values"}

#: Types that fields have and that are described with the core.
ELSEWHERE = ("Direction", "Json", "Map", "IdSequence", "Rope", "Window")


# The catalogue.


def wire_events() -> Iterator[type[Event]]:
    """Every class for a wire type, in the order of the specification."""
    order = list(CATALOGUE)
    found = [*ClientEvent.__subclasses__(), *ServerEvent.__subclasses__()]
    return iter(sorted(found, key=lambda cls: (order.index(home(cls)), tag(cls))))


def home(cls: type) -> str:
    """The last word of a class's module."""
    return cls.__module__.rpartition(".")[2]


def tag(cls: type[Event]) -> str:
    return str(cls.__struct_config__.tag)


def kinds(cls: type[Event]) -> str:
    """The kinds of session that an event belongs to, if not to all."""
    if cls.KIND is not None:
        return cls.KIND.value
    if any(tag(other) == tag(cls) and other is not cls for other in wire_events()):
        return f"{SessionKind.REALTIME.value}, {SessionKind.TRANSCRIPTION.value}"
    return ""


def is_second(cls: type[Event]) -> bool:
    """Whether another class of the catalogue has the same name on the wire."""
    twins = [other for other in wire_events() if tag(other) == tag(cls)]
    return len(twins) > 1 and cls.KIND is not None


# Modules and classes.


def structs(module: str) -> list[type]:
    """The public msgspec classes that a module of the events defines, in its order."""
    return [
        value
        for name, value in vars(event_module(module)).items()
        if name in event_module(module).__all__
        and isinstance(value, type)
        and issubclass(value, msgspec.Struct)
        and home(value) == module
    ]


def choices(module: str) -> dict[str, tuple[type, ...]]:
    """The names for one of several classes, with those classes.

    A value of unknown type comes from the decoder's slow path, so that only a type
    checker sees it in ``AnyItem`` and ``AnyPart``.
    """
    own = assigned_names(event_module(module))
    found = {
        name: get_args(value)
        for name, value in vars(event_module(module)).items()
        if name in own and not name.startswith("_") and get_args(value)
    }
    for name in found.keys() & {"AnyItem", "AnyPart"}:
        unknown = getattr(event_module(module), name.replace("Any", "Unknown"))
        found[name] = (*found[name], unknown)
    return found


def assigned_names(module: types.ModuleType) -> set[str]:
    """The names that a module sets by assignment, at any depth."""
    nodes_ = map(assigned, ast.walk(ast.parse(inspect.getsource(module))))
    return {node.id for node in nodes_ if node is not None}


def defined(module: types.ModuleType, name: str) -> str:
    """The source of the value that a module assigns to a name."""
    source = inspect.getsource(module)
    for node in ast.parse(source).body:
        target = assigned(node)
        if target is not None and target.id == name:
            value = ast.get_source_segment(source, getattr(node, "value", node))
            return str(value)
    raise LookupError(name)


def event_module(name: str) -> types.ModuleType:
    return sys.modules[f"duologue.core.events.{name}"]


def nodes() -> list[type]:
    """The classes of the state, from the top down as their fields name them."""
    found: list[type] = []
    own = [*classes(state), *classes(usage), *classes(dedup)]
    known = {cls.__name__: cls for cls in own if cls is not dedup.Window}
    queue: list[type] = [state.State]
    while queue:
        cls = queue.pop(0)
        if cls in found:
            continue
        found.append(cls)
        words = " ".join(annotation(cls, name) for name in field_names(cls))
        queue += [known[word] for word in re.findall(r"\w+", words) if word in known]
    missing = set(known.values()) - set(found)
    assert not missing, f"no field leads to {missing}"
    return found


def tree() -> str:
    """The state as lines: each node with the nodes in it, indented."""
    known = {cls.__name__: cls for cls in nodes()}

    def lines(cls: type, depth: int) -> Iterator[str]:
        for name in field_names(cls):
            text = annotation(cls, name)
            inner = [known[w] for w in re.findall(r"\w+", text) if w in known]
            if inner:
                yield f"{'  ' * depth}{name}: {text}"
                yield from lines(inner[0], depth + 1)

    return "\n".join(["State", *lines(state.State, 1)])


def classes(module: types.ModuleType) -> list[type]:
    """The public classes of values that a module defines, in its order."""
    # A class may have a second, old name.
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and (attrs.has(value) or issubclass(value, msgspec.Struct))
        and value.__module__ == module.__name__
        and value.__name__ == name
        and name in module.__all__
    ]


def public(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """The exported names of a module in the order of their definition."""
    names: list[str] = list(module.__all__)
    return ((name, value) for name, value in vars(module).items() if name in names)


def field_names(cls: type) -> list[str]:
    """The fields of a class of values, whichever library made it."""
    if issubclass(cls, msgspec.Struct):
        return list(cls.__struct_fields__)
    return [field.name for field in attrs.fields(cls)]


def annotation(cls: type, name: str) -> str:
    for base in cls.__mro__:
        if name in vars(base).get("__annotations__", {}):
            return " ".join(str(base.__annotations__[name]).split())
    raise LookupError(f"{cls.__name__} has no annotation for {name}")


# Fields.


def struct_table(cls: type) -> str:
    """The fields of a msgspec class as they stand on the wire."""
    rows = []
    for field in msgspec.structs.fields(cls):
        if field.name == "event_id" and issubclass(cls, Event):
            continue
        name = f"`{field.encode_name}`"
        if field.name != field.encode_name:
            name += f" (`{field.name}`)"
        rows.append(
            f"| {name} | {type_cell(cls, field.name)} | {struct_default(field)} |"
        )
    return table("| field | type | default |", rows) if rows else "No fields."


def struct_default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    if field.default is msgspec.UNSET:
        return "left out"
    return f"`{field.default!r}`"


def value_table(cls: type) -> str:
    """The fields of a node of the state, or of the result of a selector."""
    rows = [
        f"| `{name}` | {type_cell(cls, name)} | {first_value(default)} |"
        for name, default in defaults(cls)
    ]
    return table("| field | type | at first |", rows)


def defaults(cls: type) -> list[tuple[str, Any]]:
    """Each field with its default; `attrs.NOTHING` for a required field."""
    if not issubclass(cls, msgspec.Struct):
        return [(field.name, field.default) for field in attrs.fields(cls)]
    return [
        (field.name, attrs.NOTHING if field.required else field.default)
        for field in msgspec.structs.fields(cls)
    ]


def first_value(default: Any) -> str:
    if default is attrs.NOTHING:
        return ""
    if isinstance(default, enum.Enum):
        return f"`{default.value}`"
    if default is msgspec.UNSET:
        return "left out"
    if isinstance(default, msgspec.Struct) and type(default) not in nodes():
        return f"`{default!r}`"
    if isinstance(default, str | int | float | bool | tuple | None):
        return f"`{default!r}`"
    return "empty"


def type_cell(cls: type, name: str) -> str:
    """The type as the source says it, with a link for each class that has a place."""
    text = annotation(cls, name)
    known = places(cls.__module__.startswith("duologue.core.events"))
    links = [
        f"[{word}]({known[word]})"
        for word in dict.fromkeys(re.findall(r"\w+", text))
        if word in known and word != cls.__name__
    ]
    return f"{code(text)} → {', '.join(links)}" if links else code(text)


@cache
def places(on_the_wire: bool) -> dict[str, str]:
    """Where a class is described, by its name, which can mean one of the state too."""
    wire = {
        name: f"objects.md#{anchor(name)}"
        for module in OBJECTS
        for name in [*(cls.__name__ for cls in structs(module)), *choices(module)]
    }
    held = {
        cls.__name__: f"state.md#{anchor(cls.__name__)}"
        for cls in [*nodes(), SessionStatus, SessionKind]
    }
    held |= {name: f"core.md#{anchor(name)}" for name in ELSEWHERE}
    held |= {"Prices": "selectors.md#prices"}
    held |= {"CallState": "selectors.md#callstate"}
    return held | wire if on_the_wire else wire | held


# Docstrings and comments.


def own_doc(cls: type) -> str:
    text = vars(cls).get("__doc__")
    return inspect.cleandoc(text) if text else ""


def says(thing: object) -> str:
    """The docstring as Markdown; a mistake where there is none."""
    text = inspect.getdoc(thing) if not isinstance(thing, type) else own_doc(thing)
    assert text, f"{thing!r} has no docstring"
    return markdown(text)


def comment_above(module: types.ModuleType, name: str) -> str:
    """The ``#:`` comment on top of a name's first line."""
    return comments_of(inspect.getsource(module), name)


def member_comments(cls: type[enum.Enum]) -> dict[str, str]:
    """The ``#:`` comments of an enum's members."""
    source = inspect.getsource(cls)
    return {member.name: comments_of(source, member.name) for member in cls}


def comments_of(source: str, name: str) -> str:
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        target = assigned(node)
        if target is not None and target.id == name:
            above: list[str] = []
            for line in reversed(lines[: target.lineno - 1]):
                if not line.strip().startswith("#:"):
                    break
                above.append(line.strip()[2:].strip())
            return markdown(" ".join(reversed(above)))
    raise LookupError(name)


def assigned(node: ast.AST) -> ast.Name | None:
    """The name that a statement sets."""
    if isinstance(node, ast.Assign):
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return None
    return target if isinstance(target, ast.Name) else None


def module_says(module: str) -> str:
    return says(event_module(module))


def tag_line(cls: type) -> str:
    """The type by which an object is told from the others that can stand there."""
    config = cls.__struct_config__  # type: ignore[attr-defined]
    return f"`{config.tag_field}` is `{config.tag}`." if config.tag else ""


# Diagrams.


def diagram(transitions: Mapping[tuple[str, str], str]) -> str:
    """The transitions as Mermaid draws them, one arrow for each pair of states."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, trigger), after in transitions.items():
        label = trigger.removeprefix("duologue.")
        arrows.setdefault((plain(before), plain(after)), []).append(label)
    targets = {after for _, after in arrows}
    sources = list(dict.fromkeys(before for before, _ in arrows))
    initial = [state for state in sources if state not in targets]
    # What connects again comes back to where it began.
    begin = (initial or [SessionStatus.CONNECTING.value])[0]
    lines = [f"    [*] --> {begin}"]
    lines += [
        f"    {before} --> {after}: {', '.join(labels)}"
        for (before, after), labels in arrows.items()
    ]
    lines += [f"    {end} --> [*]" for end in sorted(targets - set(sources))]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])
