#!/usr/bin/env python3
"""Write `docs/reference/` from the code, or check that it is up to date.

    scripts/reference.py            write the pages
    scripts/reference.py --check    change nothing; fail where a page differs

Names, fields, types and defaults are read from the classes, words from docstrings and
``#:`` comments, handlers and transitions from the tables of the reducer. The same code
gives the same bytes.
"""

from __future__ import annotations

import argparse
import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from api_pages import core_page, function_entry, testing_page
from folder_map import with_map
from introspection import (
    CATALOGUE,
    OBJECTS,
    choices,
    classes,
    comment_above,
    defined,
    diagram,
    home,
    is_second,
    kinds,
    member_comments,
    module_says,
    nodes,
    places,
    public,
    says,
    struct_table,
    structs,
    tag,
    tag_line,
    tree,
    value_table,
    wire_events,
)
from public_pages import PUBLIC, public_pages
from rendering import anchor, code, join, plain, table

from duologue.core import CallState, events, prices, selectors
from duologue.core import react as react_function
from duologue.core.effects import commands
from duologue.core.events.base import (
    ClientEvent,
    Event,
    LocalEvent,
    Malformed,
    ServerEvent,
    Unknown,
)
from duologue.core.events.types import (
    LocalEventType,
    RealtimeEventType,
    SessionKind,
    SessionStatus,
)
from duologue.core.reducer.dispatch import HANDLERS
from duologue.core.state import model as state
from duologue.core.state import transitions
from duologue.core.store import SLICES
from duologue.core.views import notices

TOP = Path(__file__).resolve().parents[1]
PAGES = TOP / "docs" / "reference"
ARCHITECTURE = TOP / "docs" / "architecture.md"
NOTE = "<!-- Made by `make docs` from the code. Changes here are lost. -->\n\n"


