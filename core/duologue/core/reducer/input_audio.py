"""The input audio buffer: the turns of the user, telephone keys, the microphone.

If a service never reports the end of a speech, or never answers a turn that it should
answer, this adds a problem, and the session no longer waits.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UnsetType
from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.config import SemanticVad, ServerVad
from duologue.core.events.types import SessionKind
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import DtmfKey, Item, Problem, Response, Session

from .handler import (
    Handler,
    add_problem,
    put_activity,
    put_item,
    put_turn,
)
from .items import close_transcript
from .ordering import ensure_item, is_deleted, place
from .requests.inputs import add_spoken

__all__ = [
    "ANSWER_TIMEOUT",
    "MAX_DTMF_KEYS",
    "SPEECH_TIMEOUT",
    "TABLE",
    "answer_deadline",
    "answers_turns",
    "awaited_turn",
    "expire_turns",
    "last_response",
    "speech_deadlines",
    "turn_detection",
]

#: Seconds after the end of the user's speech to wait for the service to answer it.
ANSWER_TIMEOUT = 10.0

#: Seconds after ``speech_started`` to wait for the end of the speech. Turn detection
#: ends a speech at a pause of about half a second, so a real one is shorter. The end of
#: a longer one still takes effect.
SPEECH_TIMEOUT = 300.0

#: The number of telephone keys that a session keeps; older ones are in the log.
MAX_DTMF_KEYS = 64


def _on_speech_started(
    session: Session, event: events.InputAudioBufferSpeechStarted, record: Record
) -> Session:
    """Create the user's item now: its reply and its transcript arrive later."""
    session = ensure_item(session, event.item_id, record, role="user")
    activity = session.activity
    if activity.speaking_item == event.item_id:
        return session
    if activity.playing is not None:
        session = _mark_barge_in(session, activity.playing, record.at)
    return put_activity(
        session,
        replace(activity, speaking_item=event.item_id, speech_started_at=record.at),
    )


def turn_detection(session: Session) -> ServerVad | SemanticVad | None:
    """The turn detection in force, None if it is off. The default is server VAD."""
    detection = session.connection.audio_input.turn_detection
    return ServerVad() if isinstance(detection, UnsetType) else detection


def answers_turns(session: Session) -> bool:
    """Whether the service answers each turn of the user without a request."""
    detection = turn_detection(session)
    is_realtime = session.connection.kind is SessionKind.REALTIME
    return (
        is_realtime and detection is not None and detection.create_response is not False
    )


def last_response(session: Session) -> Response | None:
    """The response of the conversation that began last."""
    for response_id in reversed(session.responses.order):
        response = session.responses.by_id[response_id]
        if response.in_conversation:
            return response
    return None


def awaited_turn(session: Session) -> Item | None:
    """The last turn of the user, if the service still has to answer it.

    A turn of an earlier connection is not answered on this one.
    """
    item = session.item(session.activity.unanswered_item)
    if item is None or item.status == "deleted" or not answers_turns(session):
        return None
    if item.placement.epoch < session.connection.epoch:
        return None
    response = last_response(session)
    is_answered = response is not None and response.turn.item_id == item.id
    return None if is_answered else item


def answer_deadline(session: Session) -> float | None:
    """When the wait for the answer to the last spoken turn ends.

    None if no answer is awaited. Seconds since the Unix epoch.
    """
    item = awaited_turn(session)
    ended = item.placement.speech_ended_at if item is not None else None
    return None if ended is None else ended + ANSWER_TIMEOUT


def speech_deadlines(session: Session) -> Iterator[float]:
    """When the wait for the end of the user's speech ends."""
    if session.activity.speech_started_at is not None:
        yield session.activity.speech_started_at + SPEECH_TIMEOUT


def expire_turns(session: Session, at: float) -> Session:
    """The session at a time, no longer waiting for the turns that are due."""
    activity = session.activity
    due, ticked = answer_deadline(session), activity.last_tick_at
    if due is not None and (ticked is None or ticked < due) and at >= due:
        message = f"the service did not answer the user within {ANSWER_TIMEOUT:g} s"
        item_id = activity.unanswered_item
        problem = Problem("turn_unanswered", message, item_id=item_id, at=at)
        session = add_problem(session, problem)
    item = session.item(activity.speaking_item)
    if item is None:
        return session
    started = activity.speech_started_at
    if started is None:
        return put_activity(session, replace(activity, speech_started_at=at))
    if at < started + SPEECH_TIMEOUT:
        return session
    message = f"the service did not end the user's speech within {SPEECH_TIMEOUT:g} s"
    session = add_problem(
        session, Problem("speech_unended", message, item_id=item.id, at=at)
    )
    activity = replace(activity, speaking_item=None, speech_started_at=None)
    return put_activity(put_item(session, close_transcript(item)), activity)


