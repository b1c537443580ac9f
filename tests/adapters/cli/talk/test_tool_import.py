"""``--tools`` imports functions, tools and lists of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from duologue.adapters.cli.talk.tool_import import load_tools
from duologue.core import DuologueError
from duologue.core.events import McpToolServer
from duologue.transports import Tool

MODULE = """
from duologue.core.events import McpToolServer
from duologue.transports import tool

def weather(city: str) -> str:
    return city

def no_names(*cities): ...

async def later(): ...

weather_too = tool(weather, name="weather_too")
server = McpToolServer(server_label="maps", server_url="https://x.test")
several = [weather, weather_too, later, server]
twice = (weather, weather)
mixed = [weather, 3]
number = 3
class Registry:
    @staticmethod
    def look() -> str: ...
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two modules in the current folder: one with tools, one that raises."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "talk_tools.py").write_text(MODULE)
    (tmp_path / "broken_tools.py").write_text("1 / 0")
    yield
    for name in ("talk_tools", "broken_tools"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("weather", ["weather"]),
        ("weather_too", ["weather_too"]),
        ("several", ["weather", "weather_too", "later", "maps"]),
    ],
)
def test_tools_are_found_in_the_current_folder(
    modules: None, name: str, names: list[str]
) -> None:
    """A function, a `Tool`, or a list of them and of MCP servers."""
    found = load_tools(f"talk_tools:{name}")
    assert names == [
        one.server_label if isinstance(one, McpToolServer) else one.name
        for one in found
    ]


def test_an_object_within_an_object(modules: None) -> None:
    """The object may have dots."""
    (found,) = load_tools("talk_tools:Registry.look")
    assert isinstance(found, Tool)
    assert found.name == "look"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("weather", "must be module:object"),
        (":weather", "must be module:object"),
        ("talk_tools:", "must be module:object"),
        ("no_such:x", "cannot be imported: ModuleNotFoundError: No module named"),
        ("broken_tools:x", "cannot be imported: ZeroDivisionError: division by zero"),
        ("talk_tools:x", "there is no x in talk_tools"),
        ("talk_tools:weather.x", "there is no x in talk_tools"),
        ("talk_tools:number", "int is not a tool; give a function or a list of them"),
        ("talk_tools:mixed", "int is not a tool; give a function or a list of them"),
        ("talk_tools:no_names", "no_names: *cities cannot be passed by name"),
        ("talk_tools:twice", "there are two tools 'weather'"),
    ],
)
def test_an_invalid_tool_is_named(modules: None, name: str, why: str) -> None:
    with pytest.raises(DuologueError) as caught:
        load_tools(name)
    assert str(caught.value).startswith(f"--tools {name}: {why}")
