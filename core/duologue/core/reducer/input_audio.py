"""Who is heard: the user's turns and keys, and the playing of replies."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import DtmfKey, Session

from .handler import Handler
from .items import be_silent
from .nodes import with_activity
from .ordering import is_deleted, mention, place
from .parts import put_item
from .response_items import cut_off, with_turn

__all__ = ["MAX_DTMF_KEYS", "TABLE"]

#: Telephone keys kept; older ones are in the log.
MAX_DTMF_KEYS = 64


def _on_speech_started(
    session: Session, event: events.InputAudioBufferSpeechStarted, record: Record
) -> Session:
    """The user's line stands from here on, before the answer and before its words."""
    session = mention(session, event.item_id, record, role="user")
    activity = session.activity
    if activity.speaking_item == event.item_id:
        return session
    if activity.playing is not None:
        session = _mark_barge_in(session, activity.playing, record.at)
    return with_activity(
        session,
        replace(activity, speaking_item=event.item_id, speech_started_at=record.at),
    )


def _mark_barge_in(session: Session, response_id: str, at: float | None) -> Session:
    response = session.responses.by_id.get(response_id)
    if response is None or response.turn.barge_in_at is not None:
        return session
    return with_turn(session, response, replace(response.turn, barge_in_at=at))


def _on_speech_stopped(
    session: Session, event: events.InputAudioBufferSpeechStopped, record: Record
) -> Session:
    session = mention(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    if record.at is not None and item.placement.speech_ended_at is None:
        ended = record.at - _silence(session)
        placement = replace(item.placement, speech_ended_at=ended)
        session = put_item(session, replace(item, placement=placement))
    activity = replace(
        session.activity,
        speaking_item=None,
        speech_started_at=None,
        unanswered_item=event.item_id,
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
    session = mention(session, event.item_id, record, role="user")
    activity = replace(session.activity, unanswered_item=event.item_id)
    if activity.speaking_item == event.item_id:
        # A client can commit by hand while the user speaks.
        activity = replace(activity, speaking_item=None, speech_started_at=None)
    session = with_activity(session, activity)
    return place(session, event.item_id, event.previous_item_id)


def _on_playing(
    session: Session, event: events.OutputAudioBufferStarted, record: Record
) -> Session:
    session = _with_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.first_audio_at is not None:
        return session
    return with_turn(
        session, response, replace(response.turn, first_audio_at=record.at)
    )


def _on_played_out(
    session: Session, event: events.OutputAudioBufferStopped, record: Record
) -> Session:
    session = _stop_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.audio_finished_at is not None:
        return session
    return with_turn(
        session, response, replace(response.turn, audio_finished_at=record.at)
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
    if response.turn.audio_finished_at is not None:
        # There was nothing left to cut.
        return session
    turn = replace(response.turn, interrupted_at=record.at)
    session = with_turn(session, response, turn)
    if turn.first_audio_at is None:
        return session
    return cut_off(session, response, record.at)


def _on_cleared(
    session: Session, event: events.InputAudioBufferCleared, record: Record
) -> Session:
    """What was said and not committed is thrown away: no words of it will come."""
    activity = session.activity
    item = session.item(activity.speaking_item)
    silent = replace(activity, speaking_item=None, speech_started_at=None)
    session = with_activity(session, silent)
    if item is None or item.placement.placed:
        return session
    status = transitions.next_status(
        transitions.ITEM, item.status, transitions.BUFFER_CLEARED
    )
    if status == item.status:
        return session
    placement = replace(item.placement, finished_at=record.at)
    over = replace(be_silent(item), status=status, placement=placement)
    return put_item(session, over)


def _on_timeout(
    session: Session, event: events.InputAudioBufferTimeoutTriggered, record: Record
) -> Session:
    """Nobody spoke: a silent line of the user's stands, and the model answers it."""
    session = mention(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    silent = be_silent(item)
    return session if silent is item else put_item(session, silent)


def _on_key(
    session: Session, event: events.InputAudioBufferDtmfEventReceived, record: Record
) -> Session:
    """A telephone key. It has no id, so the same one again is another press."""
    activity = session.activity
    received = event.received_at if abs(event.received_at) < 1 << 53 else 0
    key = DtmfKey(event.event, received)
    keys = (*activity.dtmf_keys[1 - MAX_DTMF_KEYS :], key)
    return with_activity(session, replace(activity, dtmf_keys=keys))


def _with_playing(session: Session, response_id: str | None) -> Session:
    return with_activity(session, replace(session.activity, playing=response_id))


def _stop_playing(session: Session, response_id: str) -> Session:
    if session.activity.playing != response_id:
        return session
    return _with_playing(session, None)


TABLE: dict[type, Handler] = {
    events.InputAudioBufferSpeechStarted: _on_speech_started,
    events.InputAudioBufferSpeechStopped: _on_speech_stopped,
    events.InputAudioBufferCommitted: _on_committed,
    events.InputAudioBufferCleared: _on_cleared,
    events.InputAudioBufferTimeoutTriggered: _on_timeout,
    events.InputAudioBufferDtmfEventReceived: _on_key,
    events.OutputAudioBufferStarted: _on_playing,
    events.OutputAudioBufferStopped: _on_played_out,
    events.OutputAudioBufferCleared: _on_cut_off,
}
