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
    """The text is the join of all pieces."""
    text = grown(pieces)

    assert "".join(pieces) == str(text) == text
    assert [p for p in pieces if p] == text.chunks()
    assert bool("".join(pieces)) is bool(text)


@given(st.lists(st.text()), st.lists(st.text()))
def test_equality_is_of_the_text(one: list[str], two: list[str]) -> None:
    """Ropes with the same text are equal, whatever their pieces."""
    same = "".join(one) == "".join(two)

    assert same is (grown(one) == grown(two))
    assert hash("".join(one)) == hash(grown(one))


@given(st.lists(st.text(min_size=1)), st.lists(st.text(min_size=1)))
def test_since_gives_what_was_added(one: list[str], two: list[str]) -> None:
    """`since` gives the pieces that were added to an earlier rope."""
    earlier = grown(one)
    later = earlier
    for piece in two:
        later = later.append(piece)

    assert two == later.since(earlier)


def test_since_of_a_stranger() -> None:
    """`since` an unrelated rope is None."""
    assert Rope("a").since(Rope("b")) is None


def test_appending_changes_no_earlier_text() -> None:
    """Appending to a rope does not change it."""
    text = Rope("a")

    assert [
        str(text),
        str(text.append("b")),
        str(text.append("c")),
    ] == ["a", "ab", "ac"]


def test_appending_nothing() -> None:
    """Appending an empty text gives the same object."""
    text = Rope("a")

    assert text is text.append("")
    assert EMPTY_ROPE is EMPTY_ROPE.append("")


def test_it_has_no_other_attributes() -> None:
    """No other attribute can be set."""
    text: Any = Rope("a")
    with pytest.raises(AttributeError):
        text.note = None


def test_it_equals_no_other_thing() -> None:
    """A rope equals only ropes and strings."""
    assert Rope("1") != 1
    assert repr(Rope("a")) == "Rope('a')"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_a_million_pieces(copied: Any) -> None:
    """Many pieces are read, copied, compared and freed without recursion."""
    text = grown(["ab"] * 200_000)

    assert len(str(text)) == 400_000
    assert text == copied(text)
    del text
    gc.collect()


def test_since_where_one_of_them_is_empty() -> None:
    """A rope extends the empty rope, but the empty rope extends none."""
    assert grown(["a", "b"]).since(Rope("")) == ["a", "b"]
    assert Rope("").since(Rope("a")) is None
