"""Who is speaking: the user's turns, the playing of replies, mute and volume."""

from __future__ import annotations

import attrs
from msgspec import UNSET

from duologue.core import events
from duologue.core.record import Record
from duologue.core.state import Response, Responses, Session, Turn

from .content import put_item
from .conversation import LONGEST, truncate
from .handler import Handler
from .nodes import with_activity
from .placing import is_deleted, mention, place

__all__ = ["TABLE"]


def _on_speech_started(
    session: Session, event: events.InputAudioBufferSpeechStarted, record: Record
) -> Session:
    """The user's line stands from here on, before the answer and before its words."""
    session = mention(session, event.item_id, record.at, role="user")
    activity = session.activity
    if activity.speaking_item == event.item_id:
        return session
    if activity.playing is not None:
        session = _mark_barge_in(session, activity.playing, record.at)
    return with_activity(
        session,
        attrs.evolve(
            activity, speaking_item=event.item_id, speech_started_at=record.at
        ),
    )


def _mark_barge_in(session: Session, response_id: str, at: float | None) -> Session:
    response = session.responses.by_id.get(response_id)
    if response is None or response.turn.barge_in_at is not None:
        return session
    return _with_turn(session, response, attrs.evolve(response.turn, barge_in_at=at))


def _on_speech_stopped(
    session: Session, event: events.InputAudioBufferSpeechStopped, record: Record
) -> Session:
    session = mention(session, event.item_id, record.at, role="user")
    item = session.items[event.item_id]
    if record.at is not None and item.placement.speech_ended_at is None:
        ended = record.at - _silence(session)
        placement = attrs.evolve(item.placement, speech_ended_at=ended)
        session = put_item(session, attrs.evolve(item, placement=placement))
    activity = attrs.evolve(
        session.activity,
        speaking_item=None,
        speech_started_at=None,
        last_spoken=event.item_id,
    )
    return with_activity(session, activity)


def _silence(session: Session) -> float:
    """Seconds of silence that the service waited for before it said "stopped".

    They are part of what it counts (API page, ``speech_stopped``: the time includes
    ``silence_duration_ms``); semantic detection names none.
    """
    audio = getattr(session.connection.confirmed, "audio", UNSET)
    detection = getattr(getattr(audio, "input", UNSET), "turn_detection", UNSET)
    silence = getattr(detection, "silence_duration_ms", None)
    # Beyond a minute it is a mistake, and no time to count back.
    return silence / 1000 if isinstance(silence, int) and 0 < silence < 60_000 else 0.0


def _on_committed(
    session: Session, event: events.InputAudioBufferCommitted, record: Record
) -> Session:
    if is_deleted(session, event.item_id):
        return session
    session = mention(session, event.item_id, record.at, role="user")
    activity = attrs.evolve(session.activity, last_spoken=event.item_id)
    if activity.speaking_item == event.item_id:
        # A client can commit by hand while the user speaks.
        activity = attrs.evolve(activity, speaking_item=None, speech_started_at=None)
    session = with_activity(session, activity)
    return place(session, event.item_id, event.previous_item_id)


def _on_playing(
    session: Session, event: events.OutputAudioBufferStarted, record: Record
) -> Session:
    session = _with_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.first_audio_at is not None:
        return session
    return _with_turn(
        session, response, attrs.evolve(response.turn, first_audio_at=record.at)
    )


def _on_played_out(
    session: Session, event: events.OutputAudioBufferStopped, record: Record
) -> Session:
    session = _stop_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.audio_finished_at is not None:
        return session
    return _with_turn(
        session, response, attrs.evolve(response.turn, audio_finished_at=record.at)
    )


def _on_cut_off(
    session: Session, event: events.OutputAudioBufferCleared, record: Record
) -> Session:
    """Playback was cut: over WebRTC this is the interruption.

    The exact time comes with ``conversation.item.truncated``; where a service sends
    none, the time that was played is what the clock says.
    """
    session = _stop_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.interrupted_at is not None:
        return session
    turn = attrs.evolve(response.turn, interrupted_at=record.at)
    session = _with_turn(session, response, turn)
    item_id = _last_message(session, response)
    if record.at is None or turn.first_audio_at is None or item_id is None:
        return session
    played = (record.at - turn.first_audio_at) * 1000
    if not 0 <= played <= LONGEST:
        # Times of one session never decrease; these do not tell how long it was.
        return session
    return truncate(session, item_id, round(played), confirmed=False)


def _last_message(session: Session, response: Response) -> str | None:
    """The item that a response spoke last."""
    for item_id in reversed(response.item_ids):
        item = session.items.get(item_id)
        if item is not None and item.role == "assistant" and item.status != "deleted":
            return item_id
    return None


def _on_played(session: Session, event: events.Played, record: Record) -> Session:
    item = session.items.get(event.item_id)
    if item is None or item.status == "deleted" or item.placement.played_ms == event.ms:
        return session
    placement = attrs.evolve(item.placement, played_ms=event.ms)
    return put_item(session, attrs.evolve(item, placement=placement))


def _on_muted(session: Session, event: events.Muted, record: Record) -> Session:
    return with_activity(session, attrs.evolve(session.activity, muted=event.muted))


def _on_volume(session: Session, event: events.VolumeSet, record: Record) -> Session:
    return with_activity(session, attrs.evolve(session.activity, volume=event.volume))


def _on_cleared(session: Session, event: events.Cleared, record: Record) -> Session:
    last = session.conversation.order.last
    if session.conversation.cleared_after == last:
        return session
    return attrs.evolve(
        session,
        conversation=attrs.evolve(session.conversation, cleared_after=last),
    )


def _with_playing(session: Session, response_id: str | None) -> Session:
    return with_activity(session, attrs.evolve(session.activity, playing=response_id))


def _stop_playing(session: Session, response_id: str) -> Session:
    if session.activity.playing != response_id:
        return session
    return _with_playing(session, None)


def _with_turn(session: Session, response: Response, turn: Turn) -> Session:
    responses = session.responses
    by_id = responses.by_id.set(response.id, attrs.evolve(response, turn=turn))
    return attrs.evolve(
        session, responses=Responses(by_id, responses.order, responses.active)
    )


TABLE: dict[type, Handler] = {
    events.InputAudioBufferSpeechStarted: _on_speech_started,
    events.InputAudioBufferSpeechStopped: _on_speech_stopped,
    events.InputAudioBufferCommitted: _on_committed,
    events.OutputAudioBufferStarted: _on_playing,
    events.OutputAudioBufferStopped: _on_played_out,
    events.OutputAudioBufferCleared: _on_cut_off,
    events.Played: _on_played,
    events.Muted: _on_muted,
    events.VolumeSet: _on_volume,
    events.Cleared: _on_cleared,
}
