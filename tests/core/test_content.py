"""The rules of text, on one item."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from duologue.core import Item, events
from duologue.core.reducer.content import (
    MAX_PARTS,
    close_part,
    estimate_heard,
    grow_audio,
    grow_text,
    merge_content,
    settle,
)
from duologue.core.state import Part, Session
from duologue.core.text import Text


def delta(item: Item, index: int, type: str, text: str) -> Item | None:
    """The item after a delta; None if it came too late."""
    session = Session("s", items=Map({item.id: item}))
    after = grow_text(session, item, index, type, text)
    return None if after is None else after.items[item.id]


def said(text: str, audio: int = 0, status: str = "completed") -> Item:
    part = Part("output_audio", Text(text), True, audio)
    return Item("a", role="assistant", status=status, parts=(part,))


@pytest.mark.parametrize(
    ("item", "ms", "expected"),
    [
        # One second of audio, 10 of 20 characters after half of it.
        (said("abcd fghi klmn pqrst", 48_000), 500, "abcd fghi"),
        (said("abcd fghi klmn pqrst", 48_000), 999, "abcd fghi klmn"),
        (said("abcd fghi klmn pqrst", 48_000), 1000, "abcd fghi klmn pqrst"),
        (said("abcd fghi klmn pqrst", 48_000), 9000, "abcd fghi klmn pqrst"),
        (said("abcd fghi klmn pqrst", 48_000), 0, ""),
        # No audio came by here: 15 characters a second.
        (said("abcd fghi klmn pqrst"), 700, "abcd fghi"),
        (said("abcd fghi klmn pqrst"), 9000, "abcd fghi klmn pqrst"),
        # Cut off while it was made: the words ran ahead of the audio.
        (said("abcd fghi klmn pqrst", 9600, "incomplete"), 200, ""),
        (said("abcd fghi klmn pqrst", 9600, "incomplete"), 400, "abcd"),
        (said("word", 48_000), 500, ""),
        (said("今日はいい天気です", 48_000), 500, "今日はい"),
        (said("line\nbreak", 48_000), 700, "line"),
        (said("", 48_000), 500, None),
        (Item("a"), 500, None),
    ],
)
def test_what_was_heard(item: Item, ms: int, expected: str | None) -> None:
    """By its share of the audio, at most at the rate of speech, in whole words."""
    assert expected == estimate_heard(item, ms, 48.0)


@given(st.text(), st.integers(0, 86_400_000), st.integers(0, 10**12), st.booleans())
def test_what_was_heard_is_a_beginning(
    text: str, ms: int, audio: int, complete: bool
) -> None:
    """Whatever the numbers are."""
    item = said(text, audio, "completed" if complete else "incomplete")

    assert text.startswith(estimate_heard(item, ms, 48.0) or "")


def test_parts_may_come_out_of_order() -> None:
    """Those in between are open and of no type, until theirs is known."""
    item = delta(Item("a"), 2, "output_text", "c")
    assert item is not None
    filled = delta(item, 0, "output_audio", "a")
    assert filled is not None

    assert (Part(""), Part(""), Part("output_text", Text("c"))) == item.parts
    assert Part("output_audio", Text("a")) == filled.parts[0]
    assert all(part.final for part in settle(filled).parts)


def test_many_parts_at_most() -> None:
    """An index beyond them is a mistake."""
    item = Item("a")

    assert delta(item, MAX_PARTS, "output_text", "a") is None
    assert item is close_part(item, MAX_PARTS, "output_text", "a")
    assert item is grow_audio(item, MAX_PARTS, 5)
    assert item is grow_audio(item, 0, 0)
    many = tuple(events.OutputTextPart(text="a") for _ in range(MAX_PARTS + 5))
    assert len(merge_content(item, many, done=True, news=True).parts) == MAX_PARTS


def test_an_announcement_seeds_an_empty_part() -> None:
    """Text that a part begins with is its text, unless deltas were faster."""
    part = (events.TextPart(text="seed"),)
    seeded = merge_content(Item("a"), part, done=False, news=False)
    grown = delta(Item("a"), 0, "output_text", "delta")
    assert grown is not None

    assert (Part("output_text", Text("seed")),) == seeded.parts
    assert grown is merge_content(grown, part, done=False, news=False)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (events.InputImagePart(image_url="data:"), Part("input_image", final=True)),
        (events.UnknownPart(name="smell"), Part("smell", final=True)),
        (events.UnknownPart(name="audio"), Part("output_audio", final=True)),
        (events.AudioPart(), Part("output_audio", final=True)),
        (events.InputAudioPart(transcript=""), Part("input_audio")),
        (
            events.InputAudioPart(transcript="a"),
            Part("input_audio", Text("a"), final=True),
        ),
    ],
)
def test_parts_of_a_finished_item(part: object, expected: Part) -> None:
    """All are final but the user's audio, whose words may still come."""
    item = merge_content(Item("a"), (part,), done=True, news=True)

    assert (expected,) == item.parts
    assert item is merge_content(item, (part,), done=True, news=True)
