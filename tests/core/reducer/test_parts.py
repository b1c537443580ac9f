"""The rules of text, on one item."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map
from msgspec.structs import replace

from duologue.core import Item, Record, events
from duologue.core.reducer.parts import (
    MAX_PARTS,
    MAX_SEGMENTS,
    add_segment,
    close_part,
    estimate_heard,
    grow_audio,
    grow_text,
    growing,
    merge_content,
    put_item,
    settle,
)
from duologue.core.state.model import Part, Segment, Session
from duologue.core.state.rope import Rope


def delta(item: Item, index: int, type: str, text: str) -> Item | None:
    """The item after a delta; None if it came too late."""
    session = Session("s", items=Map({item.id: item}))
    after = grow_text(session, item, index, type, text)
    return None if after is None else after.items[item.id]


def said(text: str, audio: int = 0, status: str = "completed") -> Item:
    part = Part("output_audio", Rope(text), True, audio)
    return Item("a", role="assistant", status=status, parts=(part,))


def more(part: Part, *others: Part, **fields: Any) -> Session | None:
    """The session after a delta of an item of these parts; None for the long way."""
    item = Item("a", parts=(part, *others))
    session = Session("s", items=Map({"a": item}))
    at: dict[str, Any] = {"item_id": "a", "content_index": 0, "delta": "x", **fields}
    event = events.ResponseOutputTextDelta(response_id="r", output_index=0, **at)
    record = Record(1, "s", "in", event, b"")
    return growing(lambda session, event, record: None)(session, event, record)


def test_words_behind_words_take_a_short_way() -> None:
    """They are appended to the one part of their item, and nothing else changes."""
    said = Part("output_text", Rope("a"), audio_bytes=3)
    after = more(said)

    assert after is not None
    assert after.items["a"].parts == (Part("output_text", Rope("ax"), audio_bytes=3),)
    # All else is for others to look at.
    assert more(said, item_id="unknown") is None
    assert more(said, content_index=1) is None
    assert more(said, said) is None
    assert more(said, delta="") is None
    assert more(replace(said, final=True)) is None
    assert more(Part("output_text")) is None


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

    assert (Part(""), Part(""), Part("output_text", Rope("c"))) == item.parts
    assert Part("output_audio", Rope("a")) == filled.parts[0]
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

    assert (Part("output_text", Rope("seed")),) == seeded.parts
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
            Part("input_audio", Rope("a"), final=True),
        ),
    ],
)
def test_parts_of_a_finished_item(part: object, expected: Part) -> None:
    """All are final but the user's audio, whose words may still come."""
    item = merge_content(Item("a"), (part,), done=True, news=True)

    assert (expected,) == item.parts
    assert item is merge_content(item, (part,), done=True, news=True)


def test_deltas_grow_the_part_that_they_name() -> None:
    """Nothing is nothing new, and a part that is final, or of a tombstone, is over."""
    item = delta(Item("a"), 1, "output_text", "c")
    assert item is not None
    grown = [delta(item, index, "output_text", "d") for index in (0, 1, 2)]

    assert [found and [str(part.text) for part in found.parts] for found in grown] == [
        ["d", "c"],
        ["", "cd"],
        ["", "c", "d"],
    ]
    assert item is delta(item, 1, "output_text", "")
    assert delta(said("whole"), 0, "output_audio", "d") is None
    assert delta(Item("a", status="deleted"), 0, "output_text", "d") is None


def test_audio_is_counted_by_its_part() -> None:
    """Of whatever type it is; nothing but its bytes changes."""
    item = grow_audio(grow_audio(said("words", 480), 0, 20), 1, 5)

    assert item.parts == (
        Part("output_audio", Rope("words"), True, 500),
        Part("output_audio", audio_bytes=5),
    )


def test_segments_of_a_part() -> None:
    """The newest are kept, each once, by its id; a part beyond all reason has none."""
    one, other = Segment("a", "A", 0.0, 1.0, "one"), Segment("b", "B", 1.0, 2.0, "two")
    better = Segment("a", "A", 0.0, 1.0, "won")
    item = add_segment(add_segment(Item("i"), 0, one), 0, other)

    assert item.parts == (Part("input_audio", segments=(one, other)),)
    assert item is add_segment(item, 0, other)
    assert item is add_segment(item, MAX_PARTS, one)
    assert add_segment(item, 0, better).parts[0].segments == (other, better)
    for number in range(MAX_SEGMENTS):
        new = Segment(str(number), "A", 0.0, 1.0, "more")
        item = add_segment(item, 0, new)
    assert [s.id for s in item.parts[0].segments] == [
        str(number) for number in range(MAX_SEGMENTS)
    ]


def test_segments_without_an_id() -> None:
    """Each is another one."""
    one, other = Segment("", "A", 0.0, 1.0, "a"), Segment("", "B", 1.0, 2.0, "b")
    item = add_segment(add_segment(Item("i"), 0, one), 0, other)

    assert item.parts == (Part("input_audio", segments=(one, other)),)


def test_an_announcement_leaves_what_is_final() -> None:
    """An echo of what was said is no news, and what is done is settled as it is."""
    item = said("words")

    assert item is merge_content(
        item, (events.TextPart(text="x"),), done=True, news=False
    )
    assert item is settle(item)


def test_an_announcement_of_a_part_beyond_all_reason() -> None:
    """It is a mistake, not a message."""
    item = Item("a")
    part = (events.TextPart(text="a"),)

    assert item is merge_content(item, part, done=False, news=True, first=MAX_PARTS)


def test_no_content_says_nothing() -> None:
    """An item that is shown without any keeps what it has."""
    item = Item("a", parts=(Part("output_text", Rope("b")),))

    assert item is merge_content(item, (), done=True, news=True)


def test_an_item_takes_its_place() -> None:
    """That of its id, and of no other."""
    other, old, new = Item("o"), Item("i"), Item("i", role="user")
    session = Session("s", items=Map({"o": other, "i": old}))

    assert put_item(session, new) == Session("s", items=Map({"o": other, "i": new}))
