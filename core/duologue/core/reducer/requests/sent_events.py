"""Sent events that the session keeps: to find the cause of an error, or to send again.

An error names the event that it concerns by its id. Items are sent again if their
connection is lost before the service confirms them, or if they were refused because
their predecessor was missing.
"""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.base import ClientEvent, Event
from duologue.core.log.record import Record
from duologue.core.state.model import (
    OutOfBandRequest,
    Problem,
    RestoredItem,
    SentEvent,
    Session,
    UnconfirmedItem,
)
from duologue.core.wire.audio_fields import is_append
from duologue.core.wire.json_values import canonical_json

from ..handler import Handler, put_problem, put_responses
from ..ordering import is_deleted

__all__ = [
    "MAX_SENT",
    "MAX_UNCONFIRMED",
    "TABLE",
    "add_sent",
    "cause_of",
    "confirm_restored",
    "drop_refused",
    "first_restoring",
    "is_out_of_band",
    "keep_item",
    "keep_out_of_band",
    "keep_restored",
    "keep_unconfirmed",
    "refuse_restored",
]

#: The number of sent events that a session keeps, to find the cause of an error.
MAX_SENT = 64

#: The number of accepted and sent items that a session keeps until the service confirms
#: them, one by one and in order. More of them are a problem.
MAX_UNCONFIRMED = 1024


def add_sent(sent: tuple[SentEvent, ...], event: Event) -> tuple[SentEvent, ...]:
    """The sent events, with this one added if it has an id and is not audio."""
    if not isinstance(event, ClientEvent) or event.event_id is None:
        return sent
    if is_append(event):
        return sent
    added = SentEvent(
        event.event_id, event.type, is_out_of_band(event), _output_of(event)
    )
    return (*sent[1 - MAX_SENT :], added)


def _output_of(event: Event) -> str | None:
    """The ``call_id`` of the function call whose output an event sends."""
    item = event.item if isinstance(event, events.ConversationItemCreate) else None
    return item.call_id if isinstance(item, events.FunctionCallOutputItem) else None


def is_out_of_band(event: Event) -> bool:
    """Whether it is a ``response.create`` that is not for the conversation."""
    return (
        isinstance(event, events.ResponseCreate)
        and isinstance(event.response, events.ResponseCreateParams)
        and event.response.conversation == "none"
    )


def keep_out_of_band(
    session: Session, event: events.ResponseCreate, record: Record
) -> Session:
    """The session with a sent request out of band; the last ones are kept."""
    response, before = event.response, session.responses
    assert isinstance(response, events.ResponseCreateParams)
    metadata = response.metadata
    sent = OutOfBandRequest(
        event.event_id,
        record.epoch,
        record.at,
        canonical_json(metadata) if metadata else "",
        is_second=before.in_flight is not None,
    )
    requests = (*before.out_of_band[1 - MAX_SENT :], sent)
    return put_responses(session, replace(before, out_of_band=requests))


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
    kept = UnconfirmedItem(event.item.id, event.event_id, frame)
    return keep_item(session, kept, record.at)


def keep_item(session: Session, kept: UnconfirmedItem, at: float | None) -> Session:
    """The session with an item that was accepted or sent, until it is confirmed."""
    conversation, items = session.conversation, session.items
    if kept.item_id in items:
        return session
    # An item that is sent again keeps its place: the order is that of the application.
    unconfirmed = {
        each.item_id: each
        for each in conversation.unconfirmed
        if each.item_id not in items
    }
    unconfirmed[kept.item_id] = kept
    if len(unconfirmed) > MAX_UNCONFIRMED:
        message = (
            f"the service has not confirmed more than {MAX_UNCONFIRMED} items: the "
            f"first ones are not sent again if the connection is lost"
        )
        session = put_problem(session, Problem("items_unconfirmed", message, at=at))
    last = tuple(unconfirmed.values())[-MAX_UNCONFIRMED:]
    conversation = replace(conversation, unconfirmed=last)
    return replace(session, conversation=conversation)


def drop_refused(session: Session, event_id: str | None) -> Session:
    """The session without the sent event that an error refuses.

    It is an item, a deletion, or a request out of band.
    """
    if event_id is None:
        return session
    requests = tuple(
        each for each in session.responses.out_of_band if each.event_id != event_id
    )
    session = put_responses(session, replace(session.responses, out_of_band=requests))
    conversation = session.conversation
    unconfirmed, deleting = (
        tuple(each for each in sent if each.event_id != event_id)
        for sent in (conversation.unconfirmed, conversation.deleting)
    )
    kept = replace(conversation, unconfirmed=unconfirmed, deleting=deleting)
    return session if kept == conversation else replace(session, conversation=kept)


def _on_delete(
    session: Session, event: events.ConversationItemDelete, record: Record
) -> Session:
    """A deletion counts if its connection is lost before the service confirms it."""
    if session.connection.policy is None or is_deleted(session, event.item_id):
        return session
    conversation = session.conversation
    others = tuple(
        each
        for each in conversation.deleting
        if each.item_id != event.item_id and not is_deleted(session, each.item_id)
    )
    sent = UnconfirmedItem(event.item_id, event.event_id, record.frame.decode())
    deleting = (*others[1 - MAX_UNCONFIRMED :], sent)
    return replace(session, conversation=replace(conversation, deleting=deleting))


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
        sent=session.dedup.events + 1,
    )
    conversation = session.conversation
    conversation = replace(
        conversation,
        restored=restored.set(item.id, sent),
        restoring=conversation.restoring.set(event.event_id, item.id),
    )
    return replace(session, conversation=conversation)


def first_restoring(session: Session) -> str | None:
    """The first restored item that the service has neither confirmed nor refused."""
    conversation = session.conversation
    items = conversation.restoring.values()
    return min(items, key=lambda one: conversation.restored[one].sent, default=None)


def confirm_restored(session: Session, item_id: str) -> Session:
    """The session after the service has confirmed an item that may be restored."""
    conversation = session.conversation
    sent = conversation.restored.get(item_id)
    if sent is None or sent.event_id not in conversation.restoring:
        return session
    restoring = conversation.restoring.delete(sent.event_id)
    return replace(session, conversation=replace(conversation, restoring=restoring))


def refuse_restored(session: Session, item_id: str) -> Session:
    """The session after an error has refused an item that was to be restored.

    If its predecessor was refused, `react` sends it again.
    """
    session = confirm_restored(session, item_id)
    conversation = session.conversation
    sent = conversation.restored[item_id]
    before = conversation.restored.get(sent.previous or "")
    refused = replace(
        sent,
        refused=(*sent.refused, sent.event_id),
        dropped=before is None or sent.after not in before.refused,
    )
    restored = conversation.restored.set(item_id, refused)
    return replace(session, conversation=replace(conversation, restored=restored))


TABLE: dict[type, Handler] = {events.ConversationItemDelete: _on_delete}
