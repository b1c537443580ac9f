"""Whether a reply that we play ourselves is heard now.

Over WebRTC the service plays, and says when it begins and stops. Over WebSocket whoever
plays tells how much was heard (`duologue.played`); the reply is heard from the first of
them until all of its audio was, or until it is cut off.
"""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core.state.model import Item, Response, Session, Turn
from duologue.core.wire.audio_fields import arrived_ms

from .nodes import with_activity

__all__ = ["hear", "stop_hearing"]


def hear(session: Session, response_id: str | None, at: float | None) -> Session:
    """The session after more of a response was heard, or all of it has come."""
    response = session.response(response_id)
    if response is None:
        return session
    played = _played(session, response)
    if not played or played[-1].truncation is not None:
        return session
    if response.turn.audio_generated_at is None or any(
        (item.placement.played_ms or 0) < arrived_ms(session, item) for item in played
    ):
        return _with_playing(session, response.id)
    if session.activity.playing != response.id:
        return session
    turn = response.turn
    if turn.audio_finished_at is None:
        turn = replace(turn, audio_finished_at=at)
    return _silent(session, response, turn)


def stop_hearing(
    session: Session, response_id: str | None, at: float | None
) -> Session:
    """The session after a response that we play was cut off."""
    response = session.response(response_id)
    if response is None or session.activity.playing != response_id:
        return session
    if not _played(session, response):
        return session
    turn = response.turn
    if turn.interrupted_at is None:
        turn = replace(turn, interrupted_at=at)
    return _silent(session, response, turn)


def _silent(session: Session, response: Response, turn: Turn) -> Session:
    if turn != response.turn:
        changed = replace(response, turn=turn)
        by_id = session.responses.by_id.set(response.id, changed)
        session = replace(session, responses=replace(session.responses, by_id=by_id))
    return _with_playing(session, None)


def _played(session: Session, response: Response) -> list[Item]:
    """The items of a response that we have played, wholly or in part."""
    return [
        item
        for item_id in response.item_ids
        if (item := session.items.get(item_id)) is not None
        and item.placement.played_ms is not None
    ]


def _with_playing(session: Session, response_id: str | None) -> Session:
    return with_activity(session, replace(session.activity, playing=response_id))
