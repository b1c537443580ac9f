"""Items, and the transcripts of the user's audio.

An item arrives in several events, each with a copy of it. `merge_item` merges a copy
into the known item. Unused fields of a transcript (``logprobs``, ``languages``) are
only in the log.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Item, Part, Problem, Segment, Session

from .calls import close_call, is_call, link_call, merge_call
from .handler import Handler, add_problem, put_item, put_problem
from .ordering import ensure_item, is_deleted, place
from .parts import (
    add_segment,
    close_part,
    close_parts,
    grow_partial,
    last_audio_part,
    merge_content,
    transcribed_part,
    with_partial_index,
)
from .requests.inputs import confirm_input
from .requests.sent_events import confirm_restored
from .usage import add_transcription

__all__ = [
    "MAX_GAPS",
    "TABLE",
    "close_transcript",
    "end_deletions",
    "finish_item",
    "merge_item",
]

#: The number of gaps that a session keeps; older ones are in the log.
MAX_GAPS = 100


def merge_item(
    session: Session,
    wire: Any,
    record: Record,
    *,
    done: bool,
    response_id: str | None = None,
    ended: str | None = None,
    news: bool = True,
) -> Session:
    """The session with a wire item merged into the known item.

    ``done`` means that the service has finished the item; ``ended`` is the final
    status if the wire item has none. If ``news`` is false, the wire item may be older
    than the known one, so final text stays unchanged. A deleted item stays deleted; an
    item without an id is ignored.
    """
    if not wire.id:
        return session
    type, role = _type_and_role(wire, response_id)
    if wire.id not in session.items:
        session = ensure_item(
            session, wire.id, record, role=role, type=type, response_id=response_id
        )
    item = session.items[wire.id]
    if item.status == "deleted":
        return session
    shown = item
    if (type and item.type != type) or (role is not None and item.role != role):
        shown = replace(item, type=type or item.type, role=role or item.role)
    # On a later connection, the wire item is the echo of a re-seeded item.
    news = news and item.placement.epoch == record.epoch
    shown = _merged(shown, wire, record.at, done=done, ended=ended, news=news)
    session = put_item(session, shown)
    if shown.call is None:
        return session
    session = link_call(session, item.id)
    return _report_failure(session, item, wire, record.at)


def _type_and_role(wire: Any, response_id: str | None) -> tuple[str, str | None]:
    """The type and the role of a wire item; "" and None if it does not have them."""
    if isinstance(wire, events.MessageItem):
        # An output message without a role is a reply.
        return "message", wire.role or (None if response_id is None else "assistant")
    return wire.name if isinstance(wire, events.UnknownItem) else wire.type, None


def _merged(
    item: Item,
    wire: Any,
    at: float | None,
    *,
    done: bool,
    ended: str | None,
    news: bool,
) -> Item:
    """The item merged with the wire item; finished if the wire item is complete."""
    if ended is None and wire.status == "in_progress":
        # This status contradicts ``done``: for a call, the response decides instead.
        done = done and not isinstance(wire, events.FunctionCallItem)
    complete = done or wire.status in ("completed", "incomplete")
    if isinstance(wire, events.MessageItem):
        if wire.phase is not None and wire.phase != item.placement.phase:
            item = replace(item, placement=replace(item.placement, phase=wire.phase))
        item = merge_content(item, wire.content, done=complete, news=news and done)
    else:
        item = merge_call(item, wire, done=done)
    if done or (complete and _has_content(item)):
        item = finish_item(item, at, _status(wire, ended or "completed"))
    return item


def _has_content(item: Item) -> bool:
    """Whether an item has the content of a complete item.

    The beta had no ``done`` event, so the status ``completed`` finishes an item. But it
    does not finish a reply without parts or a call without arguments.
    """
    if is_call(item):
        return item.call is not None and bool(item.call.arguments)
    return item.role != "assistant" or bool(item.parts)


def _status(wire: Any, ended: str) -> str:
    if wire.status == "incomplete":
        return "incomplete"
    if isinstance(wire, events.McpCallItem) and wire.error is not None:
        return "failed"
    return "completed" if wire.status == "completed" else ended


def finish_item(item: Item, at: float | None, ended: str) -> Item:
    """The item with a final status; a transcript of user audio can still arrive."""
    if item.role == "assistant":
        item = close_parts(item)
    status = transitions.next_status(
        transitions.ITEM, item.status, transitions.ITEM_ENDS[ended]
    )
    if item.call is not None:
        item = close_call(item, status)
    placement = item.placement
    if placement.finished_at is None and at is not None:
        placement = replace(placement, finished_at=at)
    if item.status == status and placement is item.placement:
        return item
    return replace(item, status=status, placement=placement)


def _report_failure(
    session: Session, before: Item, wire: Any, at: float | None
) -> Session:
    """The session with a problem added for a failed MCP call."""
    call = session.items[before.id].call
    if call is None or call.error is None or not isinstance(wire, events.McpCallItem):
        return session
    if before.call is not None and before.call.error == call.error:
        return session
    code = wire.error.type if wire.error else None
    return put_problem(session, Problem("mcp_failed", call.error, code, before.id, at))


# Events.


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
    is_new = event.item.id not in session.items
    session = confirm_restored(session, event.item.id)
    session = merge_item(session, event.item, record, done=False)
    session = confirm_input(session, event.item.id, record, is_new=is_new)
    if event.item.status == "completed" and session.items[event.item.id].parts:
        # The beta has no ``conversation.item.done``.
        session = _close_untranscribed(session, event.item.id)
    return place(session, event.item.id, event.previous_item_id)


def _on_done(
    session: Session, event: events.ConversationItemDone, record: Record
) -> Session:
    # A null predecessor is ignored here, because ``added`` has already given the
    # predecessor (17 of 17 in recorded traffic).
    session = merge_item(session, event.item, record, done=True)
    return _close_untranscribed(session, event.item.id)


def _close_untranscribed(session: Session, item_id: str | None) -> Session:
    """The session with a user item closed, if transcription is off."""
    item = session.item(item_id)
    if item is None or item.role != "user" or _is_transcribed(session):
        return session
    return put_item(session, close_transcript(item))


def close_transcript(item: Item) -> Item:
    """The item closed, because no transcript will arrive; unchanged if deleted."""
    if item.status == "deleted":
        return item
    if item.parts:
        return close_parts(item)
    return replace(item, parts=(Part("input_audio", final=True),))


def _on_retrieved(
    session: Session, event: events.ConversationItemRetrieved, record: Record
) -> Session:
    """The service's copy of an item adds missing content and removes nothing.

    The copy lacks the text of truncated audio, and it may be older than deltas that
    have arrived, so final text stays unchanged.
    """
    done = event.item.status in ("completed", "incomplete")
    return merge_item(session, event.item, record, done=done, news=False)


def _is_transcribed(session: Session) -> bool:
    """Whether the user's audio is transcribed; true if the configuration is unknown."""
    return session.connection.audio_input.transcription is not None