def main(argv: list[str] | None = None) -> int:
    """Write or check; 0 where all is well."""
    parser = argparse.ArgumentParser(description="Write docs/reference/ from the code.")
    parser.add_argument("--check", action="store_true", help="change nothing, compare")
    parser.add_argument("--to", type=Path, default=PAGES, help="another folder")
    options = parser.parse_args(argv)
    made = {name: NOTE + text for name, text in pages().items()}
    folder: Path = options.to
    if options.check:
        stale = list(differences(folder, made))
        page = ARCHITECTURE.read_text(encoding="utf-8")
        if page != with_map(page, TOP):
            stale.append("architecture.md is not what the folders say")
        for line in stale:
            print(f"{line}; run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    if folder == PAGES:
        page = ARCHITECTURE.read_text(encoding="utf-8")
        ARCHITECTURE.write_text(with_map(page, TOP), encoding="utf-8")
    return 0


def differences(folder: Path, made: Mapping[str, str]) -> Iterator[str]:
    """One line for each page of the folder that differs."""
    there = {path.name for path in folder.glob("*.md")}
    for name in sorted(there | set(made)):
        if name not in made:
            yield f"{name} is not made any more"
        elif name not in there:
            yield f"{name} is missing"
        elif (folder / name).read_text(encoding="utf-8") != made[name]:
            yield f"{name} is not what the code says"


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {
        "index.md": index_page(),
        "core.md": core_page(),
        "testing.md": testing_page(),
        "events.md": events_page(),
        "objects.md": objects_page(),
        "facts.md": facts_page(),
        "state.md": state_page(),
        "transitions.md": transitions_page(),
        "client-events.md": client_events_page(),
        "selectors.md": selectors_page(),
        "notices.md": notices_page(),
        **public_pages(),
    }


# Pages.


def index_page() -> str:
    wire = list(wire_events())
    entries = [
        ("core.md", "store, records and logs, snapshots, views, errors"),
        ("events.md", f"{len(wire)} classes for {len(RealtimeEventType)} wire types"),
        ("objects.md", "objects inside events: items, parts, configuration"),
        ("facts.md", f"{len(LocalEventType)} facts that no wire carries"),
        ("state.md", "every node of the state"),
        ("transitions.md", "connection, response and item, as diagrams and tables"),
        ("client-events.md", "functions that build client events"),
        ("selectors.md", "functions that read a session"),
        ("notices.md", "notices of an emitter"),
        ("testing.md", "streams and checks for tests"),
        *(
            (name, f"`{modules[0]}` and its like")
            for name, (_, modules) in PUBLIC.items()
        ),
    ]
    lines = [
        f"- [{link.removesuffix('.md')}]({link}): {says}" for link, says in entries
    ]
    return join(
        "# Reference",
        "Generated by `make docs` from the code; `make check` compares them.",
        "\n".join(lines),
    )


def events_page() -> str:
    parts = [
        "# Events",
        "One frozen class for every type on the wire, in `duologue.core.events`.",
        "How to read the entries:",
        "\n".join(
            [
                "- *received* events come from the service, *sent* events go to it.",
                "- *translation* is an event of translation sessions. If another event",
                "  has the same name, that event lists its kinds of sessions.",
                "- *Handled by* is the function that folds the event into the state. A",
                "  *counted* event changes only the counters.",
                "- The tables omit `event_id`. Each event may have one.",
                "- [The rules](../rules.md#late-malformed-unknown) define the handling",
                "  of missing required fields and wrong types.",
            ]
        ),
    ]
    for module, title in CATALOGUE.items():
        parts += [f"## {title}", module_says(module)]
        parts += [event_entry(cls) for cls in wire_events() if home(cls) == module]
    parts += [
        "## Other frames",
        "The results of decoding any other frame.",
    ]
    parts += [
        join(f"### {cls.__name__}", says(cls), struct_table(cls))
        for cls in (Unknown, Malformed)
    ]
    return join(*parts)


def facts_page() -> str:
    parts = [
        "# Local facts",
        "Events that no wire carries. Each is a record with "
        '`dir` `"local"` in the same log as the frames.',
    ]
    return join(*parts, *(event_entry(cls) for cls in LocalEvent.__subclasses__()))


def objects_page() -> str:
    parts = [
        "# Objects inside events",
        "A *left out* field is on the wire only if it is set. `None` is sent as null "
        "if the type allows it.",
    ]
    for module, title in OBJECTS.items():
        parts += [f"## {title}", module_says(module)]
        parts += [
            join(f"### {cls.__name__}", says(cls), tag_line(cls), struct_table(cls))
            for cls in structs(module)
        ]
        parts += [
            join(f"### {name}", "One of these:", "\n".join(map(choice_line, classes_)))
            for name, classes_ in choices(module).items()
        ]
    return join(*parts)


def choice_line(cls: object) -> str:
    name = getattr(cls, "__name__", str(cls))
    place = places(True).get(name)
    return f"- [{name}]({place})" if place else f"- `{name}`"


def state_page() -> str:
    names = list(state.Session.__struct_fields__)
    parts = [
        "# The state",
        says(state),
        "The nodes of a session are the slices that `Store.subscribe` and "
        f"`Store.cursor` know: {', '.join(f'`{name}`' for name in SLICES)}.",
        f"## From the top\n\n```\n{tree()}\n```",
        "## Nodes",
    ]
    assert names[1:] == list(SLICES)
    parts += [node_entry(cls) for cls in nodes()]
    parts += ["## Words", *map(enum_entry, (SessionStatus, SessionKind))]
    return join(*parts)


def transitions_page() -> str:
    prose = re.split(r"\n\n(?=\*\*)", says(transitions))
    by_name = {text[2:].partition(".**")[0]: text for text in prose[1:]}
    parts = ["# Transitions", prose[0]]
    tables: list[tuple[str, Mapping[Any, Any]]] = [
        ("Connection", transitions.CONNECTION),
        ("Response", transitions.RESPONSE),
        ("Item", transitions.ITEM),
    ]
    for title, moves in tables:
        text = by_name.get(title, "").partition("\n\nThe diagrams")[0]
        text = text.removeprefix(f"**{title}.** ")
        note = comment_above(transitions, title.upper())
        parts += [f"## {title}", text, note, diagram(moves)]
        rows = [
            f"| `{plain(before)}` | `{trigger}` | `{plain(after)}` |"
            for (before, trigger), after in moves.items()
        ]
        parts.append(table("| state | trigger | next |", rows))
    return join(*parts)


def client_events_page() -> str:
    found = [
        value
        for _, value in public(commands)
        if inspect.isfunction(value) and builds(value) is not None
    ]
    parts = [
        "# Client events and commands",
        "Functions of `duologue.core.commands`. They build an event and send nothing: "
        "`LiveSession.send_event` does, or a transport of your own with `encode`.",
        *(builder_entry(function) for function in found),
        "## Commands",
        "The results of `react`: the actions that follow from a record. `Command` "
        f"is `{defined(commands, 'Command')}`.",
    ]
    parts += [
        join(f"### {cls.__name__}", says(cls), value_table(cls))
        for cls in classes(commands)
    ]
    parts += ["## Reactions", says(sys.modules[react_function.__module__])]
    parts.append(function_entry(react_function))
    others = [
        value
        for _, value in public(commands)
        if inspect.isfunction(value) and value not in found
    ]
    parts += ["## Helpers", *map(function_entry, others)]
    return join(*parts)


def selectors_page() -> str:
    exported = [value for _, value in public(selectors)]
    chosen = [value for value in exported if inspect.isfunction(value)]
    made = [value for value in exported if attrs.has(value)]
    return join(
        "# Selectors",
        says(selectors),
        *map(function_entry, chosen),
        "## What they give",
        "The other types are nodes of the [state](state.md).",
        *(join(f"### {cls.__name__}", says(cls), value_table(cls)) for cls in made),
        enum_entry(CallState),
        "## Prices",
        says(prices),
        f"Last looked at: {prices.AS_OF}.",
        table("| model | modality | input | cached | output |", price_rows()),
    )


def price_rows() -> list[str]:
    """A line for each model and modality of the price table."""
    rows = []
    for model, price in prices.PRICES.items():
        if isinstance(price, str):
            rows.append(f"| `{model}` | as `{price}` | | | |")
            continue
        for modality, rates in price.items():
            cells = [
                f"{rates[kind]:.2f}" if kind in rates else ""
                for kind in ("input", "cached", "output")
            ]
            rows.append(f"| `{model}` | {modality} | {' | '.join(cells)} |")
    return rows


def notices_page() -> str:
    rows = []
    for name, what in notices.NAMES.items():
        arguments, _, meaning = what.partition("): ")
        arguments = arguments.removesuffix(")")[1:]
        rows.append(f"| `{name}` | {code(arguments)} | {meaning} |")
    return join(
        "# Notices",
        says(notices),
        "`LiveSession.on(name, function)` calls the function with these arguments.",
        table("| name | arguments | |", rows),
    )


# Entries.


def event_entry(cls: type[Event]) -> str:
    """One event: meaning, direction, handler and fields."""
    handler = HANDLERS.get(cls)
    facts = [f"`{cls.__name__}`"]
    if not issubclass(cls, LocalEvent):
        facts.append("sent" if issubclass(cls, ClientEvent) else "received")
        facts.append(kinds(cls))
    if handler is not None:
        facts.append(f"handled by {handler_link(handler)}")
    else:
        facts.append("handled by `reduce`" if cls is events.Forgotten else "counted")
    title = f"### {tag(cls)}"
    if issubclass(cls, ServerEvent | ClientEvent) and is_second(cls):
        title += " (translation)"
    return join(title, says(cls), " · ".join(filter(None, facts)), struct_table(cls))


def handler_link(handler: Callable[..., Any]) -> str:
    """A function of the core, named by its module, with a link to its file."""
    module = inspect.unwrap(handler).__module__
    name = inspect.unwrap(handler).__name__
    path = Path(inspect.getfile(inspect.unwrap(handler))).resolve()
    short = module.removeprefix("duologue.core.")
    return f"[`{short}.{name}`](../../{path.relative_to(TOP).as_posix()})"


def node_entry(cls: type) -> str:
    return join(f"### {cls.__name__}", says(cls), value_table(cls))


def enum_entry(cls: type[enum.Enum]) -> str:
    notes = member_comments(cls)
    rows = [f"| `{m.value}` | {notes.get(m.name, '')} |" for m in cls]
    return join(f"### {cls.__name__}", says(cls), table("| value | |", rows))


def builder_entry(function: Callable[..., Any]) -> str:
    made = builds(function)
    line = ""
    if isinstance(made, type):
        kind = " (translation)" if is_second(made) else ""
        link = anchor(f"{tag(made)}{kind}")
        line = f"Makes [`{tag(made)}`](events.md#{link})."
    return join(function_entry(function), line)


def builds(function: Callable[..., Any]) -> object:
    """The event class that a function is said to give; None for another function."""
    hint = inspect.signature(function).return_annotation
    if isinstance(hint, str) and hint.startswith("events."):
        return getattr(events, hint.removeprefix("events."), None)
    return "several" if hint == "tuple[ClientEvent, ...]" else None


if __name__ == "__main__":
    sys.exit(main())
