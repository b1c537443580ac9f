"""Local facts: what is heard and shown, ticks and gaps."""

from __future__ import annotations

import pytest

from duologue.core import Problem, Session, fold
from duologue.core.reducer.local_facts import MAX_GAPS
from duologue.core.state.model import Activity

from ..talk import Frame, Service, changed, fold_frames, to_record, to_records


def tick(at: float | None) -> Session:
    return fold([to_record({"type": "duologue.tick"}, at=at)]).sessions["s"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [([], None), ([1.0], 1.0), ([1.0, 2.0], 2.0), ([2.0, 1.0], 2.0), ([None], None)],
)
def test_the_time_of_the_last_tick(times: list[float], expected: float | None) -> None:
    """It never goes back."""
    frame = {"type": "duologue.tick"}
    state = fold(to_record(frame, at=at) for at in times)
    activity = state.sessions.get("s", Session("s")).activity

    assert Activity(last_tick_at=expected) == activity


def test_a_gap_is_marked() -> None:
    """A problem to show, and the item behind which words may be missing."""
    service = Service()
    gap = {"type": "duologue.gap", "reason": "overrun"}
    item_id = service.typed("hello")
    session = fold_frames(gap, *service.frames, {**gap, "reason": ""})

    assert session.conversation.gaps == ("", item_id)
    assert session.problems == (
        Problem("gap", "overrun", at=1000.1),
        Problem("gap", "records are missing", at=1000.4),
    )


def test_the_last_gaps() -> None:
    """Older ones are in the log."""
    gaps = [{"type": "duologue.gap", "reason": "x"}] * (MAX_GAPS + 5)

    assert len(fold_frames(*gaps).conversation.gaps) == MAX_GAPS


FACTS: list[Frame] = [
    {"type": "duologue.muted", "muted": True},
    {"type": "duologue.volume", "volume": 0.5},
    {"type": "duologue.cleared"},
    {"type": "duologue.tick"},
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact["type"])
def test_the_same_fact_again_changes_nothing(fact: Frame) -> None:
    """Every node but the dedup is the same object."""
    service = Service()
    service.typed("hello")
    before = fold(to_records([*service.frames, fact]))
    after = fold([to_record(fact, at=0.0)], before)

    assert changed(before.sessions["s"], after.sessions["s"]) == []


def test_what_was_played() -> None:
    """Of an item that is there."""
    service = Service()
    item_id = service.reply("good day")
    service.send("conversation.item.deleted", item_id="gone")
    played = {"type": "duologue.played", "item_id": item_id, "ms": 40}
    lost = [{**played, "item_id": name} for name in ("gone", "?")]
    session = fold_frames(*service.frames, played, played, *lost)

    assert session.items[item_id].placement.played_ms == 40
    assert session.items["gone"].placement.played_ms is None
    assert session.activity == Activity()
