"""Each command has help, and the page names all of its options."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from duologue.adapters.cli.app import app

PAGE = (Path(__file__).parents[3] / "docs/commands.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]

each_command = pytest.mark.parametrize("name", sorted(COMMANDS))


@each_command
def test_help_describes_the_command(command: Callable[..., Any], name: str) -> None:
    """``--help`` has a sentence for the command and for each option."""
    outcome = command(name, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"Usage: duologue {name}" in outcome.out.replace(
        "python -m pytest.duologue", "duologue"
    )
    assert COMMANDS[name].help.strip().splitlines()[0].endswith(".")
    without_help = [each.name for each in COMMANDS[name].params if not each.help]
    assert without_help == []


@each_command
def test_the_page_names_every_option(name: str) -> None:
    """In the section of the command."""
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))
    options = {
        option
        for each in COMMANDS[name].params
        for option in each.opts
        if option.startswith("--")
    }
    missing = {option for option in options if option not in sections.get(name, "")}
    assert missing == set()
