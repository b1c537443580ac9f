"""The rules of order: where an item stands, and when it comes to exist.

* An item exists from its first mention on, at the end, where it is not placed yet.
* ``previous_item_id`` of ``added`` and ``committed`` places it, once.
* An unknown predecessor is waited for; its children move behind it when it comes.
* No predecessor (null) means in front of all that this connection brought, unless
  that cannot be: then the order of arrival holds.
* A deleted item keeps its place, so that the chain behind it holds.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from duologue.core.log.record import Record
from duologue.core.state.model import Item, Placement, Session
from duologue.core.state.sequence import IdSequence

from .parts import put_item

__all__ = ["is_deleted", "mention", "place", "withdraw"]


def is_deleted(session: Session, item_id: str) -> bool:
    """Whether a tombstone stands for this item: nothing brings it back."""
    item = session.items.get(item_id)
    return item is not None and item.status == "deleted"


def mention(
    session: Session,
    item_id: str,
    record: Record,
    *,
    role: str | None = None,
    type: str = "message",
    response_id: str | None = None,
) -> Session:
    """The session with this item in it, at the end if it is new.

    The output of a response out of band is kept beside the conversation.
    """
    if item_id in session.items:
        return session
    placement = Placement(record.epoch, response_id, started_at=record.at)
    item = Item(item_id, type, role, placement=placement)
    session = put_item(session, item)
    if response_id is not None and _is_out_of_band(session, response_id):
        return session
    return _list(session, item_id)


def place(session: Session, item_id: str, previous: str | UnsetType | None) -> Session:
    """The session with a mentioned item behind its predecessor.

    The first word counts: an echo of an item that has its place changes nothing.
    """
    session = _ensure_listed(session, item_id)
    item = session.items[item_id]
    if item.placement.placed or previous is UNSET or previous == item_id:
        return session
    if previous is not None and previous not in session.items:
        return _wait(session, item_id, previous)
    placement = replace(item.placement, placed=True, previous_item_id=previous)
    session = put_item(session, replace(item, placement=placement))
    if previous is None and _says_nothing(session, item):
        return session
    return _move(session, item_id, previous)


def _says_nothing(session: Session, item: Item) -> bool:
    """Whether no predecessor is a silence of the service, not the front.

    Only what a client puts in can come to stand in front of others. Where what was
    said or is being answered names nobody, the service never names predecessors.
    """
    conversation = session.conversation
    before = conversation.order.before(item.id)
    if before is None or before == conversation.epoch_boundary:
        return False
    ahead = session.items[before].placement
    if not ahead.placed:
        # A reply that is over and has no place yet gets none: nothing is told of any.
        reply = session.response(ahead.response_id)
        return reply is not None and reply.status != "in_progress"
    if item.placement.response_id is not None or item.status == "in_progress":
        return True
    first = conversation.order.before(before) in (None, conversation.epoch_boundary)
    return ahead.previous_item_id is None and not first


def withdraw(session: Session, item_ids: tuple[str, ...]) -> Session:
    """The session without these items in its order, but for those that have a place.

    They were taken for a part of the conversation before their response said that it
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
    return replace(
        session,
        conversation=replace(
            conversation,
            order=order,
            epoch_boundary=_left(
                conversation.order, conversation.epoch_boundary, loose
            ),
            cleared_after=_left(conversation.order, conversation.cleared_after, loose),
        ),
    )


def _left(order: IdSequence, mark: str | None, gone: tuple[str, ...]) -> str | None:
    """A mark in the order, moved in front of what is taken out."""
    while mark is not None and mark in gone:
        mark = order.before(mark)
    return mark


def _is_out_of_band(session: Session, response_id: str | None) -> bool:
    response = session.response(response_id)
    return response is not None and not response.in_conversation


def _ensure_listed(session: Session, item_id: str) -> Session:
    """An item that was taken for out of band stands in the conversation after all."""
    if not _is_out_of_band(session, session.items[item_id].placement.response_id):
        return session
    if item_id in session.conversation.order:
        return session
    return _list(session, item_id)


def _wait(session: Session, item_id: str, previous: str) -> Session:
    waiting = session.conversation.orphans
    queue = waiting.get(previous, ())
    if item_id in queue:
        return session
    return replace(
        session,
        conversation=replace(
            session.conversation, orphans=waiting.set(previous, (*queue, item_id))
        ),
    )


def _move(session: Session, item_id: str, previous: str | None) -> Session:
    """The item, with the items that stand behind it by their links, moved."""
    conversation = session.conversation
    after = previous
    if previous is None or _is_older(session, previous, item_id):
        # What a connection brings stands behind all that was there before, though the
        # service was told of a part of that only.
        after = conversation.epoch_boundary
    if after == item_id or conversation.order.follows(item_id, after):
        return session
    block = _block(session, item_id)
    if after in block:
        # A circle of predecessors: no order satisfies it, so the one we have stays.
        return session
    order = conversation.order
    if block[-1] == order.last and after is not None and after not in order:
        # Behind what stands beside the conversation is the end, where it is.
        return session
    anchor = conversation.epoch_boundary
    if anchor in block:
        left = _left(order, anchor, block)
        anchor = block[-1] if left == after else left
    order = order.without(block).insert_after(after, block)
    conversation = replace(conversation, order=order, epoch_boundary=anchor)
    return replace(session, conversation=conversation)


def _came_before(session: Session, item_id: str) -> bool:
    """Whether an item is of a connection that another one has taken over from."""
    return session.items[item_id].placement.epoch < session.connection.epoch


def _is_older(session: Session, item_id: str, than: str) -> bool:
    """Whether an item came with an earlier connection than another."""
    items = session.items
    return items[item_id].placement.epoch < items[than].placement.epoch


def _block(session: Session, item_id: str) -> tuple[str, ...]:
    """The item and all directly behind it that are there because of it."""
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
    """A new item in the order: at the end, or in front of the first that waited for it.

    That way a chain that comes backwards moves nothing.
    """
    conversation = session.conversation
    order = conversation.order
    waiting = conversation.orphans.get(item_id)
    if waiting is None:
        if _came_before(session, item_id):
            order = order.insert_after(conversation.epoch_boundary, (item_id,))
            listed = replace(conversation, order=order, epoch_boundary=item_id)
        else:
            listed = replace(conversation, order=order.append(item_id))
        return replace(session, conversation=listed)
    front = order.before(waiting[0]) if waiting[0] in order else order.last
    order = order.insert_after(front, (item_id,))
    left = conversation.orphans.delete(item_id)
    session = replace(
        session, conversation=replace(conversation, order=order, orphans=left)
    )
    for child in waiting:
        session = place(session, child, item_id)
    return session
