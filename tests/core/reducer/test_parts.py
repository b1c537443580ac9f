"""The text and audio in the parts of one item."""

from __future__ import annotations

import pytest
from immutables import Map

from duologue.core import Item, events
from duologue.core.reducer.parts import (
    MAX_PARTS,
    MAX_SEGMENTS,
    add_segment,
    close_part,
    close_parts,
    grow_audio,
    grow_partial,
    grow_text,
    last_audio_part,
    merge_content,
    transcribed_part,
    with_partial_index,
)
from duologue.core.state.model import Part, Placement, Segment, Session
from duologue.core.state.rope import Rope


def delta(item: Item, index: int, type: str, text: str) -> Item | None:
    """The item after a delta; None if the delta is late."""
    session = Session("s", items=Map({item.id: item}))
    after = grow_text(session, item, index, type, text)
    return None if after is None else after.items[item.id]


def said(text: str, audio: int = 0, status: str = "completed") -> Item:
    part = Part("output_audio", Rope(text), True, audio)
    return Item("a", role="assistant", status=status, parts=(part,))


def test_parts_may_come_out_of_order() -> None:
    """Missing parts are open and have no type until their own events arrive."""
    item = delta(Item("a"), 2, "output_text", "c")
    assert item is not None
    filled = delta(item, 0, "output_audio", "a")
    assert filled is not None

    assert (Part(""), Part(""), Part("output_text", Rope("c"))) == item.parts
    assert Part("output_audio", Rope("a")) == filled.parts[0]
    assert all(part.final for part in close_parts(filled).parts)


def test_many_parts_at_most() -> None:
    """A part index above the limit is ignored."""
    item = Item("a")

    assert delta(item, MAX_PARTS, "output_text", "a") is None
    assert item is close_part(item, MAX_PARTS, "output_text", "a")
    assert item is grow_audio(item, MAX_PARTS, 5)
    assert item is grow_audio(item, 0, 0)
    many = tuple(events.OutputTextPart(text="a") for _ in range(MAX_PARTS + 5))
    assert len(merge_content(item, many, done=True, news=True).parts) == MAX_PARTS


def heard(*parts: Part, index: int | None = None) -> Item:
    placement = Placement(partial_index=index)
    return Item("u", role="user", parts=parts, placement=placement)


OPEN, FINAL = Part("input_audio", Rope("hi")), Part("input_audio", Rope("hi"), True)
TYPED = Part("input_text", Rope("hi"), True)
IMAGE, BLANK = Part("input_image", final=True), Part("input_text", final=True)


@pytest.mark.parametrize(
    ("item", "index", "text", "expected"),
    [
        (heard(), 0, "a", 0),
        (heard(), 5, "a", 0),
        (heard(), MAX_PARTS, "a", MAX_PARTS),
        (heard(OPEN), -1, "a", -1),
        (heard(OPEN), 0, "a", 0),
        (heard(OPEN), 5, "a", 0),
        (heard(OPEN), MAX_PARTS, "a", 0),
        (heard(FINAL), 0, "a", 0),
        (heard(FINAL), 5, "a", 1),
        (heard(FINAL), 5, "", 1),
        (heard(FINAL), 5, "High", 0),
        (heard(FINAL), 5, None, 1),
        (heard(FINAL), MAX_PARTS, "a", MAX_PARTS),
        (heard(FINAL, index=5), 0, "a", 1),
        (heard(FINAL, OPEN, index=5), 0, "a", 2),
        (heard(FINAL, OPEN, index=5), 1, "a", 1),
        (heard(Part("input_audio", final=True)), 5, "a", 0),
        (heard(Part("input_audio", Rope("hi"), True, failure="x")), 5, "a", 0),
        (heard(TYPED), 5, "a", 1),
        (heard(OPEN, TYPED), 5, "a", 0),
        (heard(Part("")), 5, "a", 0),
        (heard(TYPED, OPEN), 0, "a", 1),
        (heard(TYPED, OPEN, index=0), 0, "a", 1),
        (heard(TYPED, OPEN), 0, None, 1),
        (heard(IMAGE, OPEN), 0, "a", 1),
        (heard(TYPED), 0, "a", 1),
        (heard(TYPED), 0, "Hi.", 0),
        (heard(BLANK, OPEN), 0, "a", 0),
    ],
)
def test_the_part_of_a_transcript(
    item: Item, index: int, text: str | None, expected: int
) -> None:
    """The part at the index, or else the last one with audio, or else a new one.

    A part with an image or with other words is not that of a transcript.
    """
    assert transcribed_part(item, index, text) == expected


