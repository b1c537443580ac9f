"""Sent items that are not confirmed; they are sent again on the next connection."""

from __future__ import annotations

import hashlib

import msgspec

from duologue.core import Session
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.log.record import Record

__all__ = ["LIMIT", "UnconfirmedItems", "with_ids"]

#: Maximum number of kept items; a service confirms items one by one, in order.
LIMIT = 256

#: The events with which a service confirms an item.
_CONFIRMING = (
    ev.ConversationItemAdded
    | ev.ConversationItemCreated
    | ev.ConversationItemDone
    | ev.ConversationItemRetrieved
)


class UnconfirmedItems:
    """``conversation.item.create`` events that wait for confirmation, by item id."""

    def __init__(self) -> None:
        self._sent: dict[str, ev.ConversationItemCreate] = {}

    def sent(self, event: ev.Event, session: Session) -> None:
        """Keep a sent event if it creates an item."""
        if not isinstance(event, ev.ConversationItemCreate):
            return
        item_id = event.item.id
        if item_id and item_id not in session.items:
            self._sent[item_id] = event
            while len(self._sent) > LIMIT:
                self._sent.pop(next(iter(self._sent)))

    def received(self, record: Record) -> None:
        """Remove the item that a received record confirms or refuses."""
        if not self._sent or record.dir != "in":
            return
        event = record.event
        if isinstance(event, ev.Error):
            refused = event.error.event_id
            self._sent = {
                item_id: create
                for item_id, create in self._sent.items()
                if refused is None or create.event_id != refused
            }
        elif isinstance(event, _CONFIRMING):
            self._sent.pop(event.item.id or "", None)

    def missing(self, session: Session) -> list[ev.ConversationItemCreate]:
        """Events whose items are not in the session, in sending order."""
        return [
            event
            for item_id, event in self._sent.items()
            if item_id not in session.items
        ]


def with_ids(event: ev.Event, event_id: str) -> ev.Event:
    """Give the event this id, and a new item an id derived from it."""
    if not isinstance(event, ev.ClientEvent | ev.Unknown):
        return event
    if isinstance(event, ev.ConversationItemCreate) and not (
        event.item.id or isinstance(event.item, ev.UnknownItem)
    ):
        # At most 32 characters (API page, ``conversation.item.create``).
        digest = hashlib.blake2b(event_id.encode(), digest_size=13).hexdigest()
        item = msgspec.structs.replace(event.item, id=f"item_{digest}")
        event = msgspec.structs.replace(event, item=item)
    return commands.identified(event, event_id)
