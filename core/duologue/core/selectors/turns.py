"""Responses, and the latencies of the turns that they answer."""

from __future__ import annotations

import attrs

from ..argument_checks import of_session
from ..state.model import Response, Session
from .memo import memoised

__all__ = [
    "TurnTimes",
    "select_metadata",
    "select_responses",
    "select_turn",
    "select_turns",
    "turn_times",
]


@attrs.frozen
class TurnTimes:
    """The latencies of one turn in ms; None if unknown.

    ``response_id`` is the response, ``item_id`` the user's speech that it answers
    (None if the user typed, for example). ``first_audio_ms`` and ``first_text_ms``
    count from the end of the user's speech, or from the creation of the response if
    the user did not speak; ``barge_in_ms`` from the user's interruption to silence.
    """

    response_id: str
    item_id: str | None
    first_audio_ms: float | None
    first_text_ms: float | None
    barge_in_ms: float | None


@memoised("responses")
def select_responses(session: Session) -> tuple[Response, ...]:
    """All responses in the order in which they began, out-of-band ones included."""
    by_id = session.responses.by_id
    return tuple(by_id[response_id] for response_id in session.responses.order)


@memoised("responses")
def select_turns(session: Session) -> tuple[TurnTimes, ...]:
    """The turns of the conversation with their latencies, oldest first."""
    return tuple(
        turn_times(response)
        for response in select_responses(session)
        if response.in_conversation
    )


@of_session
def select_turn(session: Session, item_id: str) -> TurnTimes | None:
    """The latencies of the response that created an item.

    None if no response of the conversation created it. For an item of the user, search
    `select_turns` for its ``item_id``.
    """
    response = _response_of(session, item_id)
    if response is None or not response.in_conversation:
        return None
    return turn_times(response)


@of_session
def select_metadata(session: Session, item_id: str) -> dict[str, str]:
    """The metadata of the response that created an item; empty if there is none."""
    response = _response_of(session, item_id)
    return dict(response.metadata) if response else {}


def _response_of(session: Session, item_id: str) -> Response | None:
    item = session.items.get(item_id)
    return session.response(item.placement.response_id) if item else None


def turn_times(response: Response) -> TurnTimes:
    """The latencies of one response."""
    turn = response.turn
    start = turn.created_at if turn.speech_ended_at is None else turn.speech_ended_at
    return TurnTimes(
        response.id,
        turn.item_id,
        _ms(start, turn.first_audio_at),
        _ms(start, turn.first_text_at),
        _ms(turn.barge_in_at, turn.interrupted_at),
    )


def _ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round((end - start) * 1000, 1)
