"""Re-seeding: the events that restore a conversation on a new connection.

The events are the configuration that the service accepted, each change that it has
neither confirmed nor refused, and every item of the conversation in order, with its own
id and its predecessor. Audio is replaced by its transcript. A truncated reply contains
only the words that the user heard. A complete call is sent even if its output is
missing, because the output may still arrive. These items are omitted:

- deleted items, and items without text;
- after a hand-over, messages that still grow on the replaced connection: each is sent
  when it is complete, at the latest when that connection has ended;
- incomplete calls, and outputs whose call is missing;
- MCP items: the new session lists the tools of its MCP servers itself.

All items are sent at once. A service that refuses one also refuses the items behind it,
because their predecessor is missing: these are sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from .. import events
from ..events.base import ClientEvent, Unknown
from ..events.types import SessionKind
from ..log.epochs import CREATED
from ..log.record import Record
from ..reducer.requests.answers import refused_item
from ..reducer.requests.configuration import FIXED_FIELDS
from ..reducer.requests.tool_outputs import find_call
from ..selectors.calls import is_call_of
from ..selectors.transcript import is_final
from ..state.model import Call, Connection, Item, Session
from ..wire.event_ids import item_id_of, items_of
from .commands import client_event, create_item
from .lifecycle import becomes_usable, may_send

__all__ = [
    "is_new_connection",
    "reseed",
    "reseed_late_items",
    "reseed_new_connection",
    "restore_refused",
    "restored_items",
    "send_changes",
]

#: The predecessor of the first item (API page, ``conversation.item.create``).
_FRONT = "root"
_CALLS = ("function_call", "function_call_output")


def reseed_new_connection(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent | Unknown]:
    """Restore the conversation, except on the first connection."""
    if _is_reseeded(before, record, after):
        yield from reseed(after)


def send_changes(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent | Unknown]:
    """Send the changes that were requested before this connection could be used."""
    if becomes_usable(before, after) and not _is_reseeded(before, record, after):
        yield from _updates(after.connection, _unsent_changes(after.connection))


def _is_reseeded(before: Session, record: Record, after: Session) -> bool:
    return after.connection.epoch > 0 and is_new_connection(before, record, after)


def is_new_connection(before: Session, record: Record, after: Session) -> bool:
    """Whether events can be sent to a new session of the service from now on.

    False if the client reconnected to the same session, because the service has kept
    its conversation.
    """
    connection = after.connection
    is_usable = becomes_usable(before, after)
    if connection.policy is not None:
        return is_usable and not connection.rejoined
    if type(record.event) not in CREATED:
        return False
    if connection.server_id is None:
        # `duologue.connected` has opened it before, in a log with local facts.
        return is_usable or connection.created_ids is None
    return connection.server_id != before.connection.server_id


def reseed(session: Session) -> Iterator[ClientEvent | Unknown]:
    """The events that restore the configuration and the conversation."""
    yield from _configurations(session.connection)
    if session.connection.kind is not SessionKind.REALTIME:
        return
    previous = _FRONT
    for item_id in session.conversation.order:
        item = session.items[item_id]
        if item.placement.epoch == session.connection.epoch:
            # The service already has it.
            continue
        wire = _wire_item(session, item)
        if wire is not None:
            yield create_item(wire, previous_item_id=previous)
            previous = item_id


def reseed_late_items(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Send the items that this record of an earlier connection completes."""
    connection, event = after.connection, record.event
    is_end = isinstance(event, events.Disconnected)
    is_restored = connection.policy is not None and not connection.rejoined
    if not is_restored or connection.kind is not SessionKind.REALTIME:
        return
    if not may_send(before) or not may_send(after):
        # They are sent with the others.
        return
    resent = {each.item_id for each in before.conversation.unconfirmed}
    named = (item_id_of(event), *(each.id for each in items_of(event)))
    late = {
        item.id: wire
        for item in map(after.item, after.conversation.order if is_end else named)
        if item is not None and item.id not in resent
        if (known := before.item(item.id)) is not item
        if (wire := _wire_item(after, item)) is not None
        if known is None or _wire_item(before, known) is None
    }
    previous = _FRONT
    for item_id in after.conversation.order if late else ():
        if item_id in late:
            yield create_item(late[item_id], previous_item_id=previous)
        if _is_known(after, after.items[item_id]):
            previous = item_id


def _is_known(session: Session, item: Item) -> bool:
    """Whether the service of this connection has an item, or will have it."""
    if item.placement.epoch == session.connection.epoch:
        return item.status != "deleted"
    sent = session.conversation.restored.get(item.id)
    if sent is not None and sent.dropped:
        return False
    return _wire_item(session, item) is not None


