"""When to send ``response.create``: if a response is due and the service is free.

A response is due if the application requested one, or if the model must answer the
outputs of its function calls: every complete call of a completed response has its
output, no response has begun since, and this client sent the outputs. (A client that
only observes the session sends nothing.) Interrupted calls do not count.

The service is free if events can be sent, no response is in progress or requested, and
the user has no open turn that turn detection will answer. (That response also answers
the outputs.) A refused or unanswered request is not repeated, unless another response
was active: see `reducer.requests.answers`. A response whose service fell silent is
cancelled, because the service would refuse the next one.
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import events
from ..events.base import ClientEvent
from ..events.local import Tick
from ..log.record import Record
from ..reducer.identity import is_anonymous
from ..reducer.input_audio import answer_deadline, answers_turns
from ..reducer.requests.answers import retry_at
from ..selectors.waits import has_unanswered_outputs
from ..state.model import Session
from ..wire.codec import decode
from .commands import cancel_response, create_response
from .lifecycle import becomes_usable, may_send
from .reseed import is_new_connection

__all__ = ["cancel_silent", "respond", "response_due"]


def respond(before: Session, record: Record, after: Session) -> Iterator[ClientEvent]:
    """Request the response that has become due, or is due on a new connection."""
    is_opening = isinstance(record.event, events.Connected)
    if is_opening and after.connection.policy is None:
        # `session.created` begins such a session.
        return
    event = response_due(after)
    if event is not None and (
        (after.responses.queued is not None and before.responses.queued is None)
        or response_due(before) is None
        or becomes_usable(before, after)
        or _begins_late(before, record, after)
    ):
        yield event


def _begins_late(before: Session, record: Record, after: Session) -> bool:
    """Whether a session that no `Machine` runs may have begun by this record.

    Its log may show the service's session after the connection, or never. So a request
    that is still queued at a tick was not sent.
    """
    if after.connection.policy is not None:
        return False
    is_unsent = before.responses.queued is not None and type(record.event) is Tick
    return is_unsent or is_new_connection(before, record, after)


def cancel_silent(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent]:
    """Cancel a response whose service fell silent. A mere observer sends nothing."""
    silent = after.response(before.responses.active)
    if silent is None or after.responses.active is not None or not after.dedup.sent:
        return
    if silent.epoch == after.connection.epoch:
        yield cancel_response(None if is_anonymous(silent.id) else silent.id)


def response_due(session: Session) -> ClientEvent | None:
    """The response to request now, if any."""
    if not _is_free(session):
        return None
    if session.responses.queued is not None:
        event = decode(session.responses.queued)
        # The application requested a response, even if the event is invalid.
        return event if isinstance(event, events.ResponseCreate) else create_response()
    return create_response() if has_unanswered_outputs(session) else None


def _is_free(session: Session) -> bool:
    responses = session.responses
    if not may_send(session):
        return False
    if responses.active is not None or responses.in_flight:
        return False
    if retry_at(session) is not None:
        return False
    return not (answers_turns(session) and _has_open_turn(session))


def _has_open_turn(session: Session) -> bool:
    """Whether the user speaks, or has spoken and the service has not answered yet."""
    activity = session.activity
    if activity.speaking_item is not None:
        return True
    due, ticked = answer_deadline(session), activity.last_tick_at
    return due is not None and (ticked is None or ticked < due)
