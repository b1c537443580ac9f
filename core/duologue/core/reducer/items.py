"""Items and the words of the user's audio.

What a transcript carries beside its words (``logprobs``, ``languages``) stands in the
log alone: nothing here depends on it.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Item, Part, Problem, Segment, Session, Truncation
from duologue.core.wire.audio_fields import bytes_per_ms

from .handler import Handler
from .item_merge import show
from .ordering import is_deleted, mention, place
from .parts import (
    add_segment,
    close_part,
    estimate_heard,
    grow_text,
    growing,
    put_item,
    settle,
)
from .playback import stop_hearing
from .usage import add_problem, add_transcription

__all__ = ["LONGEST", "TABLE", "be_silent", "truncate"]

#: Milliseconds of a day: no audio is longer, whatever a service says.
LONGEST = 24 * 60 * 60 * 1000


def _on_created(
    session: Session, event: events.ConversationCreated, record: Record
) -> Session:
    name = event.conversation.id
    if not name or session.conversation.id == name:
        return session
    return replace(session, conversation=replace(session.conversation, id=name))


def _on_added(
    session: Session,
    event: events.ConversationItemAdded | events.ConversationItemCreated,
    record: Record,
) -> Session:
    if not event.item.id or is_deleted(session, event.item.id):
        return session
    session = show(session, event.item, record, done=False)
    if event.item.status == "completed" and session.items[event.item.id].parts:
        # The beta has no ``done``.
        session = _hush(session, event.item.id)
    return place(session, event.item.id, event.previous_item_id)


def _on_done(
    session: Session, event: events.ConversationItemDone, record: Record
) -> Session:
    # A null predecessor here says nothing (17 of 17 in recorded traffic), and one
    # that is named was named by ``added`` before.
    session = show(session, event.item, record, done=True)
    return _hush(session, event.item.id)


def _hush(session: Session, item_id: str | None) -> Session:
    """The session with the user's item at its end, where nobody writes it down."""
    item = session.item(item_id)
    if item is None or item.role != "user" or _transcribed(session):
        return session
    return _with_item(session, be_silent(item))


def be_silent(item: Item) -> Item:
    """The item with no more words to come, unless it is gone."""
    if item.status == "deleted":
        return item
    if item.parts:
        return settle(item)
    return replace(item, parts=(Part("input_audio", final=True),))


def _on_retrieved(
    session: Session, event: events.ConversationItemRetrieved, record: Record
) -> Session:
    """The service's own copy fills in what we missed, and takes nothing away.

    It has no words of what was truncated, and it is older than the deltas that came
    since: what is final here stays.
    """
    done = event.item.status in ("completed", "incomplete")
    return show(session, event.item, record, done=done, news=False)


def _with_item(session: Session, item: Item) -> Session:
    """The session with this item; itself if it has it."""
    return session if session.items[item.id] is item else put_item(session, item)


def _transcribed(session: Session) -> bool:
    """Whether the words of the user's audio are going to come, as far as is known."""
    config = session.connection.confirmed
    audio = getattr(config, "audio", UNSET)
    if not isinstance(audio, events.AudioConfig):
        return True
    if not isinstance(audio.input, events.AudioInput):
        return True
    return audio.input.transcription is not None


def _on_deleted(
    session: Session, event: events.ConversationItemDeleted, record: Record
) -> Session:
    session = mention(session, event.item_id, record)
    item = session.items[event.item_id]
    status = transitions.next_status(
        transitions.ITEM, item.status, transitions.ITEM_DELETED
    )
    if status == item.status:
        return session
    stone = Item(item.id, item.type, item.role, status, placement=item.placement)
    return put_item(session, stone)


def _on_truncated(
    session: Session, event: events.ConversationItemTruncated, record: Record
) -> Session:
    if is_deleted(session, event.item_id):
        return session
    session = mention(session, event.item_id, record, role="assistant")
    session = truncate(session, event.item_id, event.audio_end_ms)
    response_id = session.items[event.item_id].placement.response_id
    return stop_hearing(session, response_id, record.at)


def truncate(
    session: Session, item_id: str, audio_end_ms: int, *, confirmed: bool = True
) -> Session:
    """The session with an item cut off at ``audio_end_ms``; its words are kept.

    The service drops its transcript (API page, ``conversation.item.truncate``); ours
    stays, marked, with an estimate of what was heard. What we worked out ourselves
    (not ``confirmed``) gives way to what the service says, not the other way round.
    """
    item = session.items[item_id]
    before = item.truncation
    if before is not None and (before.confirmed or not confirmed):
        return session
    end = min(max(audio_end_ms, 0), LONGEST)
    heard = estimate_heard(item, end, bytes_per_ms(session.connection.confirmed))
    cut = Truncation(end, heard, confirmed)
    return put_item(session, replace(item, truncation=cut))


def _on_transcription_delta(
    session: Session,
    event: events.ConversationItemInputAudioTranscriptionDelta,
    record: Record,
) -> Session | None:
    session = mention(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    return grow_text(session, item, event.content_index, "input_audio", event.delta)


def _on_transcription_completed(
    session: Session,
    event: events.ConversationItemInputAudioTranscriptionCompleted,
    record: Record,
) -> Session | None:
    session = mention(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    if item.status == "deleted":
        return None
    closed = close_part(
        item, event.content_index, "input_audio", event.transcript, may_blank=True
    )
    return add_transcription(_with_item(session, closed), event.usage)


def _on_transcription_failed(
    session: Session,
    event: events.ConversationItemInputAudioTranscriptionFailed,
    record: Record,
) -> Session | None:
    session = mention(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    if item.status == "deleted":
        return None
    message = event.error.message or event.error.code or "transcription failed"
    item = close_part(item, event.content_index, "input_audio", None)
    session = _with_item(session, _with_failure(item, event.content_index, message))
    return add_problem(
        session,
        Problem("transcription_failed", message, event.error.code, item.id, record.at),
    )


def _with_failure(item: Item, index: int, message: str) -> Item:
    """The item with the reason why a part of it has no words."""
    if not 0 <= index < len(item.parts) or item.parts[index].failure == message:
        return item
    part = replace(item.parts[index], failure=message)
    parts = (*item.parts[:index], part, *item.parts[index + 1 :])
    return replace(item, parts=parts)


def _on_transcription_segment(
    session: Session,
    event: events.ConversationItemInputAudioTranscriptionSegment,
    record: Record,
) -> Session | None:
    """Who said what, beside the text, which deltas and ``completed`` carry."""
    session = mention(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    if item.status == "deleted":
        return None
    segment = Segment(event.id, event.speaker, event.start, event.end, event.text)
    return _with_item(session, add_segment(item, event.content_index, segment))


TABLE: dict[type, Handler] = {
    events.ConversationCreated: _on_created,
    events.ConversationItemAdded: _on_added,
    events.ConversationItemCreated: _on_added,
    events.ConversationItemDone: _on_done,
    events.ConversationItemRetrieved: _on_retrieved,
    events.ConversationItemDeleted: _on_deleted,
    events.ConversationItemTruncated: _on_truncated,
    events.ConversationItemInputAudioTranscriptionDelta: growing(
        _on_transcription_delta
    ),
    events.ConversationItemInputAudioTranscriptionCompleted: (
        _on_transcription_completed
    ),
    events.ConversationItemInputAudioTranscriptionFailed: _on_transcription_failed,
    events.ConversationItemInputAudioTranscriptionSegment: _on_transcription_segment,
}
