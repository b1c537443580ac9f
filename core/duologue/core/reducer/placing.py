"""The rules of order: where an item stands, and when it comes to exist.

* An item exists from its first mention on, at the end, where it is not placed yet.
* ``previous_item_id`` of ``added`` and ``committed`` places it, once.
* An unknown predecessor is waited for; its children move behind it when it comes.
* No predecessor (null) means in front of all that this connection brought.
* A deleted item keeps its place, so that the chain behind it holds.
"""

from __future__ import annotations

import attrs
from msgspec import UNSET, UnsetType

from duologue.core.state import Conversation, Item, Placement, Session

from .content import put_item

__all__ = ["is_deleted", "mention", "place"]


def is_deleted(session: Session, item_id: str) -> bool:
    """Whether a tombstone stands for this item: nothing brings it back."""
    item = session.items.get(item_id)
    return item is not None and item.status == "deleted"


def mention(
    session: Session,
    item_id: str,
    at: float | None,
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
    placement = Placement(response_id=response_id, started_at=at)
    session = put_item(
        session, Item(item_id, type=type, role=role, placement=placement)
    )
    if response_id is not None:
        response = session.responses.by_id.get(response_id)
        if response is not None and not response.in_conversation:
            return session
    return _arrange(session, _append(session.conversation, item_id), item_id)


def place(session: Session, item_id: str, previous: str | UnsetType | None) -> Session:
    """The session with a mentioned item behind its predecessor.

    The first word counts: an echo of an item that has its place changes nothing.
    """
    item = session.items[item_id]
    if item.placement.placed or previous is UNSET or previous == item_id:
        return _ensure_listed(session, item_id)
    session = _ensure_listed(session, item_id)
    if previous is not None and previous not in session.items:
        return _wait(session, item_id, previous)
    placement = attrs.evolve(item.placement, placed=True, previous_item_id=previous)
    session = put_item(session, attrs.evolve(item, placement=placement))
    return _move(session, item_id, previous)


def _append(conversation: Conversation, item_id: str) -> Conversation:
    return Conversation(
        conversation.order.append(item_id),
        conversation.waiting,
        conversation.anchor,
        conversation.cleared_after,
    )


def _ensure_listed(session: Session, item_id: str) -> Session:
    """An item that was taken for out of band stands in the conversation after all."""
    if item_id in session.conversation.order:
        return session
    return _arrange(session, _append(session.conversation, item_id), item_id)


def _wait(session: Session, item_id: str, previous: str) -> Session:
    waiting = session.conversation.waiting
    queue = waiting.get(previous, ())
    if item_id in queue:
        return session
    return _with(
        session,
        attrs.evolve(
            session.conversation, waiting=waiting.set(previous, (*queue, item_id))
        ),
    )


def _move(session: Session, item_id: str, previous: str | None) -> Session:
    """The item, with the items that stand behind it by their links, moved."""
    conversation = session.conversation
    after = conversation.anchor if previous is None else previous
    if after == item_id or conversation.order.follows(item_id, after):
        return session
    block = _block(session, item_id)
    if after in block:
        # A circle of predecessors: no order satisfies it, so the one we have stays.
        return session
    order = conversation.order.without(block).insert_after(after, block)
    return _with(session, attrs.evolve(conversation, order=order))


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


def _arrange(session: Session, conversation: Conversation, item_id: str) -> Session:
    """The session with a new item, and those that waited for it behind it."""
    waiting = conversation.waiting.get(item_id)
    if waiting is None:
        return _with(session, conversation)
    left = conversation.waiting.delete(item_id)
    session = _with(session, attrs.evolve(conversation, waiting=left))
    for child in waiting:
        session = place(session, child, item_id)
    return session


def _with(session: Session, conversation: Conversation) -> Session:
    return Session(
        session.id,
        session.connection,
        session.items,
        conversation,
        session.responses,
        session.activity,
        session.ledger,
        session.tally,
    )
