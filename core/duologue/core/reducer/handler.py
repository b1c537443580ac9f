"""The type of a handler, and the setters that the handlers share.

A setter returns the same session if nothing changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from duologue.core.events.base import ClientEvent, Event, LocalEvent
from duologue.core.log.record import Direction, Record
from duologue.core.state.model import (
    Activity,
    Connection,
    Item,
    Problem,
    Response,
    Responses,
    Session,
    Turn,
)

__all__ = [
    "MAX_PROBLEMS",
    "Handler",
    "add_problem",
    "direction_of",
    "is_fact",
    "put_activity",
    "put_connection",
    "put_item",
    "put_problem",
    "put_response",
    "put_responses",
    "put_turn",
    "time_of",
]

#: (session, event, record) → the next session, the same object if nothing changed,
#: None if the event came too late.
Handler = Callable[[Session, Any, Record], Session | None]

#: The number of problems that a session keeps; older ones are in its log.
MAX_PROBLEMS = 100


def direction_of(event: type[Event]) -> Direction:
    """The only direction in which an event of this class can change the state.

    Server events count if they were received, client events if they were sent, local
    facts if they were recorded locally.
    """
    if issubclass(event, LocalEvent):
        return "local"
    return "out" if issubclass(event, ClientEvent) else "in"


def is_fact(record: Record) -> bool:
    """Whether a record can change the state: see `direction_of`."""
    return record.dir == direction_of(type(record.event))


def time_of(session: Session, record: Record) -> float | None:
    """When a wait begins with a record: not before the last tick.

    In seconds since the Unix epoch. None if the log has no times; then the wait begins
    at the next tick.
    """
    ticked = session.activity.last_tick_at
    if record.at is None or ticked is None:
        return ticked if record.at is None else record.at
    return max(record.at, ticked)


def put_connection(session: Session, connection: Connection) -> Session:
    """The session with this connection."""
    if connection == session.connection:
        return session
    return replace(session, connection=connection)


def put_activity(session: Session, activity: Activity) -> Session:
    """The session with this activity."""
    if activity == session.activity:
        return session
    return replace(session, activity=activity)


def put_item(session: Session, item: Item) -> Session:
    """The session with this item, in place of the one with the same id."""
    items = session.items
    if item.id in items and items[item.id] is item:
        return session
    return replace(session, items=items.set(item.id, item))


def put_response(session: Session, response: Response) -> Session:
    """The session with this response; a new one is the last."""
    responses = session.responses
    by_id = responses.by_id.set(response.id, response)
    if response.id in responses.by_id:
        return replace(session, responses=replace(responses, by_id=by_id))
    order = responses.order.append(response.id)
    return replace(session, responses=replace(responses, by_id=by_id, order=order))


def put_responses(session: Session, responses: Responses) -> Session:
    """The session with these responses."""
    if responses == session.responses:
        return session
    return replace(session, responses=responses)


def put_turn(session: Session, response: Response, turn: Turn) -> Session:
    """The session with these times of a response."""
    if turn == response.turn:
        return session
    return put_response(session, replace(response, turn=turn))


def add_problem(session: Session, problem: Problem) -> Session:
    """The session with one more problem; only the last hundred are kept."""
    problems = (*session.problems[1 - MAX_PROBLEMS :], problem)
    return replace(session, problems=problems)


def put_problem(session: Session, problem: Problem) -> Session:
    """The session with this problem, in place of one of the same kind and item.

    A service first reports that something failed, and the reason in a later event.
    """
    problems = session.problems
    for index, known in enumerate(problems):
        if (known.kind, known.item_id) == (problem.kind, problem.item_id):
            better = replace(known, message=problem.message, code=problem.code)
            problems = (*problems[:index], better, *problems[index + 1 :])
            return replace(session, problems=problems)
    return add_problem(session, problem)