def _mark_barge_in(session: Session, response_id: str, at: float | None) -> Session:
    response = session.responses.by_id.get(response_id)
    if response is None or response.turn.barge_in_at is not None:
        return session
    return put_turn(session, response, replace(response.turn, barge_in_at=at))


def _on_speech_stopped(
    session: Session, event: events.InputAudioBufferSpeechStopped, record: Record
) -> Session:
    session = ensure_item(session, event.item_id, record, role="user")
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
    ended_at = session.items[event.item_id].placement.speech_ended_at
    return add_spoken(put_activity(session, activity), event.item_id, ended_at)


def _silence(session: Session) -> float:
    """Seconds of silence between the end of the speech and ``speech_stopped``.

    The service waits for ``silence_duration_ms`` (API reference, ``speech_stopped``).
    Semantic detection has no such field.
    """
    detection = session.connection.audio_input.turn_detection
    if not isinstance(detection, events.ServerVad):
        return 0.0
    silence = detection.silence_duration_ms
    # A value of more than a minute is a mistake.
    return silence / 1000 if isinstance(silence, int) and 0 < silence < 60_000 else 0.0


def _on_committed(
    session: Session, event: events.InputAudioBufferCommitted, record: Record
) -> Session:
    if is_deleted(session, event.item_id):
        return session
    session = ensure_item(session, event.item_id, record, role="user")
    activity = replace(session.activity, unanswered_item=event.item_id)
    if activity.speaking_item == event.item_id:
        # The client committed the buffer while the user was speaking.
        activity = replace(activity, speaking_item=None, speech_started_at=None)
    session = put_activity(session, activity)
    session = add_spoken(session, event.item_id, record.at)
    return place(session, event.item_id, event.previous_item_id)


def _on_cleared(
    session: Session, event: events.InputAudioBufferCleared, record: Record
) -> Session:
    """Audio that was not committed is discarded; it gets no transcript."""
    activity = session.activity
    item = session.item(activity.speaking_item)
    activity = replace(activity, speaking_item=None, speech_started_at=None)
    session = put_activity(session, activity)
    if item is None or item.placement.placed:
        return session
    status = transitions.next_status(
        transitions.ITEM, item.status, transitions.BUFFER_CLEARED
    )
    if status == item.status:
        return session
    placement = replace(item.placement, finished_at=record.at)
    item = replace(close_transcript(item), status=status, placement=placement)
    return put_item(session, item)


def _on_timeout(
    session: Session, event: events.InputAudioBufferTimeoutTriggered, record: Record
) -> Session:
    """The user did not speak; the model replies to an item without a transcript."""
    session = ensure_item(session, event.item_id, record, role="user")
    return put_item(session, close_transcript(session.items[event.item_id]))


def _on_key(
    session: Session, event: events.InputAudioBufferDtmfEventReceived, record: Record
) -> Session:
    """A telephone key. The event has no id: an equal event is another key press."""
    activity = session.activity
    received = event.received_at if abs(event.received_at) < 1 << 53 else 0
    key = DtmfKey(event.event, received)
    keys = (*activity.dtmf_keys[1 - MAX_DTMF_KEYS :], key)
    return put_activity(session, replace(activity, dtmf_keys=keys))


def _on_muted(session: Session, event: events.Muted, record: Record) -> Session:
    return put_activity(session, replace(session.activity, muted=event.muted))


TABLE: dict[type, Handler] = {
    events.InputAudioBufferSpeechStarted: _on_speech_started,
    events.InputAudioBufferSpeechStopped: _on_speech_stopped,
    events.InputAudioBufferCommitted: _on_committed,
    events.InputAudioBufferCleared: _on_cleared,
    events.InputAudioBufferTimeoutTriggered: _on_timeout,
    events.InputAudioBufferDtmfEventReceived: _on_key,
    events.Muted: _on_muted,
}
