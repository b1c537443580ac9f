"""Text of others: what is taken out of it, and what stays."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.adapters.cli.shared.escape import as_line, plain

#: Unicode's Bidi_Control.
BIDI = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F))} | {
    *map(chr, range(0x2066, 0x206A))
}
#: Texts in which what is looked for is likely.
texts = st.text(st.characters() | st.sampled_from("\x1b\x9b\x9d\x9c\x07[]0;mP\\\r\n"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain text, ünïcödé, 日本語, 👩‍🚀", "plain text, ünïcödé, 日本語, 👩‍🚀"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x07", "link"),
        ("\x1bPdcs\x1b\\a\x9dosc\x9cb", "ab"),
        ("\x1b(Ba\x1bcb\x1b7", "ab"),
        ("open \x1b]0;title and more", "open 0;title and more"),
        ("bell\x07 null\x00 delete\x7f", "bell null delete"),
        ("a\u202eb\u2066c\u200fd", "abcd"),
        ("", ""),
    ],
)
def test_what_is_left(text: str, left: str) -> None:
    """Sequences go whole; a string that is never ended loses its beginning alone."""
    assert plain(text) == left


@given(texts)
def test_nothing_that_commands_is_left(text: str) -> None:
    """No control character but tab and line feed, no mark of direction; ever."""
    left = plain(text)
    assert not [
        sign
        for sign in left
        if (unicodedata.category(sign) == "Cc" and sign not in "\t\n") or sign in BIDI
    ]
    assert plain(left) == left


@given(st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"])))
def test_what_commands_nothing_stays(text: str) -> None:
    """All else is what it was."""
    assert plain(text) == "".join(sign for sign in text if sign not in BIDI)


@pytest.mark.parametrize("piece", ["\x9d", "\x1b]", "\x1b[", "\x9b0", "\x1b] "])
def test_it_takes_no_longer_than_the_text_is_long(piece: str) -> None:
    """A text made to keep a regular expression busy does not."""
    began = time.process_time()
    plain(piece * 100_000)
    assert time.process_time() - began < 2.0


@given(texts.filter(lambda text: not any("\ud800" <= x <= "\udfff" for x in text)))
def test_a_line_of_json_says_the_same(text: str) -> None:
    """It is one line, commands nothing, and is read as what it was."""
    line = as_line({"text": text})
    assert plain(line) == line
    assert line.count("\n") == 1
    assert json.loads(line) == {"text": text}
