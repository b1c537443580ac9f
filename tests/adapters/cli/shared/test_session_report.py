"""The text of a transcript line, also of an interrupted one."""

from __future__ import annotations

import pytest

from duologue.adapters.cli.shared.session_report import words_of
from duologue.core import Transcript


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ("one two", "one two [interrupted after 420 ms, not heard: three]"),
        # The service's text begins with a space, the transcript is stripped.
        (" one two", "one two [interrupted after 420 ms, not heard: three]"),
        ("", "[interrupted after 420 ms, not heard: one two three]"),
        ("one two three", "one two three [interrupted after 420 ms]"),
        (None, "one two three [interrupted after 420 ms]"),
    ],
)
def test_an_interrupted_line(heard: str | None, words: str) -> None:
    """If the heard part is unknown, nothing is marked as not heard."""
    line = Transcript("i", "assistant", "one two three", True, 420, heard)
    assert words_of(line).plain == words


def test_a_line_without_words() -> None:
    """In the summary, and on the screen, where text may still arrive."""
    line = Transcript("i", "user", "", False)
    assert words_of(line).plain == "(spoken, no words)"
    assert words_of(line, empty="…").plain == "…"


def test_a_long_line_keeps_its_end() -> None:
    line = Transcript("i", "assistant", "one two three", True, 420, "one two")
    assert words_of(line, room=8).plain == (
        "wo [interrupted after 420 ms, not heard: three]"
    )
    assert words_of(line, room=3).plain == "[interrupted after 420 ms, not heard: ree]"
    assert words_of(Transcript("i", "user", "one two", True), room=3).plain == "two"
