"""Sent events that the session keeps: to find the cause of an error, or to send again.

An error names the event that it concerns by its id. Items are sent again if their
connection is lost before the service confirms them, or if they were refused because
their predecessor was missing.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.base import ClientEvent, Event
from duologue.core.log.record import Record
from duologue.core.state.model import (
    CallLink,
    RestoredItem,
    SentEvent,
    Session,
    UnconfirmedItem,
)
from duologue.core.wire.audio_fields import is_append

__all__ = [
    "MAX_SENT",
    "MAX_UNCONFIRMED",
    "add_sent",
    "cause_of",
    "drop_refused",
    "is_out_of_band",
    "keep_item",
    "keep_restored",
    "keep_unconfirmed",
    "mark_sent",
    "refuse_restored",
    "restored_by",
]

#: The number of sent events that a session keeps, to find the cause of an error.
MAX_SENT = 64

#: The number of sent items that a session keeps until the service confirms them, one
#: by one and in order.
MAX_UNCONFIRMED = 256


def add_sent(sent: tuple[SentEvent, ...], event: Event) -> tuple[SentEvent, ...]:
    """The sent events, with this one added if it has an id and is not audio."""
    if not isinstance(event, ClientEvent) or event.event_id is None:
        return sent
    if is_append(event):
        return sent
    added = SentEvent(event.event_id, event.type, is_out_of_band(event))
    return (*sent[1 - MAX_SENT :], added)


def is_out_of_band(event: Event) -> bool:
    """Whether it is a ``response.create`` that is not for the conversation."""
    return (
        isinstance(event, events.ResponseCreate)
        and isinstance(event.response, events.ResponseCreateParams)
        and event.response.conversation == "none"
    )


def cause_of(session: Session, event_id: str | None) -> SentEvent | None:
    """The sent event with this id."""
    for sent in reversed(session.dedup.sent):
        if sent.id == event_id:
            return sent
    return None


def keep_unconfirmed(
    session: Session, event: events.ConversationItemCreate, record: Record
) -> Session:
    """The session with a sent item, in case its connection is lost too early."""
    if session.connection.policy is None or not event.item.id:
        return session
    frame = record.frame.decode()
    return keep_item(session, UnconfirmedItem(event.item.id, event.event_id, frame))


def keep_item(session: Session, kept: UnconfirmedItem) -> Session:
    """The session with an item that was accepted or sent, until it is confirmed."""
    conversation, items = session.conversation, session.items
    if kept.item_id in items:
        return session
    others = tuple(
        each
        for each in conversation.unconfirmed
        if each.item_id != kept.item_id and each.item_id not in items
    )
    unconfirmed = (*others[1 - MAX_UNCONFIRMED :], kept)
    conversation = replace(conversation, unconfirmed=unconfirmed)
    return replace(session, conversation=conversation)


def mark_sent(
    session: Session, type: Any, call_id: Any, item_id: str | None
) -> Session:
    """The session with the fact that this client creates a call, or its output.

    An item that the session has is not created but restored.
    """
    is_call = type == "function_call"
    if not (is_call or type == "function_call_output") or item_id in session.items:
        return session
    if not isinstance(call_id, str) or not call_id:
        return session
    conversation = session.conversation
    known = conversation.calls.get(call_id)
    if is_call:
        link = replace(known or CallLink(), call_sent=True)
    elif known is not None:
        link = replace(known, output_sent=True)
    else:
        # The output of an unknown call.
        return session
    if link == known:
        return session
    calls = conversation.calls.set(call_id, link)
    return replace(session, conversation=replace(conversation, calls=calls))


def drop_refused(session: Session, event_id: str | None) -> Session:
    """The session without the sent item that an error refuses."""
    conversation = session.conversation
    kept = tuple(
        each
        for each in conversation.unconfirmed
        if event_id is None or each.event_id != event_id
    )
    if kept == conversation.unconfirmed:
        return session
    return replace(session, conversation=replace(conversation, unconfirmed=kept))


def keep_restored(session: Session, event: events.ConversationItemCreate) -> Session:
    """The session with an item sent that restores one of an earlier connection."""
    item, previous = session.item(event.item.id), event.previous_item_id
    if item is None or item.placement.epoch >= session.connection.epoch:
        return session
    if event.event_id is None or not isinstance(previous, str):
        return session
    restored = session.conversation.restored
    before, known = restored.get(previous), restored.get(item.id)
    sent = RestoredItem(
        event.event_id,
        None if before is None else previous,
        None if before is None else before.event_id,
        () if known is None else known.refused,
    )
    return _put_restored(session, item.id, sent)


def restored_by(session: Session, event_id: str | None) -> str | None:
    """The id of the item that this event restored last."""
    for item_id, sent in session.conversation.restored.items():
        if sent.event_id == event_id:
            return item_id
    return None


def _put_restored(session: Session, item_id: str, sent: RestoredItem) -> Session:
    restored = session.conversation.restored.set(item_id, sent)
    conversation = replace(session.conversation, restored=restored)
    return replace(session, conversation=conversation)


def refuse_restored(session: Session, item_id: str) -> Session:
    """The session after an error has refused an item that was to be restored.

    If its predecessor was refused, `react` sends it again.
    """
    sent = session.conversation.restored[item_id]
    before = session.conversation.restored.get(sent.previous or "")
    refused = replace(
        sent,
        refused=(*sent.refused, sent.event_id),
        dropped=before is None or sent.after not in before.refused,
    )
    return _put_restored(session, item_id, refused)
