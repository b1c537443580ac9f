"""When time matters."""

from __future__ import annotations

from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.rules import HAND_OVER_DEADLINE, HAND_OVER_EARLY, PATIENCE

from .test_rules import CREATE, EXPIRES, WISH, begun, expiring, tick


def test_when_time_matters() -> None:
    """Before the end of a connection, twice; not where nobody knows the end."""
    live, _ = expiring()

    def due() -> float | None:
        return tick_at(live.state.sessions["s"])

    early, late = EXPIRES - HAND_OVER_EARLY, EXPIRES - HAND_OVER_DEADLINE
    assert due() == early
    tick(live, early)
    assert due() == late
    tick(live, late)
    assert due() is None
    live, _ = begun()
    assert due() is None
    live, _ = expiring()
    live.note({"type": "duologue.disconnected", "reason": "gone"})
    assert due() is None


def test_an_answer_that_is_waited_for_is_a_matter_of_time() -> None:
    """A wish behind a turn that nobody answers; without a wish nobody waits."""
    live, service = begun()
    item_id = service.start_speech()
    service.end_speech(item_id)
    live.play(service)
    assert tick_at(live.state.sessions["s"]) is None
    live.note(WISH)
    ended = live.state.sessions["s"].items[item_id].placement.speech_ended_at
    assert ended is not None
    assert tick_at(live.state.sessions["s"]) == ended + PATIENCE
    assert tick(live, ended + PATIENCE) == CREATE
