"""When the next tick is due."""

from __future__ import annotations

from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.handover import HAND_OVER_DEADLINE, HAND_OVER_EARLY
from duologue.core.reducer.input_audio import ANSWER_TIMEOUT

from .live import CREATE, REQUEST, begun
from .test_handover import EXPIRES, expiring, tick


def test_the_deadlines_of_a_connection() -> None:
    """A connection has two deadlines before its expiry, or none without an expiry."""
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


def test_the_deadline_of_an_unanswered_turn() -> None:
    """An unanswered turn has a deadline, at which a queued response is requested."""
    live, service = begun()
    item_id = service.start_speech()
    service.end_speech(item_id)
    live.play(service)
    ended = live.state.sessions["s"].items[item_id].placement.speech_ended_at
    assert ended is not None
    assert tick_at(live.state.sessions["s"]) == ended + ANSWER_TIMEOUT
    live.note(REQUEST)
    assert tick_at(live.state.sessions["s"]) == ended + ANSWER_TIMEOUT
    assert tick(live, ended + ANSWER_TIMEOUT) == CREATE
