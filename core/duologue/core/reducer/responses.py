"""Responses: their status, their output items, and the deltas of text and audio."""

from __future__ import annotations

from typing import Any

from immutables import Map
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Problem, Response, Session

from .handler import (
    Handler,
    add_problem,
    put_activity,
    put_item,
    put_response,
    put_turn,
)
from .items import finish_item, merge_item
from .ordering import remove_unplaced
from .outputs import add_output, ensure_output
from .parts import (
    close_part,
    close_parts,
    grow_audio,
    grow_text,
    merge_content,
)
from .playback import truncate_response, update_playing
from .requests import clear_in_flight
from .usage import add_usage

__all__ = ["TABLE", "abandon_responses"]

_FINAL = ("completed", "cancelled", "failed", "incomplete")


def _end(
    session: Session, response_id: str, trigger: str, reason: str | None
) -> Session:
    """The session after a response has ended; the response is no longer active."""
    responses = session.responses
    response = responses.by_id[response_id]
    status = transitions.next_status(transitions.RESPONSE, response.status, trigger)
    ended = replace(response, status=status, reason=reason)
    active = None if responses.active == response_id else responses.active
    by_id = responses.by_id.set(response_id, ended)
    return replace(session, responses=replace(responses, by_id=by_id, active=active))


def _finish_items(session: Session, response_id: str, at: float | None) -> Session:
    """The session with all items of an ended response finished and all parts closed.

    An item that is still in progress becomes completed if the response completed, and
    incomplete otherwise.
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
        session = put_item(session, item)
    return session


def abandon_responses(
    session: Session, epoch: int, at: float | None, playing: str | None = None
) -> Session:
    """The session after the responses in progress on a lost connection have ended.

    Their items are incomplete and keep the text that arrived. Their audio is truncated,
    and so is that of the response ``playing``. ``at`` is the time of the loss.
    """
    for response_id in session.responses.order:
        response = session.responses.by_id[response_id]
        lost = response.status == "in_progress" and response.epoch <= epoch
        if lost:
            session = _end(
                session, response_id, transitions.DISCONNECTED, "disconnected"
            )
            session = _finish_items(session, response_id, at)
        if lost or response_id == playing:
            session = truncate_response(session, response, at)
    return session


# Events.


def _on_created(
    session: Session, event: events.ResponseCreated, record: Record
) -> Session:
    wire = event.response
    known = session.response(wire.id)
    if not wire.id or (known is not None and known.announced):
        return session
    session = _announce(session, wire, record.at, record.epoch)
    if wire.conversation_id is None:
        return session
    responses = replace(session.responses, active=wire.id, in_flight=None)
    session = replace(session, responses=responses)
    activity = session.activity
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
    spoken = session.activity.unanswered_item if in_conversation else None
    item = session.items.get(spoken) if spoken else None
    turn = replace(
        known.turn,
        item_id=spoken,
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
    )
    session = put_response(session, response)
    return session if in_conversation else remove_unplaced(session, known.item_ids)


def _on_item_added(
    session: Session, event: events.ResponseOutputItemAdded, record: Record
) -> Session:
    session = merge_item(
        session,
        event.item,
        record,
        done=False,
        response_id=event.response_id or None,
    )
    return add_output(session, event.response_id, event.item.id, record.epoch)


def _on_item_done(
    session: Session, event: events.ResponseOutputItemDone, record: Record
) -> Session:
    session = merge_item(
        session, event.item, record, done=True, response_id=event.response_id or None
    )
    return add_output(session, event.response_id, event.item.id, record.epoch)


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
    return _set_first_text(session, event.response_id, record)


def _text_delta(type: str) -> Handler:
    """The handler of text deltas for parts of a type."""

    def _on_text_delta(session: Session, event: Any, record: Record) -> Session | None:
        # `get` of a `Map` takes three times as long as an index.
        try:
            item = session.items[event.item_id]
        except KeyError:
            item = None
        if item is None or item.role is None or item.placement.response_id is None:
            session = ensure_output(session, event, record)
            item = session.items[event.item_id]
        after = grow_text(session, item, event.content_index, type, event.delta)
        if after is None or after is session:
            return after
        try:
            turn = after.responses.by_id[event.response_id].turn
        except KeyError:
            return after
        if turn.first_text_at is not None:
            return after
        return _set_first_text(after, event.response_id, record)

    return _on_text_delta


def _set_first_text(session: Session, response_id: str, record: Record) -> Session:
    """The session with the time of a response's first text, if it has none yet."""
    response = session.responses.by_id.get(response_id)
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
    if not wire.id or (known is not None and known.status in _FINAL):
        return session
    if known is None or not known.announced:
        # After an early interruption there may be no ``response.created``.
        session = _announce(session, wire, None, record.epoch)
        if wire.conversation_id is not None:
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
    return add_usage(_report_failure(session, wire, record.at), wire.usage)


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
    response = session.responses.by_id.get(event.response_id)
    if response is None or record.at is None:
        return session
    # Each audio part has such an event; the last one sets the time.
    turn = replace(response.turn, audio_generated_at=record.at)
    session = put_turn(session, response, turn)
    playing = session.activity.playing
    if playing != response.id:
        return session
    return update_playing(session, playing, record.at)


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
