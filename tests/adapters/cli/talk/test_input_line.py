"""Typed lines name the session that they are for."""

from __future__ import annotations

import pytest

from duologue.adapters.cli.talk.input_line import InputLine, parse_line


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("hello", InputLine(2, "hello")),
        (" /1 hello there\n", InputLine(1, "hello there")),
        ("/3", InputLine(3)),
        ("/focus 1", InputLine(1)),
        ("/focus on it", InputLine(2, "/focus on it")),
        ("1 hello", InputLine(2, "1 hello")),
        (" \n", None),
    ],
)
def test_a_line_for_one_of_several(line: str, parsed: InputLine | None) -> None:
    assert parse_line(line, focus=2, sessions=3) == parsed


@pytest.mark.parametrize("line", ["/0", "/4 hello", "/focus 9"])
def test_an_unknown_session_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"there is no session \d: they are 1 to 3"):
        parse_line(line, focus=1, sessions=3)


def test_a_single_session_gets_each_line_unchanged() -> None:
    assert parse_line("/2 hello\n", focus=1, sessions=1) == InputLine(1, "/2 hello")
