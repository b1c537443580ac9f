"""Playback of replies: the playing response, and how much of it was heard.

Over WebRTC the service controls playback, and reports its start and its end
(``output_audio_buffer.started`` and ``stopped``). Over WebSocket the client plays the
audio and records its position (`duologue.played`): a response is playing from the first
of these records until all of its audio was played or it is cut off.
"""

from __future__ import annotations

from unicodedata import category

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Item, Response, Session, Truncation, Turn
from duologue.core.wire.audio_fields import arrived_ms, bytes_per_ms

from .handler import Handler, put_activity, put_item, put_turn
from .ordering import ensure_item, is_deleted

__all__ = [
    "MAX_AUDIO_MS",
    "TABLE",
    "estimate_heard",
    "truncate_response",
    "update_playing",
]

#: Milliseconds of a day: the limit of every playing position.
MAX_AUDIO_MS = 24 * 60 * 60 * 1000

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
    if item.placement.played_ms != event.ms:
        placement = replace(item.placement, played_ms=event.ms)
        session = put_item(session, replace(item, placement=placement))
    return update_playing(session, item.placement.response_id, record.at)


def update_playing(
    session: Session, response_id: str | None, at: float | None
) -> Session:
    """The session after the client played or received more audio of a response."""
    response = session.response(response_id)
    if response is None:
        return session
    played = _played_items(session, response)
    if not played or played[-1].truncation is not None:
        return session
    if response.turn.audio_generated_at is None or any(
        (item.placement.played_ms or 0) < arrived_ms(session, item) for item in played
    ):
        return _put_playing(session, response.id)
    if session.activity.playing != response.id:
        return session
    turn = response.turn
    if turn.audio_finished_at is None:
        turn = replace(turn, audio_finished_at=at)
    return _put_playing(put_turn(session, response, turn), None)


def _interrupt(session: Session, response_id: str | None, at: float | None) -> Session:
    """The session after the client stopped the playback of a response."""
    response = session.response(response_id)
    if response is None or session.activity.playing != response_id:
        return session
    if not _played_items(session, response):
        return session
    turn: Turn = response.turn
    if turn.interrupted_at is None:
        turn = replace(turn, interrupted_at=at)
    return _put_playing(put_turn(session, response, turn), None)


def _played_items(session: Session, response: Response) -> list[Item]:
    """The items of a response that the client has played, at least in part."""
    return [
        item
        for item_id in response.item_ids
        if (item := session.items.get(item_id)) is not None
        and item.placement.played_ms is not None
    ]


# Truncation.


def _on_truncated(
    session: Session, event: events.ConversationItemTruncated, record: Record
) -> Session:
    if is_deleted(session, event.item_id):
        return session
    session = ensure_item(session, event.item_id, record, role="assistant")
    session = _truncate(session, event.item_id, event.audio_end_ms)
    response_id = session.items[event.item_id].placement.response_id
    return _interrupt(session, response_id, record.at)


def _truncate(
    session: Session, item_id: str, audio_end_ms: int, *, is_confirmed: bool = True
) -> Session:
    """The session with an item cut off at ``audio_end_ms``, its text kept.

    The service drops its transcript (API reference, ``conversation.item.truncate``);
    the state keeps it, with an estimate of the text that was heard. A position that the
    service confirmed replaces an estimated one, but not vice versa.
    """
    item = session.items[item_id]
    known = item.truncation
    if known is not None and (known.confirmed or not is_confirmed):
        return session
    end = min(max(audio_end_ms, 0), MAX_AUDIO_MS)
    heard = estimate_heard(item, end, bytes_per_ms(session.connection.confirmed))
    truncation = Truncation(end, heard, is_confirmed)
    return put_item(session, replace(item, truncation=truncation))


def truncate_response(
    session: Session, response: Response, at: float | None
) -> Session:
    """The session with the audio of a response cut off at a time.

    The position is the recorded playing position, or else the time since the audio
    began. If neither is known, or the response has no audio, nothing changes.
    """
    item = _last_message(session, response)
    if item is None:
        return session
    position: float | None = item.placement.played_ms
    if position is None:
        position = _elapsed_ms(response, item, at)
    if position is None:
        return session
    return _truncate(session, item.id, round(position), is_confirmed=False)


def _elapsed_ms(response: Response, item: Item, at: float | None) -> float | None:
    """Milliseconds from the first audio of a response to a time."""
    began = response.turn.first_audio_at
    if at is None:
        return None
    if began is None:
        return 0 if any(part.type == "output_audio" for part in item.parts) else None
    # Times of a session never decrease; a decreasing log gives no position.
    elapsed = (at - began) * 1000
    return elapsed if 0 <= elapsed <= MAX_AUDIO_MS else None


def _last_message(session: Session, response: Response) -> Item | None:
    """The last message of a response."""
    for item_id in reversed(response.item_ids):
        item = session.items.get(item_id)
        if item is not None and item.role == "assistant" and item.status != "deleted":
            return item
    return None


def estimate_heard(item: Item, audio_end_ms: int, bytes_per_ms: float) -> str | None:
    """An estimate of the text in the first ``audio_end_ms`` of an item's audio.

    If all of the audio arrived, the estimate is the same fraction of the text as the
    heard fraction of the audio. If generation was cut off, more text than audio has
    arrived, so an ordinary rate of speech limits the estimate too. It ends at a whole
    word. None if the item has no text.
    """
    text = "".join(str(part.text) for part in item.parts)
    if not text:
        return None
    audio = sum(part.audio_bytes for part in item.parts)
    spoken = audio_end_ms / 1000 * _SPEAKING_RATE
    if audio:
        share = len(text) * audio_end_ms / (audio / bytes_per_ms)
        spoken = share if item.status == "completed" else min(share, spoken)
    return text if spoken >= len(text) else _whole_words(text, int(spoken))


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
    events.ConversationItemTruncated: _on_truncated,
    events.Played: _on_played,
    events.VolumeSet: _on_volume,
}
