"""Hand-over to a new connection before the current one expires."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core.effects.commands import Connect
from duologue.core.effects.handover import (
    HAND_OVER_DEADLINE,
    HAND_OVER_EARLY,
    may_hand_over,
)

from ..talk import Frame, Service, fold_frames
from .live import Live, begun, calling

EXPIRES = 5000.0


SOON, NOW = "the connection expires soon", "the connection is about to expire"


def expiring() -> tuple[Live, Service]:
    live, service = begun(expires_at=EXPIRES)
    return live, service


def tick(live: Live, at: float) -> tuple[str, ...]:
    live.at = at - 0.1
    return live.note({"type": "duologue.tick"})


def test_a_quiet_session_is_handed_over_early() -> None:
    """A session without a turn gives one `Connect` at the early deadline."""
    live, _ = expiring()
    early = EXPIRES - HAND_OVER_EARLY
    told = [tick(live, at) for at in (early - 1, early + 1, early + 2)]

    assert told == [(), (SOON,), ()]
    assert live.commands == [Connect("s", SOON, epoch=1, successor=True)]


def test_a_hand_over_waits_for_the_end_of_a_turn() -> None:
    """The hand-over waits for the end of the turn, until the late deadline."""
    live, service = expiring()
    response = service.begin()
    live.play(service)
    assert tick(live, EXPIRES - HAND_OVER_EARLY + 1) == ()
    service.end(response, [])
    assert live.play(service) == (SOON,)

    live, service = expiring()
    service.begin()
    live.play(service)
    times = (EXPIRES - HAND_OVER_DEADLINE - 1, EXPIRES - HAND_OVER_DEADLINE + 1)
    assert [tick(live, at) for at in (*times, EXPIRES - 1)] == [(), (NOW,), ()]


def test_a_turn_begins_during_the_hand_over() -> None:
    """A new turn delays the hand-over again, until the late deadline."""
    live, service = expiring()
    tick(live, EXPIRES - HAND_OVER_EARLY + 1)
    may = [may_hand_over(live.state.sessions["s"])]
    response = service.begin()
    live.play(service)
    may.append(may_hand_over(live.state.sessions["s"]))
    service.end(response, [])
    live.play(service)
    may.append(may_hand_over(live.state.sessions["s"]))
    service.begin()
    live.play(service)
    for at in (EXPIRES - HAND_OVER_DEADLINE - 1, EXPIRES - HAND_OVER_DEADLINE):
        tick(live, at)
        may.append(may_hand_over(live.state.sessions["s"]))

    assert may == [True, False, True, False, True]


def test_a_pending_call_delays_the_hand_over() -> None:
    """A pending call delays the hand-over, so that its output has a call."""
    live, service = expiring()
    live.at = EXPIRES - HAND_OVER_EARLY
    calling("a", live=live, service=service)

    assert tick(live, EXPIRES - HAND_OVER_EARLY + 1) == ()


def test_a_transcription_session_is_handed_over_early() -> None:
    """No answer is due there: after its transcript, a turn is over."""
    live, service = begun(type="transcription", expires_at=EXPIRES)
    live.at = EXPIRES - HAND_OVER_EARLY - 20
    item_id = service.start_speech()
    live.play(service)
    assert tick(live, EXPIRES - HAND_OVER_EARLY) == ()
    service.end_speech(item_id)
    assert live.play(service) == ()
    service.transcribe(item_id, ["One."])
    assert live.play(service) == (SOON,)


@pytest.mark.parametrize(("ms", "told"), [(990, ()), (1000, (SOON,)), (None, (SOON,))])
def test_playback_delays_the_hand_over(ms: int | None, told: Any) -> None:
    """Playback by the client delays the hand-over until its end."""
    live, service = expiring()
    live.at = EXPIRES - HAND_OVER_EARLY - 20
    item_id = service.reply(*["a"] * 100)
    live.play(service)
    played: Frame = {"type": "duologue.played", "item_id": item_id, "ms": 5}
    if ms is not None:
        live.note(played)
        assert tick(live, EXPIRES - HAND_OVER_EARLY + 1) == ()
        assert told == live.note({**played, "ms": ms})
    else:
        assert told == tick(live, EXPIRES - HAND_OVER_EARLY + 1)


def test_no_hand_over() -> None:
    """There is none while connecting, after a loss, or without an expiry or a tick."""
    live, service = expiring()
    live.epoch = 1
    live.note({"type": "duologue.connecting"})
    assert tick(live, EXPIRES - 1) == ()

    live, service = begun()
    assert tick(live, EXPIRES - 1) == ()
    live, service = expiring()
    service.reply("a")
    assert live.play(service) == ()
    live, service = expiring()
    live.note({"type": "duologue.disconnected", "reason": "gone"})
    assert tick(live, EXPIRES - 1) == ()


def test_a_connection_without_an_expiry() -> None:
    """Without an expiry, the hand-over is allowed between turns."""
    service = Service()
    quiet = fold_frames(*service.frames, {"type": "session.created", "session": {}})
    service.begin()
    busy = fold_frames(*service.frames)

    assert (may_hand_over(quiet), may_hand_over(busy)) == (True, False)
