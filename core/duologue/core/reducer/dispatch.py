"""The reducer: ``reduce(state, record) -> state``, total and pure.

Each event type has one function, in the table of the slice that it belongs to:
`connection`, `requests`, `conversation`, `speech`, `responses`, `calls`, `mcp`,
`ledger`, `translation`, `facts`. `placing` holds the rules of order, `content` those
of text, `calling` those of calls, `showing` how a wire item is folded into ours,
`outputs` what the events of a response share; the transitions are in `phases`. A
function gives the session after the event, the same object if nothing changed, or
None for an event that came too late to count.

Every event of a service and every local fact has its function. Of what a client sends
these are counted only, because nothing can be seen of them before the service answers:

==============================================  =====================================
``conversation.item.delete``                    seen by ``deleted``, or an error
``conversation.item.retrieve``                  seen by ``retrieved``, or an error
``conversation.item.truncate``                  seen by ``truncated``, or an error
``input_audio_buffer.append``                   never acknowledged
``input_audio_buffer.clear``                    seen by ``cleared``
``input_audio_buffer.commit``                   seen by ``committed``, or an error
``output_audio_buffer.clear``                   seen by ``cleared``
``response.cancel``                             seen by ``response.done``, or an error
``session.close``                               seen by ``session.closed``
``session.input_audio_buffer.append``           never acknowledged
==============================================  =====================================

Their ids are kept for a while, so that an error can be traced to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from msgspec.structs import replace

from duologue.core.arguments import require
from duologue.core.events import Forgotten
from duologue.core.events.base import Malformed, Unknown
from duologue.core.log.record import Direction, Record
from duologue.core.state.model import Session, State

from . import (
    calls,
    input_audio,
    items,
    local_facts,
    mcp,
    requests,
    responses,
    session,
    translation,
    usage,
)
from .handler import Handler, way

__all__ = ["HANDLERS", "fold", "reduce"]

_RECORDS = "; `read_log` makes records of lines, `Record.of` of a frame"

#: The one place where an event is handled, by its class. The others are counted.
HANDLERS: Mapping[type, Handler] = {
    **session.TABLE,
    **requests.TABLE,
    **items.TABLE,
    **input_audio.TABLE,
    **responses.TABLE,
    **calls.TABLE,
    **mcp.TABLE,
    **usage.TABLE,
    **translation.TABLE,
    **local_facts.TABLE,
}

#: The same, by the way that a record must go for its event to be a fact.
_RECEIVED, _SENT, _LOCAL = (
    {event: handler for event, handler in HANDLERS.items() if way(event) == direction}
    for direction in get_args(Direction)
)


def reduce(state: State, record: Record) -> State:
    """The state after one record. Never raises, never changes what it was given."""
    event: Any = record.event
    kind = event.__class__
    sessions = state.sessions
    session = sessions.get(record.session) or Session(record.session)
    dedup = session.dedup
    if record.dir == "in":
        handler = _RECEIVED.get(kind)
        if event_id := event.event_id:
            # Frames of two connections can mix while one hands over to the other.
            epoch = record.epoch
            dedup = dedup.see(f"{epoch}:{event_id}" if epoch else event_id)
            if dedup is session.dedup:
                kind, handler = _Duplicate, None
                dedup = replace(dedup, events=dedup.events + 1)
        else:
            dedup = replace(dedup, events=dedup.events + 1)
    elif record.dir == "out":
        handler = _SENT.get(kind)
        sent = requests.note_sent(dedup.sent, event)
        dedup = replace(dedup, events=dedup.events + 1, sent=sent)
    elif kind is Forgotten:
        return _without(state, record.session)
    else:
        handler = _LOCAL.get(kind)
        dedup = replace(dedup, events=dedup.events + 1)
    if handler is None:
        if kind in _UNREAD:
            dedup = dedup.ignore(_UNREAD[kind])
    else:
        after = handler(session, event, record)
        if after is None:
            dedup = dedup.ignore("late")
        else:
            session = after
    return State(sessions.set(record.session, replace(session, dedup=dedup)))


class _Duplicate:
    """What an event that came before is taken for."""


#: The reasons to count an event that no function handles, by its class.
_UNREAD = {_Duplicate: "duplicate", Unknown: "unknown", Malformed: "malformed"}


def _without(state: State, session_id: str) -> State:
    if session_id not in state.sessions:
        return state
    return State(state.sessions.delete(session_id))


def fold(records: Iterable[Record], state: State | None = None) -> State:
    """The state after all the records, beginning from an empty one.

    Raises TypeError for what is no state, or holds what is no record.
    """
    if state is None:
        state = State()
    require(state, State, "fold: the state")
    for record in records:
        require(record, Record, "fold: each of the records", _RECORDS)
        state = reduce(state, record)
    return state
