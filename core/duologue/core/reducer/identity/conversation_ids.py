"""The ids of the items of a conversation.

An item is new, a copy, or the echo of an item that this client sent: then the service
may have given it another id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Item, Session

from .names import items_named, name_item, next_item, put_ambiguity
from .output_ids import Resolver, is_named
from .uses import Use, can_be, find_item, has_text, is_copy, text_of, use_of

__all__ = ["on_copy", "on_mcp", "on_reference", "on_sent_item", "on_spoken"]


def on_copy(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
    """``conversation.item.added``, ``done`` and their like: a new item, or a copy."""
    wire, epoch = event.item, record.epoch
    item = session.items.get(wire.id) if wire.id else None
    conversation = session.conversation
    is_plain = conversation.identity is None
    if is_plain and (
        not (conversation.restoring or conversation.unconfirmed)
        if item is None
        else item.placement.epoch == epoch
        and _is_quickly_same(item, wire)
        and not _is_another(item, event)
    ):
        return session, event
    use = use_of(wire, epoch)
    session, name = _find_copy(session, wire, use, event)
    if not is_plain or session.conversation.identity is not None:
        event = _with_previous(session, event, epoch)
    if name is None or name == wire.id:
        return session, event
    return session, replace(event, item=replace(wire, id=name))


def _is_quickly_same(item: Item, wire: Any) -> bool:
    if not isinstance(wire, events.MessageItem):
        return is_named(wire, item)
    return item.call is None and (not wire.role or item.role in (None, wire.role))


def _is_another(item: Item, event: Any) -> bool:
    """Whether a typed message is added under the id of another one."""
    is_added = isinstance(
        event, events.ConversationItemAdded | events.ConversationItemCreated
    )
    if not is_added or item.role != "user" or item.status != "completed":
        return False
    use = use_of(event.item, item.placement.epoch)
    return bool(use.text and text_of(item)) and not is_copy(item, use)


def _find_copy(
    session: Session, wire: Any, use: Use, event: Any
) -> tuple[Session, str | None]:
    wire_id, epoch = wire.id, use.epoch
    if not wire_id:
        return session, _pending_item(session, event, use)
    known = session.item(wire_id)
    is_known = known is not None and can_be(session, known, use)
    restored = session.conversation.restored.get(wire_id)
    is_begun = wire.status == "in_progress" and not use.text
    is_echo = restored is not None and not is_begun
    if (
        known is not None
        and is_known
        and restored is not None
        and restored.event_id in session.conversation.restoring
        and (not use.text or is_copy(known, use))
    ):
        return session, wire_id
    unconfirmed = session.conversation.unconfirmed
    if known is None and any(each.item_id == wire_id for each in unconfirmed):
        return session, wire_id
    names = [
        name
        for name in items_named(session, wire_id, epoch)
        if can_be(session, session.items.get(name), use)
    ]
    for name in names:
        if (item := session.item(name)) is not None and is_copy(item, use):
            return session, name
    last = session.item(names[0]) if names else None
    if names and (last is None or not _is_another(last, event)):
        return session, names[0]
    is_asked = isinstance(event, events.ConversationItemRetrieved)
    if known is not None and is_known and (is_asked or is_copy(known, use)):
        return session, wire_id
    pending = None if is_begun else _pending_item(session, event, use)
    if pending is not None:
        return name_item(session, wire_id, pending, epoch), pending
    if is_known and (is_echo or (not is_begun and not use.text)):
        return session, wire_id
    return next_item(session, wire_id, epoch)


def _pending_item(session: Session, event: Any, use: Use) -> str | None:
    """The item that this client created under another id than its confirmation has.

    A service confirms the items in the order in which they were sent.
    """
    conversation = session.conversation
    pending = conversation.restoring.values()
    for item_id in _restored_in_order(session, event, use.epoch) if pending else ():
        item = session.item(item_id)
        if item is not None and has_text(item, use):
            return item_id
    for sent in conversation.unconfirmed:
        if sent.sent and sent.item_id not in session.items:
            wire = msgspec.json.decode(sent.event, type=_Sent).item
            created = use_of(wire, use.epoch)
            if (created.type, created.role, created.call_id, created.text) == (
                (use.type, use.role, use.call_id, use.text)
            ):
                return sent.item_id
    return None


class _Sent(msgspec.Struct):
    """A sent ``conversation.item.create``."""

    item: events.AnyItem


def _restored_in_order(session: Session, event: Any, epoch: int) -> Iterator[str]:
    """The restored items without an answer: behind the last answer, then all."""
    conversation = session.conversation
    pending = set(conversation.restoring.values())
    previous = _previous_of(event)
    if isinstance(previous, str):
        known = next(items_named(session, previous, epoch), previous)
        if known in conversation.order:
            follower = next(iter(conversation.order.after(known)), None)
            if follower in pending:
                yield follower
    restored = conversation.restored
    yield from sorted(pending, key=lambda each: restored[each].sent)


def _previous_of(event: Any) -> Any:
    match event:
        case (
            events.ConversationItemAdded()
            | events.ConversationItemCreated()
            | events.ConversationItemDone()
            | events.ConversationItemCreate()
            | events.InputAudioBufferCommitted()
        ):
            return event.previous_item_id
        case _:
            return None


def _with_previous(session: Session, event: Any, epoch: int) -> Any:
    """The event with the predecessor that its id names on this connection."""
    previous = _previous_of(event)
    if not isinstance(previous, str):
        return event
    name = next(items_named(session, previous, epoch), previous)
    return event if name == previous else replace(event, previous_item_id=name)


def on_spoken(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
    """An event of the user's speech, or its transcript. It is never an echo."""
    item, epoch = session.items.get(event.item_id), record.epoch
    if session.conversation.identity is None and (
        item is None
        or (
            item.placement.epoch == epoch
            and item.role in (None, "user")
            and not _is_spoken_again(session, item, event)
        )
    ):
        return session, event
    event = _with_previous(session, event, epoch)
    use = Use(epoch, "message", "user")
    session, name = find_item(session, event.item_id, use)
    item = session.item(name)
    if item is not None and _is_spoken_again(session, item, event):
        session, name = next_item(session, event.item_id, epoch)
    elif event.__class__ in _TRANSCRIPTS:
        name = _first_untranscribed(session, event.item_id, use) or name
    return session, event if name == event.item_id else replace(event, item_id=name)


