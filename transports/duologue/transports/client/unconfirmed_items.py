"""Items that were sent and that the service has not shown yet.

A connection that breaks takes them with it: on the next one they are sent once more.
"""

from __future__ import annotations

import hashlib

import msgspec

from duologue.core import Session
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.log.record import Record

__all__ = ["LIMIT", "Unconfirmed", "named"]

#: Items that are kept; a service confirms them one by one, in their order.
LIMIT = 256


class Unconfirmed:
    """Events that created items, by the item's id."""

    def __init__(self) -> None:
        self._sent: dict[str, ev.ConversationItemCreate] = {}

    def sent(self, event: ev.Event, session: Session) -> None:
        """An event went out."""
        if not isinstance(event, ev.ConversationItemCreate):
            return
        item_id = event.item.id
        if item_id and item_id not in session.items:
            self._sent[item_id] = event
            while len(self._sent) > LIMIT:
                self._sent.pop(next(iter(self._sent)))

    def look(self, record: Record) -> None:
        """A record came: it may show an item, or refuse one."""
        if not self._sent or record.dir != "in":
            return
        event = record.event
        if isinstance(event, ev.Error):
            name = event.error.event_id
            self._sent = {
                item_id: create
                for item_id, create in self._sent.items()
                if name is None or create.event_id != name
            }
        elif (item := getattr(event, "item", None)) is not None:
            self._sent.pop(getattr(item, "id", None) or "", None)

    def missing(self, session: Session) -> list[ev.ConversationItemCreate]:
        """Those that the service has not shown, in the order of sending."""
        return [
            event
            for item_id, event in self._sent.items()
            if item_id not in session.items
        ]


def named(event: ev.Event, event_id: str) -> ev.Event:
    """The event with an id, and its new item too: both can be worked out again."""
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
