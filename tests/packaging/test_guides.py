"""The names in the guides exist: examples, names, checks and problems."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import attrs
import pytest

import duologue.adapters.audio
import duologue.core
import duologue.local
import duologue.transports
from duologue.adapters.cli.doctor import machine_checks as checks
from duologue.adapters.cli.doctor import service_checks as doctor_service
from duologue.core.views.notices import NAMES
from duologue.core.wire.legacy import FORMATS, RENAMED, RETIRED
from duologue.transports import Client, EphemeralKeys, LiveSession

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of each table, headers included."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            # A bar inside code separates no cells.
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# The tutorial.


def test_the_tutorial_shows_the_file_of_the_first_app() -> None:
    """The app has at most thirty lines."""
    code = (TOP / "examples" / "first_app.py").read_text(encoding="utf-8")
    assert f"```python\n{code}```" in page("tutorial.md")
    assert len(code.splitlines()) <= 30


# Coming from older guides.


def named(column: str) -> list[tuple[str, str]]:
    """The section and each code name in the columns with this header."""
    found: list[tuple[str, str]] = []
    for section in re.split(r"^## ", page("coming-from.md"), flags=re.MULTILINE)[1:]:
        at: int | None = None
        for cells in rows(section):
            heads = [n for n, cell in enumerate(cells) if cell.startswith(column)]
            if heads:
                at = heads[0]
            elif at is not None:
                found += [(section.partition("\n")[0], s) for s in spans(cells[at])]
    return found


def known_names() -> dict[str, Any]:
    """The objects that the first word of a code span may name."""
    names: dict[str, Any] = dict.fromkeys(NAMES)
    for callable_ in (Client, Client.start_session, EphemeralKeys):
        names |= dict.fromkeys(inspect.signature(callable_).parameters)
    names |= dict.fromkeys(["DUOLOGUE_MODEL", "OPENAI_BASE_URL"])
    for holder in (LiveSession, Client):
        names |= {n: v for n, v in vars(holder).items() if not n.startswith("_")}
    names |= dict.fromkeys(f.name for f in attrs.fields(duologue.core.SessionConfig))
    for module in (
        duologue.local,
        duologue.adapters.audio,
        duologue.transports,
        duologue.core,
    ):
        names |= {name: getattr(module, name) for name in module.__all__}
    return names


def test_every_name_that_is_to_be_ours_is() -> None:
    known = known_names()
    unknown = []
    for section, span in named("here"):
        first, *rest = span.partition("=")[0].split(".")
        try:
            reduce(getattr, rest, known[first])
        except (KeyError, AttributeError):
            unknown.append(f"{section}: {span}")
    assert unknown == []
    assert len(named("here")) > 100


def test_every_name_that_is_to_be_of_the_page_is() -> None:
    """Each is a member, an option or a command of the JavaScript."""
    static = TOP / "adapters/duologue/adapters/web/static"
    code = "\n".join(path.read_text(encoding="utf-8") for path in static.glob("*.js"))
    members = set(re.findall(r"\b\w+\b", code))
    here = [span for _, span in named("in a page")]
    assert [span for span in here if span not in members] == []
    assert {"onView", "create", "call", "update"} <= set(here)


@pytest.mark.parametrize("name", sorted({*RENAMED, *RETIRED, *FORMATS}))
def test_each_retired_name_has_its_row(name: str) -> None:
    """Both the names accepted on input and the rejected names."""
    beside = RENAMED.get(name, "")
    lines = [" | ".join(cells) for cells in rows(page("coming-from.md"))]
    assert [line for line in lines if name in line and beside in line]


# Troubleshooting.


def shown_by(kind: str) -> set[str]:
    """The names of this kind on the page: doctor, problem or code."""
    text = page("troubleshooting.md")
    return {
        span.removeprefix(f"{kind}: ")
        for span in spans(text)
        if span.startswith(f"{kind}: ")
    }


def literals(*folders: str) -> set[str]:
    """All string literals of the code."""
    return {
        node.value
        for folder in folders
        for path in (TOP / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def checks_of_doctor() -> set[str]:
    """The names of all checks."""
    names = {f"extra {extra}" for extra in checks._EXTRAS}
    names |= {f"local {carrier}" for carrier in doctor_service._CARRIERS}
    for module in (checks, doctor_service):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    return names


def problems() -> set[str]:
    """The kinds of problems, and the failure reasons of responses."""
    from duologue.core.reducer.responses import _PROBLEMS

    kinds = set(_PROBLEMS.values())
    for path in (TOP / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem":
                kind = node.args[0]
                if isinstance(kind, ast.Constant):
                    kinds.add(str(kind.value))
    return kinds


def test_every_check_that_the_page_names_is_one_of_the_doctor() -> None:
    assert shown_by("doctor") - checks_of_doctor() == set()
    assert shown_by("doctor") >= {"key", "reach", "live", "microphone", "local webrtc"}


def test_the_page_names_every_kind_of_problem_and_no_other() -> None:
    assert shown_by("problem") == problems()


def test_every_code_that_the_page_names_is_one_that_the_service_gives() -> None:
    assert shown_by("code") - literals("local") == set()
    assert shown_by("code") >= {"session_expired", "beta_api_shape_disabled"}


def test_every_name_in_the_shown_by_column_is_there() -> None:
    """Each name of a selector, an error or a transcript exists."""
    public = {*duologue.core.__all__, *duologue.transports.__all__}
    cells = [row[-2] for row in rows(page("troubleshooting.md")) if len(row) == 3]
    named = {
        span.partition(".")[0].partition("(")[0]
        for cell in cells
        for span in spans(cell)
        if re.match(r"(select_\w+|[A-Z]\w+)(\.|\(|$)", span)
    }
    audio = set(duologue.adapters.audio.__all__)
    assert named - public - audio - set(dir(duologue.core.events)) == set()
    assert "select_turns" in named
