"""Responses: their status, their output items, and the deltas of text and audio.

A response whose service falls silent ends: this adds a problem. No delta records its
time. The size of the response is compared at ticks instead, so the silence lasts from
one to two `SILENCE_TIMEOUT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from immutables import Map
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Input, Item, Problem, Response, Session

from .calls import end_call
from .handler import (
    Handler,
    add_problem,
    put_activity,
    put_item,
    put_response,
    put_turn,
    time_of,
)
from .identity import identify, is_anonymous
from .items import finish_item, merge_item
from .ordering import remove_unplaced
from .outputs import add_output, ensure_output, response_of
from .parts import (
    close_part,
    close_parts,
    grow_audio,
    grow_text,
    merge_content,
)
from .playback import end_heard, is_played, truncate_response
from .requests.in_flight import clear_in_flight
from .requests.inputs import take_inputs
from .requests.out_of_band import resolve_conversation
from .usage import add_usage, count_ended

__all__ = [
    "SILENCE_TIMEOUT",
    "TABLE",
    "abandon_responses",
    "end_silent_response",
    "silence_deadlines",
]

#: Seconds to wait for more of a response in progress. A reasoning model may think, and
#: an MCP tool may run, for more than a minute without an event. Playback does not
#: count: it goes on after the response has ended.
SILENCE_TIMEOUT = 120.0

#: The ``reason`` of a response that ended because the service fell silent.
_SILENT = "silent"
_FINAL = ("completed", "cancelled", "failed", "incomplete")


def _end(
    session: Session, response_id: str, trigger: str, reason: str | None
) -> Session:
    """The session after a response has ended; the response is no longer active."""
    responses = session.responses
    response = responses.by_id[response_id]
    status = transitions.next_status(transitions.RESPONSE, response.status, trigger)
    if response.status not in _FINAL:
        session = count_ended(session)
    ended = replace(response, status=status, reason=reason)
    responses = replace(responses, by_id=responses.by_id.set(response_id, ended))
    if responses.active == response_id:
        since = responses.waiting_since if responses.in_flight else None
        responses = replace(responses, active=None, answered=None, waiting_since=since)
    return replace(session, responses=replace(responses, refused_at=()))


def _finish_items(session: Session, response_id: str, at: float | None) -> Session:
    """The session with all items of an ended response finished and all parts closed.

    An item that is still in progress becomes completed if the response completed, and
    incomplete otherwise. If all of its audio was played, its playback is over.
    """
    response = session.responses.by_id[response_id]
    ended = "completed" if response.status == "completed" else "incomplete"
    for item_id in response.item_ids:
        item = session.items.get(item_id)
        if item is None or item.status == "deleted":
            continue
        if item.status == "in_progress":
            item = finish_item(item, at, ended)
        else:
            item = close_parts(item)
        session = end_call(put_item(session, item), item_id, at)
    return end_heard(session, response_id, at)


def abandon_responses(
    session: Session, epoch: int, at: float | None, playing: str | None = None
) -> Session:
    """The session after the responses in progress on a lost connection have ended.

    Their items are incomplete and keep the text that arrived. Their audio is truncated,
    and so is that of the response ``playing``. ``at`` is the time of the loss.
    """
    is_waiting = False
    for response_id in session.responses.order:
        response = session.responses.by_id[response_id]
        lost = response.status == "in_progress" and response.epoch <= epoch
        if lost:
            session = _end(
                session, response_id, transitions.DISCONNECTED, "disconnected"
            )
            session = _finish_items(session, response_id, at)
        if lost or response_id == playing or is_waiting:
            session = truncate_response(session, response, at, is_waiting=is_waiting)
        if response_id == playing:
            # The client also discards the audio that waits behind it.
            is_waiting = is_played(session, response)
    return session


# Silence.


def silence_deadlines(session: Session) -> Iterator[float]:
    """When to compare the size of the active response, in seconds since the epoch."""
    responses = session.responses
    if responses.active is None or responses.in_flight is not None:
        return
    if responses.waiting_since is not None:
        yield responses.waiting_since + SILENCE_TIMEOUT


def end_silent_response(session: Session, at: float) -> Session:
    """The session at a time, with the active response ended if it no longer grows."""
    responses = session.responses
    active, since = session.response(responses.active), responses.waiting_since
    if active is None or responses.in_flight is not None:
        return session
    if since is not None and at < since + SILENCE_TIMEOUT:
        return session
    progress = _size(session, active)
    # A tick that is much too late: this process slept, so events may be waiting.
    is_overslept = since is not None and at > since + 2 * SILENCE_TIMEOUT
    if since is None or is_overslept or progress != responses.progress:
        responses = replace(responses, waiting_since=at, progress=progress)
        return replace(session, responses=responses)
    message = f"the service sent nothing of the response for {SILENCE_TIMEOUT:g} s"
    problem = Problem("response_silent", message, at=at, response_id=active.id)
    return _end_unfinished(add_problem(session, problem), active.id, at)


def _end_unfinished(session: Session, response_id: str, at: float | None) -> Session:
    """The session with a response ended for which no ``response.done`` has come."""
    session = _end(session, response_id, transitions.SILENT, _SILENT)
    return _finish_items(session, response_id, at)


def _size(session: Session, response: Response) -> int:
    """A number that grows with each event of a response that adds to it."""
    size = len(response.item_ids)
    for item in filter(None, map(session.items.get, response.item_ids)):
        size += (item.status != "in_progress") + len(item.parts)
        size += sum(
            len(str(part.text)) + part.audio_bytes + part.final for part in item.parts
        )
        if item.call is not None:
            size += len(str(item.call.arguments)) + item.call.final
    return size


# Events.


def _on_created(
    session: Session, event: events.ResponseCreated, record: Record
) -> Session:
    wire = event.response
    known = session.response(wire.id)
    if not wire.id or (known is not None and known.announced):
        return session
    session, begun = resolve_conversation(session, wire, record)
    session = _announce(session, begun, record.at, record.epoch)
    if begun.conversation_id is None:
        return session
    active = session.response(session.responses.active)
    if active is not None and is_anonymous(active.id):
        # Without an id, no later event can end it.
        session = _end_unfinished(session, active.id, record.at)
    activity, responses = session.activity, session.responses
    dismissed = responses.dismissed_item
    if responses.cancelling or (dismissed and dismissed == activity.unanswered_item):
        stopping = replace(responses.by_id[wire.id], stopping=True)
        responses = put_response(session, stopping).responses
    responses = replace(
        responses,
        active=wire.id,
        answered=None if responses.cancelling else responses.in_flight,
        in_flight=None,
        in_flight_items=(),
        waiting_since=time_of(session, record),
        progress=None,
        cancelling=False,
        dismissed_item=None,
        withdrawing=False,
        refused_at=(),
    )
    session = replace(session, responses=responses)
    if activity.unanswered_item is None:
        return session
    # This response answers the user's turn; a later response does not.
    return put_activity(session, replace(activity, unanswered_item=None))


def _announce(
    session: Session, wire: events.RealtimeResponse, at: float | None, epoch: int
) -> Session:
    """The session with a response whose ``created`` or ``done`` event has arrived."""
    assert wire.id is not None
    known = session.responses.by_id.get(wire.id) or Response(wire.id)
    in_conversation = wire.conversation_id is not None
    inputs: tuple[Input, ...] | None = ()
    if in_conversation:
        session, inputs = take_inputs(session, epoch, _first_output_at(session, known))
    spoken = [one.item_id for one in inputs or () if one.kind == "spoken"]
    item = session.item(spoken[-1]) if spoken else None
    turn = replace(
        known.turn,
        item_id=item.id if item else None,
        speech_ended_at=item.placement.speech_ended_at if item else None,
        created_at=at,
    )
    response = replace(
        known,
        in_conversation=in_conversation,
        metadata=Map(wire.metadata) if wire.metadata else known.metadata,
        turn=turn,
        announced=True,
        epoch=epoch,
        model=session.model,
        answers=_messages_in_flight(session) if in_conversation else (),
        inputs=inputs,
    )
    session = put_response(session, response)
    return session if in_conversation else remove_unplaced(session, known.item_ids)


def _first_output_at(session: Session, response: Response) -> float | None:
    """When the output of a response began that has not been announced."""
    items = map(session.item, response.item_ids[:1])
    return next((item.placement.started_at for item in items if item), None)


def _messages_in_flight(session: Session) -> tuple[str, ...]:
    """The messages that the request in flight is to answer, without the outputs."""
    found = ((each, session.item(each)) for each in session.responses.in_flight_items)
    return tuple(
        item_id
        for item_id, item in found
        if item is None or item.type != "function_call_output"
    )


def _on_item_added(
    session: Session, event: events.ResponseOutputItemAdded, record: Record
) -> Session:
    response_id = response_of(session, event)
    session = merge_item(
        session,
        event.item,
        record,
        done=False,
        response_id=response_id,
    )
    return add_output(session, response_id, event.item.id, record.epoch)


def _on_item_done(
    session: Session, event: events.ResponseOutputItemDone, record: Record
) -> Session:
    response_id = response_of(session, event)
    session = merge_item(
        session, event.item, record, done=True, response_id=response_id
    )
    return add_output(session, response_id, event.item.id, record.epoch)


def _on_part_added(
    session: Session, event: events.ResponseContentPartAdded, record: Record
) -> Session:
    return _merge_part(session, event, record, done=False)


def _on_part_done(
    session: Session, event: events.ResponseContentPartDone, record: Record
) -> Session:
    return _merge_part(session, event, record, done=True)


def _merge_part(session: Session, event: Any, record: Record, *, done: bool) -> Session:
    session = ensure_output(session, event, record)
    item = session.items[event.item_id]
    if item.status == "deleted":
        return session
    shown = merge_content(
        item, (event.part,), done=done, news=done, first=event.content_index
    )
    if shown is item:
        return session
    session = put_item(session, shown)
    # The part may already contain text.
    if not any(part.text for part in shown.parts):
        return session
    return _set_first_text(session, response_of(session, event), record)


def _text_delta(type: str) -> Handler:
    """The handler of text deltas for parts of a type."""

    def _on_text_delta(session: Session, event: Any, record: Record) -> Session | None:
        # `get` of a `Map` takes three times as long as an index.
        try:
            item = session.items[event.item_id]
        except KeyError:
            item = None
        if (
            item is None
            or item.role is None
            or item.placement.response_id != event.response_id
        ):
            session, event, item = _identified_output(session, event, record)
        after = grow_text(session, item, event.content_index, type, event.delta)
        if after is None:
            # Too late for this item, but the id may have been used again.
            session, event, item = _identified_output(session, event, record)
            after = grow_text(session, item, event.content_index, type, event.delta)
        if after is None or after is session:
            return after
        response_id = event.response_id or item.placement.response_id or ""
        try:
            turn = after.responses.by_id[response_id].turn
        except KeyError:
            return after
        if turn.first_text_at is not None:
            return after
        return _set_first_text(after, response_id, record)

    return _on_text_delta


def _identified_output(
    session: Session, event: Any, record: Record
) -> tuple[Session, Any, Item]:
    session, event = identify(session, event, record)
    session = ensure_output(session, event, record)
    return session, event, session.items[event.item_id]


def _set_first_text(
    session: Session, response_id: str | None, record: Record
) -> Session:
    """The session with the time of a response's first text, if it has none yet."""
    response = session.response(response_id)
    if response is None or response.turn.first_text_at is not None:
        return session
    turn = replace(response.turn, first_text_at=record.at)
    return put_turn(session, response, turn)


