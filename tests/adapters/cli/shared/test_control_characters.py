"""Foreign text loses its control characters and nothing else."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.adapters.cli.shared.control_characters import (
    json_line,
    single_line,
    strip_controls,
)

#: Unicode's Bidi_Control.
BIDI = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F))} | {
    *map(chr, range(0x2066, 0x206A))
}
#: Texts in which escape sequences are likely.
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
def test_sequences_and_controls_are_removed(text: str, left: str) -> None:
    """Complete sequences are removed; an unterminated string loses only its start."""
    assert strip_controls(text) == left


@given(texts)
def test_no_control_character_is_left(text: str) -> None:
    """Except tab and line feed; and no Bidi_Control character."""
    left = strip_controls(text)
    assert not [
        sign
        for sign in left
        if (unicodedata.category(sign) == "Cc" and sign not in "\t\n") or sign in BIDI
    ]
    assert strip_controls(left) == left


@given(st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"])))
def test_all_other_characters_stay(text: str) -> None:
    assert strip_controls(text) == "".join(sign for sign in text if sign not in BIDI)


@pytest.mark.parametrize("piece", ["\x9d", "\x1b]", "\x1b[", "\x9b0", "\x1b] "])
def test_the_time_is_linear_in_the_length(piece: str) -> None:
    """Also for text that is made to slow down a regular expression."""
    began = time.process_time()
    strip_controls(piece * 100_000)
    assert time.process_time() - began < 2.0


@given(texts.filter(lambda text: not any("\ud800" <= x <= "\udfff" for x in text)))
def test_a_json_line_keeps_its_values(text: str) -> None:
    """It is one line without control characters."""
    line = json_line({"text": text})
    assert strip_controls(line) == line
    assert line.count("\n") == 1
    assert json.loads(line) == {"text": text}


def test_text_on_a_single_line() -> None:
    assert single_line("a\nb\tc\r\nd\x1b]0;title\x07") == "a b c d"
