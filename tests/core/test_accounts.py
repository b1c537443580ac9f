"""What adds up over a session: who was counted how often."""

from __future__ import annotations

from duologue.core.state import Tally

from .talk import Service, fold_frames


def test_what_is_odd_is_counted_by_its_kind() -> None:
    """Unheard of, not to be believed, seen before, behind its own end."""
    service = Service()
    said = service.say(service.begin(), ["good"])
    service.finish(said)
    service.utter(said, " day")
    frames = [*service.frames, service.frames[0], {"type": "new"}, {"type": 5}]
    tally = fold_frames(*frames).tally

    assert (tally.unknown, tally.malformed, tally.duplicate, tally.late) == (1, 1, 1, 1)
    assert tally.events == len(frames)


def test_nothing_was_counted() -> None:
    """A tally begins at nothing."""
    tally = Tally()

    assert (tally.unknown, tally.malformed, tally.duplicate, tally.late) == (0, 0, 0, 0)
