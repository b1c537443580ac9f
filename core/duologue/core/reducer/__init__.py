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
``conversation.item.create``                    seen by ``added``, or an error
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

from immutables import Map

from duologue.core import events
from duologue.core.events.base import ClientEvent, Malformed, Unknown
from duologue.core.record import Record
from duologue.core.state import Session, State, Tally

from . import (
    calls,
    connection,
    conversation,
    facts,
    ledger,
    mcp,
    requests,
    responses,
    speech,
    translation,
)
from .handler import Handler, is_fact

__all__ = ["HANDLERS", "fold", "reduce"]

#: The one place where an event is handled, by its class. The others are counted.
HANDLERS: Mapping[type, Handler] = {
    **connection.TABLE,
    **requests.TABLE,
    **conversation.TABLE,
    **speech.TABLE,
    **responses.TABLE,
    **calls.TABLE,
    **mcp.TABLE,
    **ledger.TABLE,
    **translation.TABLE,
    **facts.TABLE,
}

#: Ids in one generation of the window of event ids seen.
_GENERATION = 512
_NO_IDS: Map[str, bool] = Map()


def reduce(state: State, record: Record) -> State:
    """The state after one record. Never raises, never changes what it was given."""
    event = record.event
    session_id = record.session
    if isinstance(event, events.Forgotten) and is_fact(record):
        if session_id not in state.sessions:
            return state
        return State(state.sessions.delete(session_id))
    session = state.sessions.get(session_id) or Session(session_id)
    tally, duplicate = _count(session.tally, record)
    after: Session | None = session
    if not duplicate:
        handler = HANDLERS.get(type(event))
        if handler is not None and is_fact(record):
            after = handler(session, event, record)
        if after is None:
            after, tally = session, _late(tally)
    return State(state.sessions.set(session_id, _with_tally(after or session, tally)))


def fold(records: Iterable[Record], state: State | None = None) -> State:
    """The state after all the records, beginning from an empty one."""
    state = state or State()
    for record in records:
        state = reduce(state, record)
    return state


def _count(tally: Tally, record: Record) -> tuple[Tally, bool]:
    """The tally with this record, and whether its event was seen before."""
    event = record.event
    recent, older = tally.recent, tally.older
    duplicate = False
    sent = tally.sent
    if record.dir == "out" and isinstance(event, ClientEvent):
        sent = requests.note_sent(sent, event)
    event_id = getattr(event, "event_id", None) if record.dir == "in" else None
    if event_id is not None:
        # Frames of two connections can mix while one hands over to the other.
        key = f"{record.epoch}:{event_id}"
        duplicate = key in recent or key in older
        if not duplicate:
            if len(recent) >= _GENERATION:
                recent, older = _NO_IDS, recent
            recent = recent.set(key, True)
    return (
        Tally(
            tally.events + 1,
            tally.unknown + (type(event) is Unknown),
            tally.malformed + (type(event) is Malformed),
            tally.duplicate + duplicate,
            tally.late,
            recent,
            older,
            sent,
        ),
        duplicate,
    )


def _late(tally: Tally) -> Tally:
    return Tally(
        tally.events,
        tally.unknown,
        tally.malformed,
        tally.duplicate,
        tally.late + 1,
        tally.recent,
        tally.older,
        tally.sent,
    )


def _with_tally(session: Session, tally: Tally) -> Session:
    return Session(
        session.id,
        session.connection,
        session.items,
        session.conversation,
        session.responses,
        session.activity,
        session.ledger,
        tally,
    )