def _on_deleted(
    session: Session, event: events.ConversationItemDeleted, record: Record
) -> Session:
    return _delete(ensure_item(session, event.item_id, record), event.item_id)


def _delete(session: Session, item_id: str) -> Session:
    item = session.items[item_id]
    status = transitions.next_status(
        transitions.ITEM, item.status, transitions.ITEM_DELETED
    )
    if status == item.status:
        return session
    tombstone = Item(item.id, item.type, item.role, status, placement=item.placement)
    return put_item(session, tombstone)


def end_deletions(session: Session) -> Session:
    """The session with the items deleted whose deletion was sent, but not confirmed.

    Their connection has been replaced, and they are not restored on the next one.
    """
    conversation = session.conversation
    if not conversation.deleting:
        return session
    deleted = [each.item_id for each in conversation.deleting]
    kept = tuple(
        each for each in conversation.unconfirmed if each.item_id not in deleted
    )
    conversation = replace(conversation, unconfirmed=kept, deleting=())
    session = replace(session, conversation=conversation)
    for item_id in deleted:
        if item_id in session.items:
            session = _delete(session, item_id)
    return session


def _on_transcription_delta(
    session: Session,
    event: events.ConversationItemInputAudioTranscriptionDelta,
    record: Record,
) -> Session | None:
    session = ensure_item(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    return grow_partial(session, item, event.content_index, event.delta)


def _on_transcription_completed(
    session: Session,
    event: events.ConversationItemInputAudioTranscriptionCompleted,
    record: Record,
) -> Session | None:
    session = ensure_item(session, event.item_id, record, role="user")
    item, index = session.items[event.item_id], event.content_index
    if item.status != "deleted":
        item, index = _transcribed(item, index, event.transcript)
        closed = close_part(
            item, index, "input_audio", event.transcript, may_blank=True
        )
        session = put_item(session, closed)
    counted = add_transcription(session, item.id, index, event.usage)
    return None if item.status == "deleted" and counted is session else counted


def _transcribed(item: Item, index: int, text: str | None) -> tuple[Item, int]:
    """The item, and the part that a content index of its transcription means."""
    part = transcribed_part(item, index, text)
    return (item if part == index else with_partial_index(item, index)), part


def _on_transcription_failed(
    session: Session,
    event: events.ConversationItemInputAudioTranscriptionFailed,
    record: Record,
) -> Session | None:
    session = ensure_item(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    if item.status == "deleted":
        return None
    message = event.error.message or event.error.code or "transcription failed"
    item, index = _transcribed(item, event.content_index, None)
    item = close_part(item, index, "input_audio", None)
    session = put_item(session, _with_failure(item, index, message))
    return add_problem(
        session,
        Problem("transcription_failed", message, event.error.code, item.id, record.at),
    )


def _with_failure(item: Item, index: int, message: str) -> Item:
    """The item with the reason why a part has no transcript."""
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
    """A segment names its speaker; deltas and ``completed`` carry the text."""
    session = ensure_item(session, event.item_id, record, role="user")
    item = session.items[event.item_id]
    if item.status == "deleted":
        return None
    segment = Segment(event.id, event.speaker, event.start, event.end, event.text)
    index, last = event.content_index, last_audio_part(item)
    if index >= len(item.parts) and last is not None:
        index = last
    return put_item(session, add_segment(item, index, segment))


def _on_cleared(session: Session, event: events.Cleared, record: Record) -> Session:
    conversation = session.conversation
    last = conversation.order.last
    if conversation.cleared_after == last:
        return session
    return replace(session, conversation=replace(conversation, cleared_after=last))


def _on_gap(session: Session, event: events.Gap, record: Record) -> Session:
    """Records are missing: add a problem, and a gap where text may be missing."""
    conversation = session.conversation
    gaps = (*conversation.gaps[1 - MAX_GAPS :], conversation.order.last or "")
    session = replace(session, conversation=replace(conversation, gaps=gaps))
    message = event.reason or "records are missing"
    return add_problem(session, Problem("gap", message, at=record.at))


TABLE: dict[type, Handler] = {
    events.ConversationCreated: _on_created,
    events.ConversationItemAdded: _on_added,
    events.ConversationItemCreated: _on_added,
    events.ConversationItemDone: _on_done,
    events.ConversationItemRetrieved: _on_retrieved,
    events.ConversationItemDeleted: _on_deleted,
    events.ConversationItemInputAudioTranscriptionDelta: _on_transcription_delta,
    events.ConversationItemInputAudioTranscriptionCompleted: (
        _on_transcription_completed
    ),
    events.ConversationItemInputAudioTranscriptionFailed: _on_transcription_failed,
    events.ConversationItemInputAudioTranscriptionSegment: _on_transcription_segment,
    events.Cleared: _on_cleared,
    events.Gap: _on_gap,
}
