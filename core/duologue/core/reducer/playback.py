"""Playback of replies: the playing response, and how much of it was heard.

Over WebRTC the service controls playback, and reports its start and its end
(``output_audio_buffer.started`` and ``stopped``). Over WebSocket the client plays the
audio and records its position (`duologue.played`): a response is playing from the first
of these records until all of its audio was played or it is cut off. If its end is
never reported, a tick ends the playback after `PLAYING_TIMEOUT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from unicodedata import category

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Item, Response, Session, Truncation, Turn
from duologue.core.wire.audio_fields import bytes_per_ms

from .handler import Handler, put_activity, put_item, put_turn
from .ordering import ensure_item, is_deleted

__all__ = [
    "MAX_AUDIO_MS",
    "PLAYING_TIMEOUT",
    "TABLE",
    "end_heard",
    "estimate_heard",
    "expire_playing",
    "is_played",
    "playing_deadlines",
    "truncate_response",
    "unfinished_items",
    "unheard_parts",
    "update_playing",
]

#: Milliseconds of a day: the limit of every playing position.
MAX_AUDIO_MS = 24 * 60 * 60 * 1000

#: Seconds from the beginning of the audio that plays, to wait for its end.
PLAYING_TIMEOUT = 600.0

#: Characters per second of ordinary speech, an assumption for estimates.
_SPEAKING_RATE = 15.0


def _on_started(
    session: Session, event: events.OutputAudioBufferStarted, record: Record
) -> Session:
    session = _put_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.first_audio_at is not None:
        return session
    turn = replace(response.turn, first_audio_at=record.at)
    return put_turn(session, response, turn)


def _on_stopped(
    session: Session, event: events.OutputAudioBufferStopped, record: Record
) -> Session:
    session = _stop_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.audio_finished_at is not None:
        return session
    turn = replace(response.turn, audio_finished_at=record.at)
    return put_turn(session, response, turn)


def _on_cleared(
    session: Session, event: events.OutputAudioBufferCleared, record: Record
) -> Session:
    """The service cut the reply off; over WebRTC this event marks an interruption.

    ``conversation.item.truncated`` has the exact position. For a service that does not
    send that event, the position is the time since the audio began.
    """
    session = _stop_playing(session, event.response_id)
    response = session.responses.by_id.get(event.response_id)
    if response is None or response.turn.interrupted_at is not None:
        return session
    if response.turn.audio_finished_at is not None:
        # All of the audio had been played.
        return session
    turn = replace(response.turn, interrupted_at=record.at)
    session = put_turn(session, response, turn)
    if turn.first_audio_at is None:
        return session
    return truncate_response(session, response, record.at)


def _put_playing(session: Session, response_id: str | None) -> Session:
    return put_activity(session, replace(session.activity, playing=response_id))


def _stop_playing(session: Session, response_id: str) -> Session:
    if session.activity.playing != response_id:
        return session
    return _put_playing(session, None)


def _on_volume(session: Session, event: events.VolumeSet, record: Record) -> Session:
    return put_activity(session, replace(session.activity, volume=event.volume))


def _on_played(session: Session, event: events.Played, record: Record) -> Session:
    item = session.items.get(event.item_id)
    if item is None or item.status == "deleted":
        return session
    played = (item.placement.played_part, item.placement.played_ms)
    if played != (event.content_index, event.ms):
        placement = replace(
            item.placement, played_part=event.content_index, played_ms=event.ms
        )
        session = put_item(session, replace(item, placement=placement))
    return update_playing(session, item.placement.response_id, record.at)


def update_playing(
    session: Session, response_id: str | None, at: float | None
) -> Session:
    """The session after the client played or received more audio of a response."""
    response = session.response(response_id)
    if response is None:
        return session
    if not is_played(session, response):
        return session
    items = unfinished_items(session, response)
    if items[0].truncation is not None:
        return session
    is_playing = session.activity.playing == response.id
    if _may_grow(response, items) or any(
        next(unheard_parts(session, item), None) for item in items
    ):
        ticked = session.activity.last_tick_at
        if is_playing or (ticked is not None and ticked >= _deadline(response)):
            return session
        return _put_playing(session, response.id)
    if not is_playing:
        return session
    turn = response.turn
    if turn.audio_finished_at is None:
        turn = replace(turn, audio_finished_at=at)
    return _put_playing(put_turn(session, response, turn), None)


def _may_grow(response: Response, items: list[Item]) -> bool:
    """Whether more audio of a response may arrive and be heard."""
    if response.turn.audio_generated_at is not None or response.status != "in_progress":
        return False
    return not response.stopping or any(item.status == "in_progress" for item in items)


def end_heard(session: Session, response_id: str | None, at: float | None) -> Session:
    """The session after a response gets no more audio: it may have been heard."""
    if session.activity.playing != response_id:
        return session
    return update_playing(session, response_id, at)


def playing_deadlines(session: Session) -> Iterator[float]:
    """When the wait for the end of the audio that plays ends."""
    if session.activity.playing is not None:
        yield _deadline(session.response(session.activity.playing))


def _deadline(response: Response | None) -> float:
    turn = Turn() if response is None else response.turn
    return (turn.first_audio_at or turn.created_at or 0.0) + PLAYING_TIMEOUT


def expire_playing(session: Session, at: float) -> Session:
    """The session at a time, no longer waiting for the end of the audio."""
    is_due = any(at >= deadline for deadline in playing_deadlines(session))
    return _put_playing(session, None) if is_due else session


def _interrupt(session: Session, response_id: str | None, at: float | None) -> Session:
    """The session after the client stopped the playback of a response."""
    response = session.response(response_id)
    if response is None or session.activity.playing != response_id:
        return session
    if not is_played(session, response):
        return session
    turn: Turn = response.turn
    if turn.interrupted_at is None:
        turn = replace(turn, interrupted_at=at)
    return _put_playing(put_turn(session, response, turn), None)


def is_played(session: Session, response: Response) -> bool:
    """Whether the client has played audio of a response."""
    return any(
        item.placement.played_ms is not None for item in _output(session, response)
    )


def unfinished_items(session: Session, response: Response) -> list[Item]:
    """The items of a response, from the one that the client began to play last."""
    items = list(_output(session, response))
    begun = [n for n, item in enumerate(items) if item.placement.played_ms is not None]
    return items[begun[-1] :] if begun else items


def _output(session: Session, response: Response) -> Iterator[Item]:
    return filter(None, map(session.items.get, response.item_ids))


def unheard_parts(session: Session, item: Item) -> Iterator[tuple[int, int]]:
    """The audio parts of an item that were not played to their end.

    Each with its content index and the ms that were played. The parts of an item are
    played one after the other. A truncated item, and an item of another connection, has
    no such parts.
    """
    if item.truncation is not None or item.placement.epoch != session.connection.epoch:
        return
    rate = bytes_per_ms(session.connection.confirmed)
    lengths = [int(part.audio_bytes / rate) for part in item.parts]
    played = max(item.placement.played_ms or 0, 0)
    played += sum(lengths[: max(item.placement.played_part, 0)])
    for index, length in enumerate(lengths):
        if played < length:
            yield index, played
        played = max(0, played - length)


# Truncation.


def _on_truncate(
    session: Session, event: events.ConversationItemTruncate, record: Record
) -> Session:
    """The client has stopped playing an item, whatever the service answers."""
    item = session.items.get(event.item_id)
    if item is None or item.role != "assistant" or item.status == "deleted":
        return session
    where = (event.content_index, event.audio_end_ms)
    session = _truncate(session, item, *where, is_confirmed=False)
    return _interrupt(session, item.placement.response_id, record.at)


def _on_truncated(
    session: Session, event: events.ConversationItemTruncated, record: Record
) -> Session:
    if is_deleted(session, event.item_id):
        return session
    session = ensure_item(session, event.item_id, record, role="assistant")
    item = session.items[event.item_id]
    session = _truncate(session, item, event.content_index, event.audio_end_ms)
    return _interrupt(session, item.placement.response_id, record.at)


def _truncate(
    session: Session,
    item: Item,
    content_index: int,
    audio_end_ms: int,
    *,
    is_confirmed: bool = True,
) -> Session:
    """The session with an item cut off at ``audio_end_ms`` of a part, its text kept.

    The service drops its transcript (API reference, ``conversation.item.truncate``);
    the state keeps it, with an estimate of the text that was heard. A position that the
    service confirmed replaces an estimated one, but not vice versa.
    """
    known = item.truncation
    if known is not None and (known.confirmed or not is_confirmed):
        return session
    end = min(max(audio_end_ms, 0), MAX_AUDIO_MS)
    rate = bytes_per_ms(session.connection.confirmed)
    heard = estimate_heard(item, end, rate, content_index)
    truncation = Truncation(end, heard, is_confirmed)
    return put_item(session, replace(item, truncation=truncation))


def truncate_response(
    session: Session, response: Response, at: float | None, *, is_waiting: bool = False
) -> Session:
    """The session with the audio of a response cut off at a time.

    The position is the recorded playing position; the items behind it were not played.
    Neither was a response that ``is_waiting`` behind another one. Without recorded
    positions it is the time since the audio began. If that is unknown, or the response
    has no audio, nothing changes.
    """
    messages = [
        item
        for item in unfinished_items(session, response)
        if item.role == "assistant" and item.status != "deleted"
    ]
    if not is_waiting and not is_played(session, response):
        position = _elapsed_ms(response, messages[-1], at) if messages else None
        if position is None:
            return session
        return _truncate(session, messages[-1], 0, round(position), is_confirmed=False)
    for item in messages:
        place = item.placement
        if place.played_ms is not None or _has_audio(item):
            where = (place.played_part, place.played_ms or 0)
            session = _truncate(session, item, *where, is_confirmed=False)
    return session


def _has_audio(item: Item) -> bool:
    return any(part.type == "output_audio" for part in item.parts)


def _elapsed_ms(response: Response, item: Item, at: float | None) -> float | None:
    """Milliseconds from the first audio of a response to a time."""
    began = response.turn.first_audio_at
    if at is None:
        return None
    if began is None:
        return 0 if _has_audio(item) else None
    # Times of a session never decrease; a decreasing log gives no position.
    elapsed = (at - began) * 1000
    return elapsed if 0 <= elapsed <= MAX_AUDIO_MS else None


def estimate_heard(
    item: Item, audio_end_ms: int, bytes_per_ms: float, content_index: int = 0
) -> str | None:
    """An estimate of the text up to ``audio_end_ms`` in the audio of a part.

    Parts are played one after the other. If all audio of a part arrived, the estimate
    is the same fraction of its text as the heard fraction of its audio. If generation
    was cut off, more text than audio has arrived, so an ordinary rate of speech limits
    the estimate too. It ends at a whole word. None if the item has no text.
    """
    texts = [str(part.text) for part in item.parts]
    if not any(texts):
        return None
    lengths = [part.audio_bytes / bytes_per_ms for part in item.parts]
    index, left = max(content_index, 0), float(audio_end_ms)
    last = max((n for n, length in enumerate(lengths) if length), default=None)
    if last is None:
        index = last = min(index, len(texts) - 1)
    else:
        index, left = 0, left + sum(lengths[:index])
    while index < last and left >= lengths[index]:
        left -= lengths[index]
        index += 1
    before = "".join(texts[:index])
    text = "".join(texts[index:] if index == last else texts[index : index + 1])
    spoken = left / 1000 * _SPEAKING_RATE
    if length := lengths[index]:
        share = len(text) * left / length
        spoken = share if item.status == "completed" else min(share, spoken)
    if spoken >= len(text):
        return before + text
    return (before + _whole_words(text, int(spoken))).rstrip()


def _whole_words(text: str, count: int) -> str:
    """The first ``count`` characters, without a partial word at the end."""
    cut = text[:count]
    # A script without cases is cut anywhere: most of these do not separate words.
    if cut and not text[count].isspace() and category(cut[-1]) != "Lo":
        cut = cut[: max(cut.rfind(" "), cut.rfind("\n")) + 1]
    return cut.rstrip()


TABLE: dict[type, Handler] = {
    events.OutputAudioBufferStarted: _on_started,
    events.OutputAudioBufferStopped: _on_stopped,
    events.OutputAudioBufferCleared: _on_cleared,
    events.ConversationItemTruncate: _on_truncate,
    events.ConversationItemTruncated: _on_truncated,
    events.Played: _on_played,
    events.VolumeSet: _on_volume,
}
