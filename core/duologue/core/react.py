"""What to send because of what happened: ``react(before, record, after)``.

Pure, like the reducer. The live client runs it; a fold of a log does not, because
what was sent then is in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import events
from .audio import bytes_per_ms
from .commands import Command, command_id, identified, truncate
from .events.base import ClientEvent
from .record import Record
from .reducer.handler import is_fact
from .state import Response, Session, State

__all__ = ["react"]


def react(before: State, record: Record, after: State) -> tuple[Command, ...]:
    """The commands that follow from one record, with reproducible ids."""
    session = after.sessions.get(record.session)
    reaction = _TABLE.get(type(record.event))
    if session is None or reaction is None or not is_fact(record):
        return ()
    earlier = before.sessions.get(record.session)
    if earlier is not None and earlier.tally.duplicate != session.tally.duplicate:
        return ()
    found = reaction(earlier or Session(session.id), record.event, session)
    return tuple(
        Command(session.id, identified(event, command_id(session.id, record.seq, n)))
        for n, event in enumerate(found)
    )


def _on_speech_started(
    before: Session, event: events.InputAudioBufferSpeechStarted, after: Session
) -> Iterator[ClientEvent]:
    """Barge-in where we play the audio ourselves: say how much was heard.

    Over WebRTC the service plays and truncates itself, and nobody reports a playing
    position. Clamped to the audio that arrived: more is an error of the service.
    """
    response = _last_response(after)
    for item_id in response.item_ids if response else ():
        item = after.items.get(item_id)
        if item is None or item.placement.played_ms is None or item.truncation:
            continue
        rate = bytes_per_ms(after.connection.confirmed)
        arrived = int(sum(part.audio_bytes for part in item.parts) / rate)
        if item.placement.played_ms < arrived:
            yield truncate(item_id, max(item.placement.played_ms, 0))


def _last_response(session: Session) -> Response | None:
    """The response that can still be heard."""
    for response_id in reversed(session.responses.order):
        response = session.responses.by_id[response_id]
        if response.in_conversation:
            return response
    return None


_TABLE: Mapping[type, Callable[[Session, Any, Session], Iterator[ClientEvent]]] = {
    events.InputAudioBufferSpeechStarted: _on_speech_started,
}