def _on_audio_delta(
    session: Session, event: events.ResponseOutputAudioDelta, record: Record
) -> Session:
    """Count the bytes of audio, to compute its duration. The audio is not stored."""
    session = ensure_output(session, event, record)
    item = session.items[event.item_id]
    if item.status == "deleted":
        return session
    grown = grow_audio(item, event.content_index, record.audio_bytes or 0)
    session = put_item(session, grown)
    response = session.responses.by_id.get(event.response_id)
    if response is None and not event.response_id:
        response = session.response(item.placement.response_id)
    if response is not None and response.turn.first_audio_at is None:
        turn = replace(response.turn, first_audio_at=record.at)
        session = put_turn(session, response, turn)
    return session


def _on_text_done(
    session: Session, event: events.ResponseOutputTextDone, record: Record
) -> Session | None:
    return _close(session, event, "output_text", event.text, record)


def _on_transcript_done(
    session: Session, event: events.ResponseOutputAudioTranscriptDone, record: Record
) -> Session | None:
    return _close(session, event, "output_audio", event.transcript, record)


def _close(
    session: Session, event: Any, type: str, text: str, record: Record
) -> Session | None:
    session = ensure_output(session, event, record)
    item = session.items[event.item_id]
    if item.status == "deleted":
        return None
    closed = close_part(item, event.content_index, type, text)
    return put_item(session, closed)


