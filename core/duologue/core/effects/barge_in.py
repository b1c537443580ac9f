"""Barge-in: how much of an interrupted reply the user heard.

Over WebRTC the service controls playback and truncates the item by itself, so no
playback position is recorded and no event is sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events.base import ClientEvent
from ..log.record import Record
from ..reducer.input_audio import last_response, turn_detection
from ..state.model import Item, Session
from ..wire.audio_fields import arrived_ms
from .commands import truncate

__all__ = ["truncate_interrupted", "truncations"]


def truncate_interrupted(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Truncate the reply that the user interrupts."""
    detection = turn_detection(after)
    if detection is not None and detection.interrupt_response is not False:
        yield from truncations(after)


def truncations(session: Session) -> Iterator[ClientEvent]:
    """A ``conversation.item.truncate`` for each item of the last reply that was played.

    The position is at most the audio received: the service rejects a later one.
    """
    response = last_response(session)
    for item_id in response.item_ids if response is not None else ():
        item = session.items.get(item_id)
        if item is None or item.placement.played_ms is None or item.truncation:
            continue
        arrived = arrived_ms(session, item)
        # If the user heard all received audio, truncate only an unfinished item.
        if item.placement.played_ms < arrived or (arrived and _is_open(session, item)):
            heard = min(max(item.placement.played_ms, 0), arrived)
            yield truncate(item_id, heard, content_index=_audio_part(item))


def _is_open(session: Session, item: Item) -> bool:
    """Whether the service may send more of an item."""
    return item.status == "in_progress" and session.responses.active is not None


def _audio_part(item: Item) -> int:
    """The index of the part that has audio."""
    heard = (index for index, part in enumerate(item.parts) if part.audio_bytes)
    return next(heard, 0)
