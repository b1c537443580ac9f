"""What to do because of what happened: ``react(before, record, after)``.

Pure, like the reducer. The live client runs it; a fold of a log does not, because
what was sent then is in the log. The rules, each a function below:

* **Barge-in.** Where we play the audio ourselves, the service is told how much of it
  was heard.
* **Answers.** A ``response.create`` goes out when one is due and the service is free
  for it. One is due if the application wished for it, or if every whole function call
  of a completed response has its output, no response began since, and items are sent
  from here (a watcher beside the one who runs the tools keeps still). Interrupted
  calls are waited for by nobody. The service is free if it has no response in work, no
  ``response.create`` to answer, and no turn of the user's that it will answer by
  itself: that answer sees the outputs too. An error is no reason to ask again.
* **Wishes.** Any other client event that was wished for is sent at once.
* **A new connection** gets the configuration and the conversation: see `reseeding`.
* **Hand-over.** Before a connection expires a new one is asked for: between two turns
  if there is time, at the last moment in any case. Time is what `duologue.tick` says.
  `Reconnect` comes once when the moment comes, and once more after each turn until a
  `duologue.connecting` shows that it is carried out.

A command comes when what it needs has come true, not while it is: whoever runs this
carries out every command, once, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec import UNSET

from .. import events
from ..events.base import ClientEvent
from ..events.types import SessionStatus
from ..log.record import Record
from ..reducer.handler import is_fact
from ..selectors.calls import has_output, select_pending_calls
from ..selectors.session import is_idle
from ..state.model import Item, Response, Session, State
from ..wire.audio_fields import arrived_ms
from ..wire.codec import decode
from .commands import (
    Command,
    Reconnect,
    Send,
    command_id,
    create_response,
    identified,
    truncate,
)
from .reseed import reseed

__all__ = [
    "HAND_OVER_DEADLINE",
    "HAND_OVER_EARLY",
    "PATIENCE",
    "cut_short",
    "may_hand_over",
    "outputs_are_in",
    "react",
]

#: Seconds before its end at which a connection is given up between two turns.
HAND_OVER_EARLY = 300.0
#: Seconds before its end at which it is given up whatever goes on.
HAND_OVER_DEADLINE = 30.0
#: Seconds after which nobody waits any more for the service to answer what was said.
PATIENCE = 10.0

_Reaction = Callable[[Session, Record, Session], Iterator[ClientEvent | Reconnect]]


def react(before: State, record: Record, after: State) -> tuple[Command, ...]:
    """The commands that follow from one record, with reproducible ids."""
    reactions = _TABLE.get(type(record.event))
    session = after.sessions.get(record.session)
    if reactions is None or session is None or not is_fact(record):
        return ()
    earlier = before.sessions.get(record.session) or Session(session.id)
    if earlier.tally.duplicate != session.tally.duplicate:
        return ()
    found = [command for one in reactions for command in one(earlier, record, session)]
    return tuple(
        command
        if isinstance(command, Reconnect)
        else Send(
            session.id, identified(command, command_id(session.id, record.seq, n))
        )
        for n, command in enumerate(found)
    )


# Barge-in.


def _truncate(before: Session, record: Record, after: Session) -> Iterator[ClientEvent]:
    """Say how much was heard of what the user interrupted."""
    if _turns_may(after, "interrupt_response"):
        yield from cut_short(after)


def cut_short(session: Session) -> Iterator[ClientEvent]:
    """Say how much was heard of the reply that stops now.

    Over WebRTC the service plays and truncates itself, and nobody reports a playing
    position. Clamped to the audio that arrived: more is an error of the service.
    """
    response = _last_response(session)
    for item_id in response.item_ids if response is not None else ():
        item = session.items.get(item_id)
        if item is None or item.placement.played_ms is None or item.truncation:
            continue
        arrived = arrived_ms(session, item)
        # All of what arrived was heard: then only what is still to come is cut off.
        if item.placement.played_ms < arrived or (arrived and _is_open(session, item)):
            heard = min(max(item.placement.played_ms, 0), arrived)
            yield truncate(item_id, heard, content_index=_audio_part(item))


def _is_open(session: Session, item: Item) -> bool:
    """Whether more of an item is to come."""
    return item.status == "in_progress" and session.responses.active is not None


def _audio_part(item: Item) -> int:
    """The index of the part that is heard."""
    heard = (index for index, part in enumerate(item.parts) if part.audio_bytes)
    return next(heard, 0)


def _last_response(session: Session) -> Response | None:
    """The response of the conversation that began last."""
    for response_id in reversed(session.responses.order):
        response = session.responses.by_id[response_id]
        if response.in_conversation:
            return response
    return None


def _turns_may(session: Session, what: str) -> bool:
    """Whether the service, when it hears a turn of the user's, does this by itself.

    ``create_response`` or ``interrupt_response``; on unless they are switched off.
    """
    audio = getattr(session.connection.confirmed, "audio", UNSET)
    detection = getattr(getattr(audio, "input", UNSET), "turn_detection", UNSET)
    return detection is not None and getattr(detection, what, True) is not False


# Answers.


def _respond(before: Session, record: Record, after: Session) -> Iterator[ClientEvent]:
    """Ask for the response that has become due."""
    event = _due(after)
    if event is not None and _due(before) is None:
        yield event


def _respond_anew(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Ask on a new connection for what could not be asked for before."""
    event = _due(after)
    if event is not None and _is_new(before, record, after):
        yield event