def _on_done(session: Session, event: events.ResponseDone, record: Record) -> Session:
    wire = event.response
    known = session.response(wire.id)
    is_late = known is not None and known.status in _FINAL
    if not wire.id:
        return session
    if is_late and known and known.reason != _SILENT:
        return add_usage(session, wire.id, wire)
    if known is None or not known.announced:
        # After an early interruption there may be no ``response.created``.
        session, begun = resolve_conversation(session, wire, record)
        session = _announce(session, begun, None, record.epoch)
        if begun.conversation_id is not None:
            session = clear_in_flight(session)
    status = wire.status if wire.status in _FINAL else "completed"
    session = _end(
        session, wire.id, f"{transitions.RESPONSE_DONE} {status}", _reason(wire)
    )
    ended = "completed" if status == "completed" else "incomplete"
    for item in wire.output or ():
        session = merge_item(
            session, item, record, done=True, response_id=wire.id, ended=ended
        )
        session = add_output(session, wire.id, item.id, record.epoch)
    session = _finish_items(session, wire.id, record.at)
    if not is_late:
        session = _report_failure(session, wire, record.at)
    return add_usage(session, wire.id, wire)


def _reason(wire: events.RealtimeResponse) -> str | None:
    details = wire.status_details
    if details is None:
        return None
    if details.error is not None:
        return details.error.message or details.error.code or details.error.type
    return details.reason


