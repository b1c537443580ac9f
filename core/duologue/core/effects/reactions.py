"""The rules of a live session: ``react(before, record, after)`` returns commands.

It is pure, like the reducer. The live client calls it for each record and carries out
each command once, in order. It is not called when a log is folded, because the log
already contains the sent events.

* **Barge-in** (`barge_in`): if the application plays the audio, a
  ``conversation.item.truncate`` reports how much of the reply the user heard.
* **Interruption** (`barge_in`): a `duologue.interrupted` cancels the response, also one
  that is not created yet, and its audio.
* **Playback** (`barge_in`): received audio is discarded if it must not be heard.
* **Calls** (`calls`): the tool of a complete function call is run.
* **Responses** (`responses`): a ``response.create`` is sent when a response is due, no
  other is in progress and the user is not speaking.
* **Other requested events**: client events that the application requested are sent at
  once.
* **Re-seeding** (`reseed`): a new connection gets the configuration and the
  conversation.
* **Connections** (`lifecycle`): when to connect, to switch and to give up.
* **Time** (`deadlines`): when the next `duologue.tick` is needed, in live sessions.

A rule returns a command when its condition becomes true, not while it is true. Most
rules are for some types of events; `respond` and `lifecycle` are for all records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from .. import events
from ..events.base import ClientEvent, Unknown
from ..log.record import Record
from ..reducer.handler import is_fact
from ..reducer.identity import to_wire, with_state_ids
from ..state.model import Session, State
from ..wire.codec import decode
from .barge_in import (
    flush_audio,
    interrupt_all,
    stop_interrupted,
    truncate_interrupted,
    truncate_stopped,
)
from .calls import run_calls
from .commands import (
    Command,
    Send,
    WakeAt,
    client_event,
    command_id,
    identified,
    is_queued,
)
from .deadlines import tick_at
from .handover import is_near_expiry
from .lifecycle import lifecycle, may_send, resend_unconfirmed
from .reseed import (
    reseed_late_items,
    reseed_new_connection,
    restore_refused,
    send_changes,
)
from .responses import cancel_silent, respond

__all__ = ["react"]

_Rule = Callable[[Session, Record, Session], Iterator[ClientEvent | Unknown | Command]]


def react(before: State, record: Record, after: State) -> tuple[Command, ...]:
    """The commands that follow from one record, with reproducible ids."""
    session = after.sessions.get(record.session)
    if session is None:
        return ()
    earlier = before.sessions.get(record.session) or Session(session.id)
    rules = _RULES.get(type(record.event), ())
    if not rules and _is_idle(earlier, record, session):
        return ()
    if earlier.dedup.duplicate != session.dedup.duplicate or not is_fact(record):
        return ()
    record = with_state_ids(earlier, record, session)
    # Many records can make a response due: the rule looks at the state only.
    rules = (*rules, respond)
    found = [command for rule in rules for command in rule(earlier, record, session)]
    if record.epoch < earlier.connection.epoch:
        found += reseed_late_items(earlier, record, session)
    # Many records can end a turn, and a hand-over waits for that.
    found += lifecycle(earlier, record, session)
    return (
        *(
            Send(
                session.id,
                identified(
                    to_wire(session, each), command_id(session.id, record.seq, n)
                ),
            )
            if isinstance(each, ClientEvent | Unknown)
            else each
            for n, each in enumerate(found)
        ),
        *_wake(earlier, record, session),
    )


def _is_idle(before: Session, record: Record, after: Session) -> bool:
    """Whether nothing has changed that a rule for all records depends on.

    True for most records: a part of a text or of audio.
    """
    connection = after.connection
    return (
        _is_same(before, record, after)
        and connection.dialing is None
        and record.epoch >= connection.epoch
        and not is_near_expiry(after)
    )


def _is_same(before: Session, record: Record, after: Session) -> bool:
    """Whether everything is the same that `respond` and `tick_at` depend on."""
    return (
        before.connection is after.connection
        and before.activity is after.activity
        and before.responses is after.responses
        and before.conversation is after.conversation
        and (before.items is after.items or type(record.event) in _DELTAS)
    )


def _wake(before: Session, record: Record, after: Session) -> Iterator[WakeAt]:
    """When the next tick is needed, if that has changed or a tick came too early."""
    if after.connection.policy is None or _is_same(before, record, after):
        return
    at = tick_at(after)
    is_early = at is not None and isinstance(record.event, events.Tick)
    if is_early or at != tick_at(before):
        yield WakeAt(after.id, at)


def _send_requested(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent | Unknown]:
    """Send a requested event, unless it is a response, which must wait.

    If nothing can be sent yet, `_RESTORE` sends it when that changes.
    """
    assert isinstance(record.event, events.Requested)
    frame = msgspec.json.encode(record.event.event)
    event = decode(frame, kind=after.connection.kind)
    if may_send(after) and isinstance(event, ClientEvent) and not is_queued(event):
        yield client_event(record.event.event, after.connection.kind)


_RESTORE: tuple[_Rule, ...] = (reseed_new_connection, send_changes, resend_unconfirmed)


def _on_connected(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent | Unknown | Command]:
    """The first connection sends without waiting for a greeting.

    In a log without a policy, every connection waits for it.
    """
    for rule in _RESTORE if after.connection.policy is not None else ():
        yield from rule(before, record, after)


#: The most frequent events. What they add to an item is no condition of a rule.
_DELTAS = frozenset(
    {
        events.ConversationItemInputAudioTranscriptionDelta,
        events.ResponseFunctionCallArgumentsDelta,
        events.ResponseMcpCallArgumentsDelta,
        events.ResponseOutputAudioDelta,
        events.ResponseOutputAudioTranscriptDelta,
        events.ResponseOutputTextDelta,
        events.SessionInputTranscriptDelta,
        events.SessionOutputAudioDelta,
        events.SessionOutputTranscriptDelta,
    }
)

_RULES: Mapping[type, tuple[_Rule, ...]] = {
    events.InputAudioBufferSpeechStarted: (truncate_interrupted,),
    events.ConversationItemAdded: (run_calls,),
    events.ConversationItemCreated: (run_calls,),
    events.ConversationItemDone: (run_calls,),
    events.ConversationItemRetrieved: (run_calls,),
    events.ResponseCreated: (stop_interrupted,),
    events.ResponseDone: (truncate_stopped, run_calls),
    events.ResponseFunctionCallArgumentsDelta: (run_calls,),
    events.ResponseFunctionCallArgumentsDone: (run_calls,),
    events.ResponseOutputAudioDelta: (flush_audio,),
    events.ResponseOutputItemAdded: (run_calls,),
    events.ResponseOutputItemDone: (run_calls,),
    events.OutputAudioBufferCleared: (flush_audio,),
    events.OutputAudioBufferStarted: (stop_interrupted,),
    events.Error: (restore_refused,),
    events.Connected: (_on_connected, run_calls),
    events.SessionCreated: _RESTORE,
    events.SessionUpdated: _RESTORE,
    events.TranslationSessionCreated: _RESTORE,
    events.TranslationSessionUpdated: _RESTORE,
    events.Requested: (_send_requested,),
    events.Interrupted: (interrupt_all, flush_audio),
    events.Tick: (*_RESTORE, cancel_silent),
    events.Switched: _RESTORE,
}
