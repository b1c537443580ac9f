"""The table of ids in the state that differ from those of the service."""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import count
from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Identity, Names, Problem, Session

from ..handler import put_problem

__all__ = [
    "MAX_USES",
    "find_response",
    "identity_of",
    "items_named",
    "name_item",
    "next_item",
    "next_response",
    "put_ambiguity",
    "put_identity",
    "responses_named",
    "state_ids_of",
    "to_wire",
]

#: The number of further uses of an id that a session keeps.
MAX_USES = 32

#: The session has the ids of its service.
_NONE = Identity()


def to_wire(session: Session, event: Any) -> Any:
    """A client event with the ids of the service on the present connection."""
    identity = session.conversation.identity
    if identity is None:
        return event
    match event:
        case events.ConversationItemCreate(previous_item_id=str() as name):
            name = _wire_id(session, identity.items, name)
            return replace(event, previous_item_id=name)
        case (
            events.ConversationItemDelete(item_id=name)
            | events.ConversationItemRetrieve(item_id=name)
            | events.ConversationItemTruncate(item_id=name)
        ):
            return replace(event, item_id=_wire_id(session, identity.items, name))
        case events.ResponseCancel(response_id=str() as name):
            name = _wire_id(session, identity.responses, name)
            return replace(event, response_id=name)
        case _:
            return event


def _wire_id(session: Session, names: Names, id: str) -> str:
    present = session.connection.epoch
    epoch, wire_id = names.wire_ids.get(id, (present, id))
    return wire_id if is_joined(session, epoch, present) else id


def state_ids_of(session: Session, wire_id: str) -> Iterator[str]:
    """What else than itself an id of the service has named, on any connection."""
    identity = identity_of(session)
    for names in (identity.items, identity.responses):
        yield from (name for _, name in names.uses.get(wire_id, ()))


def identity_of(session: Session) -> Identity:
    """The names in a session; empty ones if all ids are those of the service."""
    return session.conversation.identity or _NONE


def is_joined(session: Session, one: int, other: int) -> bool:
    """Whether two connections have the same session of the service."""
    if one == other:
        return True
    connection = session.connection
    return connection.rejoined and max(one, other) == connection.epoch


def _named(
    session: Session, names: Names, wire_id: str, epoch: int, known: int | None
) -> Iterator[str]:
    """What an id names on a connection, the last use first.

    ``known`` is the epoch of what has this id in the state.
    """
    for at, name in reversed(names.uses.get(wire_id, ())):
        if is_joined(session, at, epoch):
            yield name
    if known is not None and is_joined(session, known, epoch):
        renamed = names.wire_ids.get(wire_id)
        if renamed is None or not is_joined(session, renamed[0], epoch):
            yield wire_id


def _free_id(names: Names, wire_id: str, *taken: Container[str]) -> str:
    """The id of another use of an id: the next number that is free."""
    numbers = (
        int(number)
        for _, name in reversed(names.uses.get(wire_id, ()))
        for base, _, number in (name.rpartition("~"),)
        if base == wire_id and number.isdecimal()
    )
    for number in count(next(numbers, 1) + 1):
        name = f"{wire_id}~{number}"
        if not any(name in known for known in taken):
            return name
    raise AssertionError  # pragma: no cover - `count` does not end


def _with_name(names: Names, wire_id: str, id: str, epoch: int) -> Names:
    uses = tuple(use for use in names.uses.get(wire_id, ()) if use != (epoch, id))
    return Names(
        names.uses.set(wire_id, (*uses[1 - MAX_USES :], (epoch, id))),
        names.wire_ids.set(id, (epoch, wire_id)),
    )


def put_identity(session: Session, **changed: Names) -> Session:
    """The session whose ids differ from those of the service."""
    identity = replace(identity_of(session), **changed)
    conversation = replace(session.conversation, identity=identity)
    return replace(session, conversation=conversation)


def put_ambiguity(
    session: Session, wire_id: str, item_id: str, record: Record
) -> Session:
    """The session with the fact that an event may be about another item with its id."""
    message = (
        f"several items have the id {wire_id} at the service: a {record.event.type} "
        f"was read as an event of {item_id}"
    )
    problem = Problem("ambiguous_item_id", message, item_id=item_id, at=record.at)
    return put_problem(session, problem)


def name_item(session: Session, wire_id: str, id: str, epoch: int) -> Session:
    """The session in which an id of the service names this item."""
    names = identity_of(session).items
    return put_identity(session, items=_with_name(names, wire_id, id, epoch))


def responses_named(session: Session, wire_id: str, epoch: int) -> Iterator[str]:
    """The responses that an id names on a connection, the last one first."""
    known, names = session.response(wire_id), identity_of(session).responses
    begun = None if known is None else known.epoch
    return _named(session, names, wire_id, epoch, begun)


def next_response(session: Session, wire_id: str, epoch: int) -> tuple[Session, str]:
    """The id in the state of a response that begins."""
    by_id, names = session.responses.by_id, identity_of(session).responses
    if wire_id not in by_id:
        return session, wire_id
    name = _free_id(names, wire_id, by_id)
    names = _with_name(names, wire_id, name, epoch)
    return put_identity(session, responses=names), name


def find_response(session: Session, wire_id: str, epoch: int) -> tuple[Session, str]:
    """The response that an event names; a new one if it is of another connection."""
    known = session.responses.by_id.get(wire_id)
    if session.conversation.identity is None and (
        known is None or known.epoch == epoch
    ):
        return session, wire_id
    name = next(responses_named(session, wire_id, epoch), None)
    return next_response(session, wire_id, epoch) if name is None else (session, name)


def items_named(session: Session, wire_id: str, epoch: int) -> Iterator[str]:
    """The items that an id names on a connection, the last one first."""
    known, names = session.items.get(wire_id), identity_of(session).items
    placed = None if known is None else known.placement.epoch
    return _named(session, names, wire_id, epoch, placed)


def next_item(
    session: Session, wire_id: str, epoch: int, taken: Container[str] = ()
) -> tuple[Session, str]:
    """The id in the state of an item that begins."""
    if wire_id not in session.items and wire_id not in taken:
        return session, wire_id
    name = _free_id(identity_of(session).items, wire_id, session.items, taken)
    return name_item(session, wire_id, name, epoch), name
