"""A line of the conversation, as users read it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from duologue.core import Transcript, reduce, select_transcripts
from duologue.core.selectors.transcript import is_final, transcript_of
from duologue.core.state.model import Item, Part, Placement, State, Truncation
from duologue.core.state.rope import EMPTY, Text
from duologue.core.views.notices import notices

from ..talk import Service, to_records


def test_every_field() -> None:
    """The text of all parts, what was heard, and when."""
    parts = (Part("output_text", Text(" good"), True), Part("", Text(" day "), True))
    placement = Placement(started_at=1.0, finished_at=2.0)
    item = Item(
        "i",
        role="assistant",
        parts=parts,
        placement=placement,
        truncation=Truncation(20, "good"),
    )

    assert (
        Transcript("i", "assistant", "good day", True, 20, "good", 1.0, 2.0)
    ) == transcript_of(item)


def test_a_line_is_a_value() -> None:
    """Equal by its text, whether somebody has read it or not."""
    item = Item("i", role="user", parts=(Part("input_text", Text("a").append("b")),))
    whole = Transcript("i", "user", "ab", False)

    assert whole == transcript_of(item)
    assert hash(transcript_of(item)) == hash(whole)
    assert repr(transcript_of(item)) == repr(whole)
    assert attrs.asdict(transcript_of(item)) == attrs.asdict(whole)
    assert attrs.evolve(transcript_of(item), final=True) == attrs.evolve(
        whole, final=True
    )
    copies = copy.deepcopy(transcript_of(item)), pickle.loads(pickle.dumps(whole))
    assert (whole, whole) == copies
    assert whole != attrs.evolve(whole, text="b")


def test_it_is_frozen() -> None:
    """And has no other attributes."""
    line: Any = transcript_of(Item("i"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        line.text = "b"
    with pytest.raises(AttributeError, match="texts"):
        _ = line.texts


@pytest.mark.parametrize(
    ("item", "final"),
    [
        (Item("i", role="user"), False),
        (Item("i", role="user", status="completed"), False),
        (Item("i", role="assistant"), False),
        (Item("i", role="assistant", status="incomplete"), True),
        (Item("i", parts=(Part("", EMPTY, True), Part("", EMPTY, True))), True),
        (Item("i", parts=(Part("", EMPTY, True), Part(""))), False),
    ],
)
def test_when_a_line_is_final(item: Item, final: bool) -> None:
    """When all of its parts are; a user's words may come when all else is done."""
    assert final == is_final(item) == transcript_of(item).final


def test_nobody_joins_a_text_that_nobody_reads(monkeypatch: Any) -> None:
    """Work is counted: being told of each delta of a long text costs the same."""
    joined = 0
    join = Text.__str__

    def count(text: Text) -> str:
        nonlocal joined
        joined += 1
        return join(text)

    monkeypatch.setattr(Text, "__str__", count)
    service = Service()
    service.say(service.begin(), ["a"] * 500)
    state, lines = State(), list[Transcript]()
    for record in to_records(service.frames):
        after = reduce(state, record)
        told = notices(state.sessions.get("s"), record, after.sessions["s"])
        lines += [n.args[0] for n in told if n.name == "transcript_delta"]
        select_transcripts(after.sessions["s"])
        state = after

    assert (joined, len(lines)) == (0, 500)
    assert [len(lines[0].text), len(lines[-1].text), lines[-1].text[:1]] == [
        1,
        500,
        "a",
    ]
    assert joined == 2
