"""The reducer: ``reduce(state, record) -> state``, total and pure.

Each event type has one handler, in the table at the end of its module: `session`,
`requests`, `items`, `input_audio`, `responses`, `playback`, `calls`, `mcp`, `usage`,
`translation`. `ordering`, `outputs` and `parts` hold rules that several modules use;
the transitions are in `state.transitions`. A handler returns the session after the
event: the same object if nothing changed, None if the event came too late.

Every server event and every local fact has a handler. These client events are only
counted. They have no effect before the service answers with the event in the second
column:

==============================================  =====================================
``conversation.item.retrieve``                  ``retrieved``, or an error
``input_audio_buffer.append``                   never
``input_audio_buffer.clear``                    ``cleared``
``input_audio_buffer.commit``                   ``committed``, or an error
``output_audio_buffer.clear``                   ``cleared``
``response.cancel``                             ``response.done``, or an error
``session.close``                               ``session.closed``
``session.input_audio_buffer.append``           never
==============================================  =====================================

The last ids are kept, so that an error can be matched to the event that caused it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, get_args

from msgspec.structs import replace

from duologue.core import events
from duologue.core.argument_checks import require
from duologue.core.events.base import Malformed, Unknown
from duologue.core.log.epochs import CREATED, epoch_of
from duologue.core.log.record import Direction, Record
from duologue.core.state.model import Problem, Session, State
from duologue.core.wire.event_ids import ids_of

from . import (
    calls,
    input_audio,
    items,
    mcp,
    playback,
    requests,
    responses,
    session,
    translation,
    usage,
)
from .handler import Handler, add_problem, direction_of
from .identity import identified
from .overlap import handle_apart, is_apart, is_early
from .requests.sent_events import add_sent
from .session import begin_epoch

__all__ = ["HANDLERS", "fold", "reduce"]

_RECORDS = "; `read_log` makes records of lines, `Record.of` of a frame"

#: The handler of each event class. Other events are only counted.
HANDLERS: Mapping[type, Handler] = {
    **session.TABLE,
    **requests.TABLE,
    **items.TABLE,
    **input_audio.TABLE,
    **responses.TABLE,
    **playback.TABLE,
    **calls.TABLE,
    **mcp.TABLE,
    **usage.TABLE,
    **translation.TABLE,
}

#: The handlers of the events that change the state, for each direction of a record.
_RECEIVED, _SENT, _LOCAL = (
    {
        event: identified(event, handler)
        for event, handler in HANDLERS.items()
        if direction_of(event) == direction
    }
    for direction in get_args(Direction)
)
#: The handlers of the events that a successor sends before it carries the session.
_EARLY = {
    event: _RECEIVED[event]
    for event in (
        events.SessionCreated,
        events.SessionUpdated,
        events.TranslationSessionCreated,
        events.TranslationSessionUpdated,
        events.Error,
    )
}


def reduce(state: State, record: Record) -> State:
    """The state after one record. Never raises, never changes its arguments."""
    event: Any = record.event
    kind = event.__class__
    try:
        session = state.sessions[record.session]
    except KeyError:
        session = Session(record.session)
    is_other = record.epoch != session.connection.epoch
    if is_other or kind in CREATED:
        session, record = _with_epoch(session, record)
        is_other = record.epoch != session.connection.epoch
    dedup = session.dedup
    if record.dir == "in":
        handler = _RECEIVED.get(kind)
        if is_other and is_early(session, record):
            handler = _EARLY.get(kind)
        if event_id := event.event_id:
            dedup = dedup.see(event_id, record.epoch)
            if dedup is session.dedup:
                session = _report_repeated_id(session, record, handler)
                kind, handler = _Duplicate, None
                dedup = replace(dedup, events=dedup.events + 1)
        else:
            dedup = replace(dedup, events=dedup.events + 1)
    elif record.dir == "out":
        handler = _SENT.get(kind)
        sent = add_sent(dedup.sent, event)
        dedup = replace(dedup, events=dedup.events + 1, sent=sent)
    elif kind is events.Forgotten:
        return _without(state, record.session)
    else:
        handler = _LOCAL.get(kind)
        is_live = session.connection.policy is not None
        if is_live and kind is events.Connecting and event.attempt > 1:
            # Another connection with its own ids.
            dedup = dedup.forget(record.epoch)
        dedup = replace(dedup, events=dedup.events + 1)
    if handler is None:
        if kind in _UNREAD:
            dedup = dedup.ignore(_UNREAD[kind])
    else:
        if is_other and is_apart(session, record):
            handler = partial(handle_apart, handler)
        after = handler(session, event, record)
        if after is None:
            dedup = dedup.ignore("late")
        else:
            session = after
    return State(state.sessions.set(record.session, replace(session, dedup=dedup)))


def _with_epoch(session: Session, record: Record) -> tuple[Session, Record]:
    """The record with its epoch in the session, which it may begin."""
    epoch = epoch_of(session.connection, record)
    if epoch == record.epoch:
        return session, record
    if epoch > session.connection.epoch:
        session = begin_epoch(session, record, epoch)
    return session, replace(record, epoch=epoch)


def _report_repeated_id(
    session: Session, record: Record, handler: Handler | None
) -> Session:
    """The session with a problem if an ignored event is not a copy of an earlier one.

    The earlier event would have added the item or the response that the event names.
    """
    if handler is None or any(
        it.kind == "repeated_event_id" for it in session.problems
    ):
        return session
    after = handler(session, record.event, record)
    if after is None:
        return session
    for key in ids_of(record.event):
        is_known = key in session.items or key in session.responses.by_id
        if not is_known and (key in after.items or key in after.responses.by_id):
            message = (
                f"events that repeat an earlier event_id, although they are about "
                f"something else, are ignored: the first is a {record.event.type} of "
                f"{key}; give the records of each connection their own epoch"
            )
            problem = Problem("repeated_event_id", message, at=record.at)
            return add_problem(session, problem)
    return session


class _Duplicate:
    """The key of duplicate events in `_UNREAD`."""


#: The counter of an event without a handler, by its class.
_UNREAD = {_Duplicate: "duplicate", Unknown: "unknown", Malformed: "malformed"}


def _without(state: State, session_id: str) -> State:
    if session_id not in state.sessions:
        return state
    return State(state.sessions.delete(session_id))


def fold(records: Iterable[Record], state: State | None = None) -> State:
    """The state after all records; begins with an empty state by default.

    Raises TypeError if the state is not a `State` or a record not a `Record`.
    """
    if state is None:
        state = State()
    require(state, State, "fold: the state")
    for record in records:
        require(record, Record, "fold: each of the records", _RECORDS)
        state = reduce(state, record)
    return state