def test_the_last_part_with_audio() -> None:
    """Parts without a type count, because they can be audio."""
    assert [last_audio_part(heard(*parts)) for parts in ((), (TYPED,))] == [None, None]
    assert last_audio_part(heard(OPEN, Part(""), TYPED)) == 1


@pytest.mark.parametrize(
    ("item", "index", "text", "expected"),
    [
        (heard(OPEN), 0, " you", heard(Part("input_audio", Rope("hi you")))),
        (heard(OPEN), 1, "Hi!", heard(Part("input_audio", Rope("Hi!")), index=1)),
        (heard(OPEN), 1, " you", heard(Part("input_audio", Rope("hi you")), index=1)),
        (
            heard(OPEN, index=1),
            1,
            "hi",
            heard(Part("input_audio", Rope("hihi")), index=1),
        ),
        (heard(), 3, "hi", heard(OPEN, index=3)),
        (heard(FINAL), 3, "Hi!", None),
        (heard(FINAL), 1, "you", heard(FINAL, Part("input_audio", Rope("you")))),
        (heard(), -1, "you", None),
    ],
)
def test_a_partial_transcript(
    item: Item, index: int, text: str, expected: Item | None
) -> None:
    """With another index, it replaces a text that begins alike, or continues it."""
    session = Session("s", items=Map({item.id: item}))
    after = grow_partial(session, item, index, text)

    assert (after and after.items["u"]) == expected
    assert with_partial_index(heard(), 3) == heard(index=3)


def test_an_announcement_seeds_an_empty_part() -> None:
    """The text of an announced part is used only if no delta arrived before."""
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
    """All parts are final, except user audio without a transcript."""
    item = merge_content(Item("a"), (part,), done=True, news=True)

    assert (expected,) == item.parts
    assert item is merge_content(item, (part,), done=True, news=True)


def test_deltas_grow_the_part_that_they_name() -> None:
    """A delta appends to the part at its index, unless that is final."""
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
    """Audio adds to the byte count of its part and changes nothing else."""
    item = grow_audio(grow_audio(said("words", 480), 0, 20), 1, 5)

    assert item.parts == (
        Part("output_audio", Rope("words"), True, 500),
        Part("output_audio", audio_bytes=5),
    )


def test_segments_of_a_part() -> None:
    """The newest are kept, once per id; an index out of range gets none."""
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
    """Segments without an id are all different."""
    one, other = Segment("", "A", 0.0, 1.0, "a"), Segment("", "B", 1.0, 2.0, "b")
    item = add_segment(add_segment(Item("i"), 0, one), 0, other)

    assert item.parts == (Part("input_audio", segments=(one, other)),)


def test_an_announcement_leaves_what_is_final() -> None:
    """An echo does not change final parts."""
    item = said("words")

    assert item is merge_content(
        item, (events.TextPart(text="x"),), done=True, news=False
    )
    assert item is close_parts(item)


def test_an_announcement_of_a_part_beyond_all_reason() -> None:
    """An announced part with an index above the limit is ignored."""
    item = Item("a")
    part = (events.TextPart(text="a"),)

    assert item is merge_content(item, part, done=False, news=True, first=MAX_PARTS)


def test_no_content_says_nothing() -> None:
    """An item without content keeps its parts."""
    item = Item("a", parts=(Part("output_text", Rope("b")),))

    assert item is merge_content(item, (), done=True, news=True)