def _is_spoken_again(session: Session, item: Item, event: Any) -> bool:
    """Whether other speech begins under the id of an item with a final transcript."""
    placement = item.placement
    # A transcript can be final before the first ``committed``.
    match event:
        case events.InputAudioBufferSpeechStarted():
            has_ended = placement.placed or placement.speech_ended_at is not None
        case events.InputAudioBufferCommitted():
            has_ended = placement.placed or _is_answered(session, item)
        case _:
            return False
    return has_ended and _is_transcribed(item)


def _is_answered(session: Session, item: Item) -> bool:
    """Whether the last response answers an item."""
    response = session.response(session.responses.order.last)
    inputs = () if response is None else response.inputs or ()
    return any(each.item_id == item.id for each in inputs)


def _is_transcribed(item: Item) -> bool:
    parts = item.parts
    return bool(parts) and all(it.final and it.type == "input_audio" for it in parts)


def _first_untranscribed(session: Session, wire_id: str, use: Use) -> str | None:
    """The first item with this id whose speech has ended without a transcript."""
    for name in reversed([*items_named(session, wire_id, use.epoch)]):
        item = session.items.get(name)
        if item is None or _is_transcribed(item) or not can_be(session, item, use):
            continue
        if item.placement.placed or item.placement.speech_ended_at is not None:
            return name
    return None


_TRANSCRIPTS = (
    events.ConversationItemInputAudioTranscriptionDelta,
    events.ConversationItemInputAudioTranscriptionCompleted,
    events.ConversationItemInputAudioTranscriptionFailed,
    events.ConversationItemInputAudioTranscriptionSegment,
)


def on_mcp(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
    """An event of an MCP server. Its items are not restored on a new connection."""
    type = (
        "mcp_call" if event.type.startswith("response.mcp_call") else "mcp_list_tools"
    )
    use = Use(record.epoch, type)
    session, name = find_item(session, event.item_id, use)
    return session, event if name == event.item_id else replace(event, item_id=name)


def on_reference(role: str | None = None) -> Resolver:
    """The resolver of events that only refer to a known item."""

    def resolve(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
        if session.conversation.identity is None:
            return session, event
        use = Use(record.epoch, "message" if role else "", role)
        names = [
            name
            for name in items_named(session, event.item_id, record.epoch)
            if can_be(session, session.items.get(name), use)
        ]
        known = [name for name in names if not _is_deleted(session, name)]
        if len(known) > 1 and record.dir == "in":
            session = put_ambiguity(session, event.item_id, names[0], record)
        if not names or names[0] == event.item_id:
            return session, event
        return session, replace(event, item_id=names[0])

    return resolve


def _is_deleted(session: Session, item_id: str) -> bool:
    item = session.item(item_id)
    return item is None or item.status == "deleted"


def on_sent_item(
    session: Session, event: events.ConversationItemCreate, record: Record
) -> tuple[Session, events.ConversationItemCreate]:
    """The client's own id is an id in the state; that of the predecessor is not."""
    if session.conversation.identity is not None:
        event = _with_previous(session, event, record.epoch)
    return session, event
