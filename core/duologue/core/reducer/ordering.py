"""The order of items.

* The first event that names an item creates it, at the end of the order, not yet
  placed.
* The predecessor that ``added`` or ``committed`` names places an item, once.
* If the predecessor is unknown, the item is an orphan: it moves behind the predecessor
  when that arrives.
* If the service names no predecessor, the one counts that this client asked for. An
  item of another client with a null predecessor moves in front of the items of this
  connection, if the service names predecessors at all. All other items stay where they
  arrived.
* A deleted item keeps its place, because other items may name it as their predecessor.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.id_sequence import IdSequence
from duologue.core.state.model import Item, Placement, Session

from .handler import put_item

__all__ = ["ensure_item", "is_deleted", "keep_place", "place", "remove_unplaced"]

#: The ``previous_item_id`` of the front of a conversation (API).
_ROOT = "root"


def is_deleted(session: Session, item_id: str) -> bool:
    """Whether the item was deleted; later events do not restore it."""
    return item_id in session.items and session.items[item_id].status == "deleted"


def ensure_item(
    session: Session,
    item_id: str,
    record: Record,
    *,
    role: str | None = None,
    type: str = "message",
    response_id: str | None = None,
) -> Session:
    """The session with this item, at the end of the order if it is new.

    The output of an out-of-band response is not part of the order.
    """
    if item_id in session.items:
        return session
    placement = Placement(record.epoch, response_id, started_at=record.at)
    item = Item(item_id, type, role, placement=placement)
    session = put_item(session, item)
    if response_id is not None and _is_out_of_band(session, response_id):
        return session
    return _list(session, item_id)


def keep_place(session: Session, event: events.ConversationItemCreate) -> Session:
    """The session with the predecessor that this client asked for in a new item."""
    item_id, previous = event.item.id, event.previous_item_id
    if not item_id or item_id in session.items:
        return session
    asked = previous if isinstance(previous, str) else ""
    places = session.conversation.asked_places
    if places.get(item_id) == asked:
        return session
    return _with_conversation(session, asked_places=places.set(item_id, asked))


def place(session: Session, item_id: str, previous: str | UnsetType | None) -> Session:
    """The session with an item placed behind its predecessor.

    Only the first copy with a predecessor places the item; later copies do not move it.
    """
    if previous and not session.conversation.names_places:
        session = _with_conversation(session, names_places=True)
    return _place(session, item_id, previous)


def _place(session: Session, item_id: str, previous: str | UnsetType | None) -> Session:
    session = _ensure_listed(session, item_id)
    item = session.items[item_id]
    if _is_in_place(session, item, previous) or previous == item_id:
        return session
    if item_id in session.conversation.restored:
        # This client chose the predecessor: items that it did not send are missing.
        return session
    after = _predecessor(session, item, previous)
    if isinstance(after, str) and after not in session.items:
        return _add_orphan(session, item_id, after)
    if previous is UNSET and after is UNSET:
        return session
    named = after if isinstance(after, str) else None
    placement = replace(item.placement, placed=True, previous_item_id=named)
    session = put_item(session, replace(item, placement=placement))
    if item_id in session.conversation.asked_places:
        places = session.conversation.asked_places.delete(item_id)
        session = _with_conversation(session, asked_places=places)
    return session if isinstance(after, UnsetType) else _move(session, item_id, after)


def _is_in_place(
    session: Session, item: Item, previous: str | UnsetType | None
) -> bool:
    """Whether an item is placed. A name replaces a null that has not moved it."""
    placement = item.placement
    if not placement.placed or placement.previous_item_id is not None or not previous:
        return placement.placed
    conversation = session.conversation
    before = conversation.order.before(item.id)
    is_first = before is None or before == conversation.epoch_boundary
    return is_first or _is_of_earlier_epoch(session, item.id)


def _predecessor(
    session: Session, item: Item, previous: str | UnsetType | None
) -> str | UnsetType | None:
    """The item to move an item behind; None for the front, UNSET if it stays."""
    asked = session.conversation.asked_places.get(item.id)
    after = previous or asked
    if after:
        return None if after == _ROOT else after
    # Only a client can create an item in front of others, and only from a service that
    # names predecessors does null mean the front.
    is_of_another = previous is None and asked is None and _is_typed(item)
    return None if is_of_another and session.conversation.names_places else UNSET


def _is_typed(item: Item) -> bool:
    """Whether an item is a message of a client: neither spoken nor a reply."""
    if item.type != "message" or item.role == "assistant" or not item.parts:
        return False
    return all(part.type != "input_audio" for part in item.parts)


def remove_unplaced(session: Session, item_ids: tuple[str, ...]) -> Session:
    """The session without these items in its order, except for placed ones.

    They were added to the order before ``response.created`` showed that their response
    is out of band.
    """
    conversation = session.conversation
    loose = tuple(
        item_id
        for item_id in item_ids
        if item_id in session.items and not session.items[item_id].placement.placed
    )
    order = conversation.order.without(loose)
    if order is conversation.order:
        return session
    return _with_conversation(
        session,
        order=order,
        epoch_boundary=_moved_mark(
            conversation.order, conversation.epoch_boundary, loose
        ),
        cleared_after=_moved_mark(
            conversation.order, conversation.cleared_after, loose
        ),
    )


def _moved_mark(
    order: IdSequence, mark: str | None, gone: tuple[str, ...]
) -> str | None:
    """The marked item; if it is removed, the last remaining item before it."""
    while mark is not None and mark in gone:
        mark = order.before(mark)
    return mark


def _with_conversation(session: Session, **changes: Any) -> Session:
    return replace(session, conversation=replace(session.conversation, **changes))


def _is_out_of_band(session: Session, response_id: str | None) -> bool:
    response = session.response(response_id)
    return response is not None and not response.in_conversation


def _ensure_listed(session: Session, item_id: str) -> Session:
    """The session with an out-of-band item in the order, because it is now placed."""
    response_id = session.items[item_id].placement.response_id
    if response_id is None or not _is_out_of_band(session, response_id):
        return session
    if item_id in session.conversation.order:
        return session
    return _list(session, item_id)


def _add_orphan(session: Session, item_id: str, previous: str) -> Session:
    orphans = session.conversation.orphans
    queue = orphans.get(previous, ())
    if item_id in queue:
        return session
    orphans = orphans.set(previous, (*queue, item_id))
    return _with_conversation(session, orphans=orphans)


def _move(session: Session, item_id: str, previous: str | None) -> Session:
    """The session with an item, and the items linked behind it, moved."""
    conversation = session.conversation
    after = previous
    if previous is None or _is_older(session, previous, item_id):
        # The service may know only some items of earlier connections, but the items of
        # a connection follow all of them.
        after = conversation.epoch_boundary
    if after == item_id or conversation.order.follows(item_id, after):
        return session
    block = _block(session, item_id)
    if after in block:
        # A cycle of predecessors: no order satisfies it, so the order stays as it is.
        return session
    order = conversation.order
    if block[-1] == order.last and after is not None and after not in order:
        # The predecessor is out of band, so the item belongs at the end, where it is.
        return session
    boundary = conversation.epoch_boundary
    if boundary in block:
        left = _moved_mark(order, boundary, block)
        boundary = block[-1] if left == after else left
    order = order.without(block).insert_after(after, block)
    return _with_conversation(session, order=order, epoch_boundary=boundary)


def _is_of_earlier_epoch(session: Session, item_id: str) -> bool:
    """Whether an item belongs to an earlier connection than the current one."""
    return session.items[item_id].placement.epoch < session.connection.epoch


def _is_older(session: Session, item_id: str, than: str) -> bool:
    """Whether an item belongs to an earlier connection than another item."""
    items = session.items
    return items[item_id].placement.epoch < items[than].placement.epoch


def _block(session: Session, item_id: str) -> tuple[str, ...]:
    """The item, and the items directly behind it whose predecessor is in the block."""
    block = [item_id]
    members = {item_id}
    for follower in session.conversation.order.after(item_id):
        placement = session.items[follower].placement
        if not placement.placed or placement.previous_item_id not in members:
            break
        block.append(follower)
        members.add(follower)
    return tuple(block)


def _list(session: Session, item_id: str) -> Session:
    """The session with a new item in the order: at the end, or before its orphans.

    If a chain arrives in reverse order, its items therefore need not be moved.
    """
    conversation = session.conversation
    order = conversation.order
    if item_id not in conversation.orphans:
        if _is_of_earlier_epoch(session, item_id):
            order = order.insert_after(conversation.epoch_boundary, (item_id,))
            return _with_conversation(session, order=order, epoch_boundary=item_id)
        return _with_conversation(session, order=order.append(item_id))
    orphans = conversation.orphans[item_id]
    front = order.before(orphans[0]) if orphans[0] in order else order.last
    order = order.insert_after(front, (item_id,))
    left = conversation.orphans.delete(item_id)
    session = _with_conversation(session, order=order, orphans=left)
    for child in orphans:
        session = _place(session, child, item_id)
    return session
