"""Interruption: by the user's speech (barge-in), or by the application.

The service is told how much of a reply the user heard. Over WebRTC the service controls
playback and truncates the item by itself, so no playback position is recorded and no
``conversation.item.truncate`` is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .. import events
from ..events.base import ClientEvent
from ..events.types import SessionStatus
from ..log.record import Record
from ..reducer.identity import is_anonymous
from ..reducer.input_audio import turn_detection
from ..reducer.playback import is_played, unfinished_items, unheard_parts
from ..state.model import Item, Response, Session
from ..wire.audio_fields import bytes_per_ms
from ..wire.event_ids import item_id_of
from .commands import FlushAudio, cancel_response, clear_output, truncate

__all__ = [
    "cleared_response",
    "flush_audio",
    "interrupt_all",
    "stop_interrupted",
    "truncate_interrupted",
    "truncate_stopped",
    "truncations",
]

#: How many of the last responses are searched for the playing one.
_MAX_WAITING = 100


def interrupt_all(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Stop the response, then its audio, after a `duologue.interrupted`."""
    if after.connection.status is SessionStatus.OPEN:
        yield from stop_interrupted(before, record, after)
        yield from truncations(after)


def stop_interrupted(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Cancel the active response, and clear the audio of the playing one.

    Only if the response was interrupted, and only once.
    """
    active, playing = after.responses.active, after.activity.playing
    if active is not None and _begins_to_stop(
        active, before.responses.active, before, after
    ):
        yield cancel_response(None if is_anonymous(active) else active)
    if playing is not None and _begins_to_stop(
        playing, before.activity.playing, before, after
    ):
        response = after.responses.by_id[playing]
        if not is_played(after, response):
            yield clear_output()


def flush_audio(
    before: Session, record: Record, after: Session
) -> Iterator[FlushAudio]:
    """Discard the audio that the user must not hear any more."""
    is_interrupted = isinstance(record.event, events.Interrupted)
    if is_interrupted or cleared_response(before, record, after) is not None:
        yield FlushAudio(after.id)


def cleared_response(before: Session, record: Record, after: Session) -> str | None:
    """The response whose received audio must be discarded, if there is one."""
    event = record.event
    if isinstance(event, events.OutputAudioBufferCleared):
        return event.response_id
    if not isinstance(event, events.ResponseOutputAudioDelta):
        return None
    # A response that was interrupted before it had audio is not played.
    response, item = after.response(event.response_id), before.item(item_id_of(event))
    is_first = item is None or not any(part.audio_bytes for part in item.parts)
    return response.id if response and response.stopping and is_first else None


def _begins_to_stop(
    response_id: str, earlier_id: str | None, before: Session, after: Session
) -> bool:
    """Whether this record stops a response of the present connection."""
    response, earlier = after.response(response_id), before.response(earlier_id)
    if response is None or not response.stopping:
        return False
    if response.epoch != after.connection.epoch:
        return False
    return response_id != earlier_id or earlier is None or not earlier.stopping


def truncate_stopped(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Truncate the reply that ended after the application interrupted it."""
    response = after.response(before.responses.active)
    if response is not None and response.stopping and after.responses.active is None:
        yield from truncations(after)


def truncate_interrupted(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Truncate the reply that the user interrupts."""
    detection = turn_detection(after)
    if detection is not None and detection.interrupt_response is not False:
        yield from truncations(after)


def truncations(session: Session) -> Iterator[ClientEvent]:
    """A ``conversation.item.truncate`` for all audio that was not played to its end.

    One for each part, in the order of playing: at the playing position for the one that
    was playing, at 0 for those that were waiting. The position is at most the audio
    received: the service rejects a later one. None if the client plays no audio.
    """
    for response in _unfinished_responses(session):
        for item in unfinished_items(session, response):
            unheard = tuple(unheard_parts(session, item)) or _open_end(session, item)
            for index, heard in unheard:
                yield truncate(item.id, heard, content_index=index)


def _unfinished_responses(session: Session) -> list[Response]:
    """The response that the client began to play last, and those waiting behind it."""
    found: list[Response] = []
    for response_id in islice(reversed(session.responses.order), _MAX_WAITING):
        response = session.responses.by_id[response_id]
        if response.in_conversation:
            found.append(response)
        if is_played(session, response):
            return found[::-1]
    return []


def _open_end(session: Session, item: Item) -> tuple[tuple[int, int], ...]:
    """The last audio part of an item (index, length in ms) that can still grow.

    For an item of which all received audio was played. Empty if it cannot grow.
    """
    is_open = item.status == "in_progress" and session.responses.active is not None
    if not is_open or item.truncation is not None or item.placement.played_ms is None:
        return ()
    rate = bytes_per_ms(session.connection.confirmed)
    lengths = enumerate(int(part.audio_bytes / rate) for part in item.parts)
    return tuple((index, length) for index, length in lengths if length)[-1:]