def _report_failure(
    session: Session, wire: events.RealtimeResponse, at: float | None
) -> Session:
    """The session with a problem added if the response failed or is incomplete.

    The service sends no ``error`` event for this, even if a rate limit is the reason.
    """
    response = session.responses.by_id[wire.id or ""]
    kind = _PROBLEMS.get(response.status)
    if kind is None:
        return session
    error = wire.status_details.error if wire.status_details else None
    code = error.code or error.type if error else None
    message = response.reason or "the service gives no reason"
    return add_problem(
        session, Problem(kind, message, code, None, at, response_id=response.id)
    )


_PROBLEMS = {"failed": "response_failed", "incomplete": "response_incomplete"}


def _on_audio_done(
    session: Session, event: events.ResponseOutputAudioDone, record: Record
) -> Session:
    """The service has generated all audio of the response; it may still be playing."""
    session = ensure_output(session, event, record)
    response = session.response(response_of(session, event))
    if response is None or record.at is None:
        return session
    # Each audio part has such an event; the last one sets the time.
    turn = replace(response.turn, audio_generated_at=record.at)
    return end_heard(put_turn(session, response, turn), response.id, record.at)


TABLE: dict[type, Handler] = {
    events.ResponseCreated: _on_created,
    events.ResponseDone: _on_done,
    events.ResponseOutputItemAdded: _on_item_added,
    events.ResponseOutputItemDone: _on_item_done,
    events.ResponseContentPartAdded: _on_part_added,
    events.ResponseContentPartDone: _on_part_done,
    events.ResponseOutputTextDelta: _text_delta("output_text"),
    events.ResponseOutputTextDone: _on_text_done,
    events.ResponseOutputAudioTranscriptDelta: _text_delta("output_audio"),
    events.ResponseOutputAudioTranscriptDone: _on_transcript_done,
    events.ResponseOutputAudioDelta: _on_audio_delta,
    events.ResponseOutputAudioDone: _on_audio_done,
}
