"""The transcript, its lines, and the texts of a translation."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from duologue.core import (
    Session,
    Transcript,
    TranslatedText,
    reduce,
    select_final_transcripts,
    select_items,
    select_transcripts,
    select_transcripts_by_role,
    select_translation,
)
from duologue.core.selectors.transcript import (
    is_final,
    transcript_of,
)
from duologue.core.state.model import Item, Part, Placement, State, Truncation
from duologue.core.state.rope import EMPTY_ROPE as NO_TEXT
from duologue.core.state.rope import Rope
from duologue.core.views.notices import notices

from ..talk import Service, fold_frames, talked, to_records


def test_every_field() -> None:
    """A line has the text of all parts, the heard text and the times."""
    parts = (Part("output_text", Rope(" good"), True), Part("", Rope(" day "), True))
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
    """Lines are equal by value, whether or not the text was read."""
    item = Item("i", role="user", parts=(Part("input_text", Rope("a").append("b")),))
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
    """A line is immutable and has no other attributes."""
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
        (
            Item("i", parts=(Part("", NO_TEXT, True), Part("", NO_TEXT, True))),
            True,
        ),
        (Item("i", parts=(Part("", NO_TEXT, True), Part(""))), False),
    ],
)
def test_when_a_line_is_final(item: Item, final: bool) -> None:
    """A line is final if all its parts are; a user's line waits for its transcript."""
    assert final == is_final(item) == transcript_of(item).final


def test_an_unread_text_is_not_joined(monkeypatch: Any) -> None:
    """The chunks of a text are joined only if the text is read."""
    joined = 0
    join = Rope.__str__

    def count(text: Rope) -> str:
        nonlocal joined
        joined += 1
        return join(text)

    monkeypatch.setattr(Rope, "__str__", count)
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


def test_transcripts_whole() -> None:
    """Every line has all of its fields."""
    service = talked()
    user, answer = fold_frames(*service.frames).conversation.order

    assert (
        Transcript(user, "user", "hello", True, None, None, 1000.1, 1000.4),
        Transcript(answer, "assistant", "good day", True, None, None, 1000.9, 1001.6),
    ) == select_transcripts(fold_frames(*service.frames))


def test_lines_by_who_and_how() -> None:
    """Lines can be selected by role and by finality."""
    service = talked()
    speaking = service.start_speech()
    session = fold_frames(*service.frames)
    user, answer, placeholder = select_transcripts(session)

    assert (user, answer) == select_final_transcripts(session)
    assert (user, placeholder) == select_transcripts_by_role(session, "user")
    assert (answer,) == select_transcripts_by_role(session, "assistant")
    assert (speaking, "") == (placeholder.item_id, placeholder.text)


def test_cleared_lines_are_not_shown() -> None:
    """Clearing hides the lines and keeps the items; later lines are shown."""
    service = talked()
    service.frames.append({"type": "duologue.cleared"})
    service.typed("anew")
    session = fold_frames(*service.frames)

    assert [line.text for line in select_transcripts(session)] == ["anew"]
    assert len(select_items(session)) == 3


def test_system_messages_are_no_lines() -> None:
    """A system message is an item, not a line."""
    service = Service()
    service.typed("be kind", role="system")
    session = fold_frames(*service.frames)

    assert (select_transcripts(session), len(session.items)) == ((), 1)


def test_a_translation_has_two_texts() -> None:
    """A translation has two texts; other sessions have none."""
    service = Service()
    service.send("session.created", session={"type": "translation"})
    for type, delta, ms in (
        ("session.input_transcript.delta", "guten", 100),
        ("session.output_transcript.delta", "good", 200),
        ("session.output_transcript.delta", " day", 300),
    ):
        service.send(type, delta=delta, elapsed_ms=ms)
    session = fold_frames(*service.frames)

    assert TranslatedText("guten", "good day", 100, 300) == select_translation(session)
    assert select_translation(session) is select_translation(session)
    assert select_translation(Session("other")) is None


def test_the_line_of_a_response_in_progress_is_not_final() -> None:
    """The lines of a whole turn are final, the next reply is not yet."""
    service = talked()
    service.say(service.begin(), ["Hm"])
    lines = select_transcripts(fold_frames(*service.frames))
    assert [line.final for line in lines] == [True, True, False]
