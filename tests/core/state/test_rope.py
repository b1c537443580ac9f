"""Ropes: constant time to append, one join to read, equality by text."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.state.rope import EMPTY_ROPE, Rope


def grown(pieces: list[str]) -> Rope:
    text = EMPTY_ROPE
    for piece in pieces:
        text = text.append(piece)
    return text


@given(st.lists(st.text()))
def test_it_reads_as_the_join(pieces: list[str]) -> None:
    """The string is all pieces in the order in which they came."""
    text = grown(pieces)

    assert "".join(pieces) == str(text) == text
    assert [p for p in pieces if p] == text.chunks()
    assert bool("".join(pieces)) is bool(text)


@given(st.lists(st.text()), st.lists(st.text()))
def test_equality_is_of_the_text(one: list[str], two: list[str]) -> None:
    """How it came in pieces does not count."""
    same = "".join(one) == "".join(two)

    assert same is (grown(one) == grown(two))
    assert hash("".join(one)) == hash(grown(one))


@given(st.lists(st.text(min_size=1)), st.lists(st.text(min_size=1)))
def test_since_gives_what_was_added(one: list[str], two: list[str]) -> None:
    """Of a text that grew from another, the pieces that it grew by."""
    earlier = grown(one)
    later = earlier
    for piece in two:
        later = later.append(piece)

    assert two == later.since(earlier)


def test_since_of_a_stranger() -> None:
    """A text that did not grow from the other has no answer."""
    assert Rope("a").since(Rope("b")) is None


def test_appending_changes_no_earlier_text() -> None:
    """Two texts can grow from one."""
    text = Rope("a")

    assert [
        str(text),
        str(text.append("b")),
        str(text.append("c")),
    ] == ["a", "ab", "ac"]


def test_appending_nothing() -> None:
    """It stays the same object."""
    text = Rope("a")

    assert text is text.append("")
    assert EMPTY_ROPE is EMPTY_ROPE.append("")


def test_it_has_no_other_attributes() -> None:
    """It takes no other attributes."""
    text: Any = Rope("a")
    with pytest.raises(AttributeError):
        text.note = None


def test_it_equals_no_other_thing() -> None:
    """Only texts and strings."""
    assert Rope("1") != 1
    assert repr(Rope("a")) == "Rope('a')"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_a_million_pieces(copied: Any) -> None:
    """It is read, copied, compared and thrown away without recursion."""
    text = grown(["ab"] * 200_000)

    assert len(str(text)) == 400_000
    assert text == copied(text)
    del text
    gc.collect()


def test_since_where_one_of_them_is_empty() -> None:
    """Every text has grown from nothing, and nothing has grown from a text."""
    assert grown(["a", "b"]).since(Rope("")) == ["a", "b"]
    assert Rope("").since(Rope("a")) is None
