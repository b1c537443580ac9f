"""Pending work: the events that a session still waits for, and for how long.

Every wait ends: with an event, or with a `duologue.tick` at or after its time limit,
which is one of `waits`. `effects.deadlines.tick_at` gives the time of the next tick. A
time limit counts from the event that began the wait; if the time of that event is
unknown, the next tick ends the wait. All functions look at the last responses and items
only, so their cost does not grow with the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..reducer.input_audio import ANSWER_TIMEOUT, awaited_turn, last_response
from ..reducer.playback import playing_deadlines
from ..reducer.responses import SILENCE_TIMEOUT
from ..state.model import Call, Item, Response, Session
from .calls import awaits_output, is_call_of
from .transcript import is_final

__all__ = [
    "CALL_TIMEOUT",
    "RECENT",
    "TOOL_TIMEOUT",
    "TRANSCRIPT_TIMEOUT",
    "call_wait",
    "has_unanswered_outputs",
    "is_busy",
    "is_past",
    "outputs_wait",
    "turn_wait",
    "waits",
]

#: Seconds to wait for the output of a call that was not started, or for an approval.
CALL_TIMEOUT = 300.0
#: Seconds to wait for a tool that was started: as long as a session of the service.
TOOL_TIMEOUT = 3600.0
#: Seconds to wait for the transcript of an item after it was spoken.
TRANSCRIPT_TIMEOUT = 15.0
#: The number of last items, and of last responses, whose pending work counts.
RECENT = 32


def is_busy(session: Session) -> bool:
    """Whether the user speaks, or a response is queued, in flight or in progress."""
    responses = session.responses
    work = (responses.active, responses.queued, responses.in_flight)
    return session.activity.speaking_item is not None or any(work)


def waits(session: Session) -> Iterator[float]:
    """The times at which this session stops waiting for what is pending.

    Seconds since the Unix epoch. Times in the past are included.
    """
    yield from playing_deadlines(session)
    yield from turn_wait(session)
    yield from outputs_wait(session)
    items, responses = session.items, session.responses
    for item_id in islice(reversed(session.conversation.order), RECENT):
        item = items[item_id]
        if len(item.parts) == 1 and item.parts[0].final:
            # The common case: a message that is complete.
            continue
        if item.call is not None:
            yield from call_wait(session, item)
        elif item.role is not None and _is_text_awaited(session, item):
            yield _after(TRANSCRIPT_TIMEOUT, _spoken_at(item))
    for response_id in islice(reversed(responses.order), RECENT):
        response = responses.by_id[response_id]
        if response.status == "in_progress" and response_id != responses.active:
            turn = response.turn
            yield _after(SILENCE_TIMEOUT, turn.created_at or turn.first_text_at)
        if not response.in_conversation:
            for item_id in response.item_ids:
                yield from call_wait(session, items.get(item_id))


def is_past(session: Session, time: float) -> bool:
    """Whether a tick was recorded at or after ``time``, seconds since the epoch."""
    now = session.activity.last_tick_at
    return now is not None and now >= time


def _after(seconds: float, start: float | None) -> float:
    return (start or 0.0) + seconds


def _spoken_at(item: Item) -> float | None:
    place = item.placement
    return place.speech_ended_at or place.finished_at or place.started_at


# Turns of the user.


def turn_wait(session: Session) -> Iterator[float]:
    """The time limit for the answer to the last turn of the user, if one is due."""
    item = awaited_turn(session)
    if item is not None:
        yield _after(ANSWER_TIMEOUT, _spoken_at(item))


def _is_text_awaited(session: Session, item: Item) -> bool:
    """Whether more text of a message will arrive after its speech or its response."""
    if item.role not in ("user", "assistant") or item.status == "deleted":
        return False
    if is_final(item):
        return False
    if item.role == "user":
        is_transcribed = session.connection.audio_input.transcription is not None
        return is_transcribed and item.id != session.activity.speaking_item
    response = session.response(item.placement.response_id)
    return response is None or response.status != "in_progress"


# Calls.


def call_wait(session: Session, item: Item | None) -> Iterator[float]:
    """The time limit for the output of a call or for an approval, if it is awaited."""
    if item is None or item.call is None or item.status == "deleted":
        return
    call, response = item.call, session.response(item.placement.response_id)
    is_due = response is not None and response.status == "completed"
    if is_call_of(session, item):
        if not awaits_output(session, call):
            return
        if call.running:
            yield _after(TOOL_TIMEOUT, item.placement.tool_at)
        elif call.answered:
            yield _after(ANSWER_TIMEOUT, item.placement.tool_at)
        elif call.complete and is_due:
            place = item.placement
            yield _after(CALL_TIMEOUT, place.tool_at or place.finished_at)
    elif item.type == "mcp_call" and call.running:
        yield _after(CALL_TIMEOUT, item.placement.started_at)
    elif item.type == "mcp_approval_request" and is_due:
        yield from _approval_wait(session, item, call)


def _approval_wait(session: Session, item: Item, call: Call) -> Iterator[float]:
    """The time limit for an approval, then for the response that follows it."""
    request = call.mcp.approval_request_id if call.mcp is not None else None
    link = session.conversation.calls.get(request or "")
    answer = session.item(link.output) if link is not None else None
    if answer is None:
        yield _after(CALL_TIMEOUT, item.placement.finished_at)
        return
    response = session.response(item.placement.response_id)
    if response is not None and not _was_answered(session, answer, response):
        yield _after(ANSWER_TIMEOUT, answer.placement.started_at)


def outputs_wait(session: Session) -> Iterator[float]:
    """The time limit for the answer to the last outputs of calls, if one is due."""
    output, calls = _unanswered_calls(session)
    if output is not None and calls:
        last = last_response(session)
        items = [session.items.get(name) for name in last.item_ids] if last else []
        ends = [item.placement.finished_at or 0.0 for item in items if item]
        yield max([_after(0.0, output.placement.started_at), *ends]) + ANSWER_TIMEOUT


def has_unanswered_outputs(session: Session) -> bool:
    """Whether the last outputs, of which this client sent some, need a response."""
    return any(call.answered for call in _unanswered_calls(session)[1])


def _unanswered_calls(session: Session) -> tuple[Item | None, list[Call]]:
    """The last output, and the calls of its response if all outputs need an answer."""
    output, response = _last_output(session)
    if output is None or response is None or response.status != "completed":
        return output, []
    items = [session.items.get(item_id) for item_id in response.item_ids]
    calls = [item.call for item in items if item and is_call_of(session, item)]
    complete = [call for call in calls if call is not None and call.complete]
    if any(awaits_output(session, call) for call in complete):
        return output, []
    return output, [] if _was_answered(session, output, response) else complete


def _last_output(session: Session) -> tuple[Item | None, Response | None]:
    """The last function output, and the response that made the call."""
    conversation = session.conversation
    output = session.item(conversation.last_output)
    if output is None or output.call is None:
        return output, None
    link = conversation.calls.get(output.call.key or "")
    call = session.item(link.call) if link is not None else None
    response_id = call.placement.response_id if call is not None else None
    response = session.response(response_id)
    return output, response if response and response.in_conversation else None


def _was_answered(session: Session, output: Item, response: Response) -> bool:
    """Whether a later response began after the output arrived."""
    last = last_response(session)
    if last is None or last.id == response.id:
        return False
    created, arrived = last.turn.created_at, output.placement.started_at
    return created is None or arrived is None or created >= arrived
