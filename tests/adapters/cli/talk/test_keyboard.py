"""Keys are edited to lines; lines are read from files and pipes."""

from __future__ import annotations

import os

import pytest

from duologue.adapters.cli.talk.keyboard import LineEditor, read_lines


@pytest.mark.parametrize(
    ("keys", "lines", "left"),
    [
        ("hello\r", ["hello"], ""),
        ("one\ntwo\nthr", ["one", "two"], "thr"),
        ("helo\x7flo\r", ["hello"], ""),
        ("\x7f\x08a", [], "a"),
        ("no\x15yes", [], "yes"),
        ("say these words\x17", [], "say these "),
        ("one\x17", [], ""),
        ("a\x1b[Db\x1b[1;5Cc\x1bOAd\x1bxe", [], "abcde"),
        ("a\x1b\x1b[Db", [], "ab"),
        ("ä\x01\x07日\t.", [], "ä日\t."),
        ("a\x04b", [], "ab"),
    ],
)
def test_keys_make_lines(keys: str, lines: list[str], left: str) -> None:
    """Keys delete a character, a word or the line; others are ignored."""
    editor = LineEditor()
    assert (editor.feed(keys), editor.text, editor.ended) == (lines, left, False)


def test_keys_may_arrive_one_by_one() -> None:
    """An escape sequence may arrive in pieces."""
    editor = LineEditor()
    assert [line for key in "a\x1b[200~b\r" for line in editor.feed(key)] == ["ab"]


def test_ctrl_d_ends_the_input_on_an_empty_line() -> None:
    editor = LineEditor()
    editor.feed("hello\x04")
    assert not editor.ended
    editor.feed("\x15\x04")
    assert editor.ended


async def test_lines_of_a_pipe() -> None:
    """In pieces of any size; the last line needs no line break."""
    reading, writing = os.pipe()
    for data in (b"one\ntw", b"o\n\n\xff", b"three"):
        os.write(writing, data)
    os.close(writing)
    try:
        lines = [line async for line in read_lines(reading)]
    finally:
        os.close(reading)
    assert lines == ["one", "two", "", "\ufffdthree"]