def _respond_after_error(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """What was refused is not asked for again, but what was wished for meanwhile is."""
    if after.responses.wished is not None:
        yield from _respond(before, record, after)


def _due(session: Session) -> ClientEvent | None:
    """The response to ask for; None if none is wanted or it is not the time."""
    if not _is_free(session):
        return None
    if session.responses.wished is not None:
        wish = decode(session.responses.wished)
        # One that cannot be read was a wish for an answer nevertheless.
        return wish if isinstance(wish, events.ResponseCreate) else create_response()
    return create_response() if outputs_are_in(session) else None


def _is_free(session: Session) -> bool:
    responses = session.responses
    if session.connection.status is not SessionStatus.OPEN:
        return False
    if responses.active is not None or responses.asked:
        return False
    return not (_turns_may(session, "create_response") and _has_turn(session))


def _has_turn(session: Session) -> bool:
    """Whether the user speaks, or has spoken and the service is about to answer."""
    activity = session.activity
    if activity.speaking_item is not None:
        return True
    item = session.item(activity.last_spoken)
    ended = item.placement.speech_ended_at if item is not None else None
    if item is None or ended is None:
        return False
    response = _last_response(session)
    if response is not None and response.turn.item_id == item.id:
        return False
    return (activity.ticked_at or ended) - ended < PATIENCE


def outputs_are_in(session: Session) -> bool:
    """Whether the model is to be asked what it makes of outputs, which come from here.

    All those of one response must be there, and none may have begun since.
    """
    output, response = _last_output(session)
    if output is None or response is None or response.status != "completed":
        return False
    items = [session.items.get(item_id) for item_id in response.item_ids]
    calls = [item.call for item in items if item and item.type == "function_call"]
    whole = [call for call in calls if call is not None and call.complete]
    if not all(has_output(session, call) for call in whole):
        return False
    ours = any(call.answered for call in whole)
    return ours and not _was_seen(session, output, response)


def _last_output(session: Session) -> tuple[Item | None, Response | None]:
    """The function's output that came last, with the response that wanted it."""
    conversation = session.conversation
    output = session.item(conversation.last_output)
    if output is None or output.call is None:
        return output, None
    link = conversation.calls.get(output.call.call_id or "")
    call = session.item(link.call) if link is not None else None
    wanted = call.placement.response_id if call is not None else None
    response = session.response(wanted)
    return output, response if response and response.in_conversation else None


def _was_seen(session: Session, output: Item, response: Response) -> bool:
    """Whether a later response began when the output was there."""
    last = _last_response(session)
    if last is None or last.id == response.id:
        return False
    created, came = last.turn.created_at, output.placement.started_at
    return created is None or came is None or created >= came


# Wishes.


def _pass_on(before: Session, record: Record, after: Session) -> Iterator[ClientEvent]:
    """Send what was wished for, but for a response that waits for its time.

    A configuration wished for before there is a connection goes with it.
    """
    assert isinstance(record.event, events.Requested)
    kind = after.connection.kind
    wish = decode(msgspec.json.encode(record.event.event), kind=kind)
    if after.connection.status is not SessionStatus.OPEN:
        return
    if isinstance(wish, events.ResponseCreate) and not _is_out_of_band(wish):
        return
    if isinstance(wish, ClientEvent):
        yield wish


def _is_out_of_band(event: events.ResponseCreate) -> bool:
    return getattr(event.response, "conversation", UNSET) == "none"


# Connections.


def _seed(before: Session, record: Record, after: Session) -> Iterator[ClientEvent]:
    """Give a new connection what the ones before it knew."""
    if record.epoch > 0 and _is_new(before, record, after):
        yield from reseed(after)


def _is_new(before: Session, record: Record, after: Session) -> bool:
    """Whether this is the first that the service says of a session of its own.

    One to which we only connected again still knows all.
    """
    if record.epoch != after.connection.epoch:
        return False
    name = after.connection.server_id
    return name is None or name != before.connection.server_id


def _hand_over(before: Session, record: Record, after: Session) -> Iterator[Reconnect]:
    reason = _must_go(after)
    if reason is not None and _must_go(before) is None:
        yield Reconnect(after.id, reason)


def _must_go(session: Session) -> str | None:
    """Why the connection must be given up now."""
    expires, now = session.connection.expires_at, session.activity.ticked_at
    if expires is None or now is None:
        return None
    if session.connection.status is not SessionStatus.OPEN:
        return None
    if _is_last_moment(session):
        return "the connection is about to expire"
    if now >= expires - HAND_OVER_EARLY and _is_quiet(session):
        return "the connection expires soon"
    return None


def may_hand_over(session: Session) -> bool:
    """Whether no turn is cut if the connection ends now, or none can be spared.

    For who has begun to hand over: a turn may begin while the next one connects.
    """
    return _is_last_moment(session) or _is_quiet(session)


def _is_last_moment(session: Session) -> bool:
    """Whether the connection must be given up whatever goes on."""
    expires, now = session.connection.expires_at, session.activity.ticked_at
    if expires is None or now is None:
        return False
    return now >= expires - HAND_OVER_DEADLINE


def _is_quiet(session: Session) -> bool:
    """Whether no turn is in progress and no function call is pending."""
    return is_idle(session) and not select_pending_calls(session)


_TABLE: Mapping[type, tuple[_Reaction, ...]] = {
    events.InputAudioBufferSpeechStarted: (_truncate,),
    events.InputAudioBufferCleared: (_respond, _hand_over),
    events.ConversationItemAdded: (_respond,),
    events.ConversationItemCreated: (_respond,),
    events.ConversationItemDone: (_respond,),
    events.ResponseDone: (_respond, _hand_over),
    events.OutputAudioBufferStopped: (_hand_over,),
    events.OutputAudioBufferCleared: (_hand_over,),
    events.Error: (_respond_after_error,),
    events.SessionCreated: (_seed, _respond_anew),
    events.SessionUpdated: (_respond,),
    events.TranslationSessionCreated: (_seed,),
    events.Requested: (_pass_on, _respond),
    events.Played: (_hand_over,),
    events.Tick: (_respond, _hand_over),
}
