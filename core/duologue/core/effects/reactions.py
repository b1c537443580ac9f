"""The rules of a live session: ``react(before, record, after)`` returns commands.

It is pure, like the reducer. The live client calls it for each record and carries out
each command once, in order. It is not called when a log is folded, because the log
already contains the sent events.

* **Barge-in** (`barge_in`): if the application plays the audio, a
  ``conversation.item.truncate`` reports how much of the reply the user heard.
* **Responses** (`responses`): a ``response.create`` is sent when a response is due, no
  other is in progress and the user is not speaking.
* **Other requested events**: client events that the application requested are sent at
  once.
* **Re-seeding** (`reseed`): a new connection gets the configuration and the
  conversation.
* **Hand-over** (`handover`): a new connection is requested before the current one
  expires.

A rule returns a command when its condition becomes true, not while it is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from .. import events
from ..events.base import ClientEvent
from ..events.types import SessionStatus
from ..log.record import Record
from ..reducer.handler import is_fact
from ..state.model import Session, State
from ..wire.codec import decode
from .barge_in import truncate_interrupted
from .commands import Command, Reconnect, Send, command_id, identified
from .handover import hand_over
from .reseed import reseed_new_connection
from .responses import (
    cancel_silent,
    is_queued,
    respond,
    respond_after_error,
    respond_on_new_connection,
)

__all__ = ["react"]

_Rule = Callable[[Session, Record, Session], Iterator[ClientEvent | Reconnect]]


def react(before: State, record: Record, after: State) -> tuple[Command, ...]:
    """The commands that follow from one record, with reproducible ids."""
    rules = _RULES.get(type(record.event))
    session = after.sessions.get(record.session)
    if rules is None or session is None or not is_fact(record):
        return ()
    earlier = before.sessions.get(record.session) or Session(session.id)
    if earlier.dedup.duplicate != session.dedup.duplicate:
        return ()
    found = [command for rule in rules for command in rule(earlier, record, session)]
    return tuple(
        command
        if isinstance(command, Reconnect)
        else Send(
            session.id, identified(command, command_id(session.id, record.seq, n))
        )
        for n, command in enumerate(found)
    )


def _send_requested(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Send a requested event, unless it is a response that must wait.

    A configuration requested before there is a connection is sent on connecting.
    """
    assert isinstance(record.event, events.Requested)
    if after.connection.status is not SessionStatus.OPEN:
        return
    frame = msgspec.json.encode(record.event.event)
    event = decode(frame, kind=after.connection.kind)
    if isinstance(event, ClientEvent) and not is_queued(event):
        yield event


_RULES: Mapping[type, tuple[_Rule, ...]] = {
    events.InputAudioBufferSpeechStarted: (truncate_interrupted,),
    events.InputAudioBufferCleared: (respond, hand_over),
    events.InputAudioBufferCommitted: (respond,),
    events.ConversationItemAdded: (respond,),
    events.ConversationItemCreated: (respond,),
    events.ConversationItemDone: (respond,),
    events.ResponseDone: (respond, hand_over),
    events.OutputAudioBufferStopped: (hand_over,),
    events.OutputAudioBufferCleared: (hand_over,),
    events.Error: (respond_after_error,),
    events.SessionCreated: (reseed_new_connection, respond_on_new_connection),
    events.SessionUpdated: (respond,),
    events.TranslationSessionCreated: (reseed_new_connection,),
    events.Requested: (_send_requested, respond),
    events.Played: (hand_over,),
    events.Tick: (cancel_silent, respond, hand_over),
}