def restore_refused(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Send an item again if it was refused because its predecessor was missing.

    All items are sent at once, so the refusal of one item causes that of all items
    behind it. Each of these is sent again; its predecessor is now the nearest earlier
    item that was not refused for another reason.
    """
    assert isinstance(record.event, events.Error)
    item_id = refused_item(before, record.event.error)
    item, restored = after.item(item_id), after.conversation.restored
    if item is None or restored[item.id].dropped:
        return
    previous = restored[item.id].previous
    while previous is not None and restored[previous].dropped:
        previous = restored[previous].previous
    wire = _wire_item(after, item)
    if wire is not None:
        yield create_item(wire, previous_item_id=previous or _FRONT)


def _configurations(connection: Connection) -> Iterator[ClientEvent | Unknown]:
    """A ``session.update`` for the accepted configuration, and one for each change.

    The changes are separate events, so that a refused one does not affect the others.
    """
    if connection.requested is not None:
        changes = _unsent_changes(connection)
        yield from _updates(connection, (connection.base, *changes))


def _unsent_changes(connection: Connection) -> tuple[str, ...]:
    """The requested changes that were not sent on this connection."""
    changes = connection.changes
    # Without an accepted configuration, the first one is that of the session.
    pending = changes[1:] if connection.accepted is None else changes
    return tuple(change.config for change in pending if not change.sent)


def _updates(
    connection: Connection, configs: Iterable[str]
) -> Iterator[ClientEvent | Unknown]:
    for config in configs:
        values = msgspec.json.decode(config)
        session = {key: values[key] for key in values if key not in FIXED_FIELDS}
        if connection.kind is SessionKind.TRANSLATION:
            session.pop("type", None)
        else:
            session["type"] = connection.kind.value
        try:
            update = {"type": "session.update", "session": session}
            yield client_event(update, connection.kind)
        except ValueError:
            # A log may contain anything.
            continue


def _wire_item(session: Session, item: Item) -> events.AnyItem | None:
    """The wire item that restores an item; None if the item is omitted."""
    if item.status == "deleted":
        return None
    if item.type == "message":
        return None if _is_growing(session, item) else _message(session, item)
    if item.type not in _CALLS or item.call is None:
        return None
    if not _has_call(session, item.call):
        return None
    if item.type == "function_call":
        if not is_call_of(session, item):
            return None
        return events.FunctionCallItem(
            id=item.id,
            call_id=item.call.call_id,
            name=item.call.name,
            arguments=str(item.call.arguments),
        )
    return events.FunctionCallOutputItem(
        id=item.id, call_id=item.call.call_id, output=item.call.output or ""
    )


def _is_growing(session: Session, item: Item) -> bool:
    """Whether more text of a message can arrive on the connection that was replaced."""
    if item.placement.epoch != session.connection.replaced:
        return False
    return item.status == "in_progress" or not is_final(item)


def _has_call(session: Session, call: Call) -> bool:
    """Whether the conversation has the complete call of a call or an output."""
    item = find_call(session, call.key)
    if item is None or item.status == "deleted" or item.call is None:
        return False
    return item.call.complete


def _message(session: Session, item: Item) -> events.MessageItem | None:
    """A message with its text; None if it has no text or no role."""
    content: tuple[events.AnyPart, ...]
    if item.role == "assistant":
        heard = _heard(session, item)
        content = (events.OutputTextPart(text=heard),) if heard else ()
    else:
        texts = [str(part.text) for part in item.parts]
        content = tuple(events.InputTextPart(text=text) for text in texts if text)
    if not content or item.role is None:
        return None
    return events.MessageItem(id=item.id, role=item.role, content=content)


def _heard(session: Session, item: Item) -> str:
    """The words of a reply that the user heard; all words if that is unknown."""
    cut = item.truncation
    if cut is not None and cut.heard is not None:
        return cut.heard
    return "".join(str(part.text) for part in item.parts)


def restored_items(
    history: Session | Iterable[events.AnyItem],
) -> Iterator[events.ConversationItemCreate]:
    """The events that create these items, or the items of another session.

    The items are sent without ids, so that they get new ones.
    """
    if isinstance(history, Session):
        known = [history.items[item_id] for item_id in history.conversation.order]
        wire = (_wire_item(history, item) for item in known)
        history = [item for item in wire if item is not None]
    for item in history:
        yield create_item(msgspec.structs.replace(item, id=None))
