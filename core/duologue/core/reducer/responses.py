"""What the model says: responses, their items and parts, text as it grows."""

from __future__ import annotations

from typing import Any

from immutables import Map
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Problem, Response, Session

from .handler import Handler
from .item_merge import show
from .nodes import with_activity
from .ordering import withdraw
from .parts import close_part, grow_audio, grow_text, growing, merge_content, put_item
from .playback import hear
from .requests import answered
from .response_items import end_response, finish_items, link, open_item, put, with_turn
from .usage import add_problem, add_usage

__all__ = ["TABLE"]

_OVER = ("completed", "cancelled", "failed", "incomplete")


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
    # What the user said has got its answer: the next one is not to it.
    return with_activity(session, replace(activity, unanswered_item=None))


def _announce(
    session: Session, wire: events.RealtimeResponse, at: float | None, epoch: int
) -> Session:
    """The session with a response that the service tells of for the first time."""
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
    session = put(session, response)
    return session if in_conversation else withdraw(session, known.item_ids)


def _on_item_added(
    session: Session, event: events.ResponseOutputItemAdded, record: Record
) -> Session:
    session = show(
        session,
        event.item,
        record,
        done=False,
        response_id=event.response_id or None,
    )
    return link(session, event.response_id, event.item.id, record.epoch)


def _on_item_done(
    session: Session, event: events.ResponseOutputItemDone, record: Record
) -> Session:
    session = show(
        session, event.item, record, done=True, response_id=event.response_id or None
    )
    return link(session, event.response_id, event.item.id, record.epoch)


def _on_part_added(
    session: Session, event: events.ResponseContentPartAdded, record: Record
) -> Session:
    return _show_part(session, event, record, done=False)


def _on_part_done(
    session: Session, event: events.ResponseContentPartDone, record: Record
) -> Session:
    return _show_part(session, event, record, done=True)


def _show_part(session: Session, event: Any, record: Record, *, done: bool) -> Session:
    session = open_item(session, event, record)
    item = session.items[event.item_id]
    if item.status == "deleted":
        return session
    shown = merge_content(
        item, (event.part,), done=done, news=done, first=event.content_index
    )
    if shown is item:
        return session
    session = put_item(session, shown)
    # A part can come with its first words.
    has_words = any(part.text for part in shown.parts)
    return _note_text(session, event.response_id, record) if has_words else session


def _first_text(type: str) -> Handler:
    """What handles a delta that finds no words in its part, which is of this type."""

    def _on_text_delta(session: Session, event: Any, record: Record) -> Session | None:
        session = open_item(session, event, record)
        item = session.items[event.item_id]
        after = grow_text(session, item, event.content_index, type, event.delta)
        if after is None or after is session:
            return after
        return _note_text(after, event.response_id, record)

    return _on_text_delta


def _note_text(session: Session, response_id: str, record: Record) -> Session:
    """The session with the time of a response's first text, if this is the first."""
    response = session.responses.by_id.get(response_id)
    if response is None or response.turn.first_text_at is not None:
        return session
    turn = replace(response.turn, first_text_at=record.at)
    return with_turn(session, response, turn)


def _on_audio_delta(
    session: Session, event: events.ResponseOutputAudioDelta, record: Record
) -> Session:
    """Audio is counted, never kept: its bytes make the length of what can be heard."""
    session = open_item(session, event, record)
    item = session.items[event.item_id]
    if item.status == "deleted":
        return session
    grown = grow_audio(item, event.content_index, record.audio_bytes or 0)
    if grown is not item:
        session = put_item(session, grown)
    response = session.responses.by_id.get(event.response_id)
    if response is not None and response.turn.first_audio_at is None:
        turn = replace(response.turn, first_audio_at=record.at)
        session = with_turn(session, response, turn)
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
    session = open_item(session, event, record)
    item = session.items[event.item_id]
    if item.status == "deleted":
        return None
    closed = close_part(item, event.content_index, type, text)
    return session if closed is item else put_item(session, closed)


def _on_done(session: Session, event: events.ResponseDone, record: Record) -> Session:
    wire = event.response
    known = session.response(wire.id)
    if not wire.id or (known is not None and known.status in _OVER):
        return session
    if known is None or not known.announced:
        # It can come without its ``created``: an interruption was faster.
        session = _announce(session, wire, None, record.epoch)
        if wire.conversation_id is not None:
            session = answered(session)
    status = wire.status if wire.status in _OVER else "completed"
    session = end_response(
        session, wire.id, f"{transitions.RESPONSE_DONE} {status}", _reason(wire)
    )
    ended = "completed" if status == "completed" else "incomplete"
    for item in wire.output or ():
        session = show(
            session, item, record, done=True, response_id=wire.id, ended=ended
        )
        session = link(session, wire.id, item.id, record.epoch)
    session = finish_items(session, wire.id, record.at)
    return add_usage(_complain(session, wire, record.at), wire.usage)


def _reason(wire: events.RealtimeResponse) -> str | None:
    details = wire.status_details
    if details is None:
        return None
    if details.error is not None:
        return details.error.message or details.error.code or details.error.type
    return details.reason


def _complain(
    session: Session, wire: events.RealtimeResponse, at: float | None
) -> Session:
    """The session with the problem that a response without an answer is.

    Such failures come without an ``error`` event (rate limits, for one).
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
    """All of the audio is made, not all of it played: nobody falls silent by this."""
    session = open_item(session, event, record)
    response = session.responses.by_id.get(event.response_id)
    if response is None or record.at is None:
        return session
    # Of several parts the last one counts.
    turn = replace(response.turn, audio_generated_at=record.at)
    session = with_turn(session, response, turn)
    playing = session.activity.playing
    return hear(session, playing, record.at) if playing == response.id else session


TABLE: dict[type, Handler] = {
    events.ResponseCreated: _on_created,
    events.ResponseDone: _on_done,
    events.ResponseOutputItemAdded: _on_item_added,
    events.ResponseOutputItemDone: _on_item_done,
    events.ResponseContentPartAdded: _on_part_added,
    events.ResponseContentPartDone: _on_part_done,
    events.ResponseOutputTextDelta: growing(_first_text("output_text")),
    events.ResponseOutputTextDone: _on_text_done,
    events.ResponseOutputAudioTranscriptDelta: growing(_first_text("output_audio")),
    events.ResponseOutputAudioTranscriptDone: _on_transcript_done,
    events.ResponseOutputAudioDelta: _on_audio_delta,
    events.ResponseOutputAudioDone: _on_audio_done,
}
