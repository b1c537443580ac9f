"""Which responses are out of band.

A null ``conversation_id`` means out of band (API). But some services name the
conversation of no response, or the same one for every response. Then a response is out
of band if it answers an out-of-band request of this client: by its metadata, or else by
the order of the requests.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import OutOfBandRequest, Session
from duologue.core.wire.json_values import canonical_json, is_object

from ..handler import put_activity, put_response, put_responses
from ..input_audio import awaited_turn
from ..ordering import remove_unplaced
from .answers import REQUEST_TIMEOUT
from .inputs import put_unanswered

__all__ = ["resolve_conversation"]


def resolve_conversation(
    session: Session, wire: events.RealtimeResponse, record: Record
) -> tuple[Session, events.RealtimeResponse]:
    """The session, and a response that begins, with null exactly if it is out of band.

    The session no longer has the out-of-band request that the response answers.
    """
    named = wire.conversation_id
    request = _request_of(session, wire, record)
    if named and session.responses.names_conversation is False:
        session = _without_unnamed(session)
    responses = session.responses
    if request is not None:
        left = tuple(each for each in responses.out_of_band if each is not request)
        responses = replace(responses, out_of_band=left)
    if named:
        responses = replace(responses, names_conversation=True)
    elif named is None and request is None and _is_null_empty(session, wire):
        responses = replace(responses, names_conversation=False)
        named = UNSET
    conversation = None if request is not None else named
    if conversation == "":
        conversation = UNSET
    return (
        put_responses(session, responses),
        replace(wire, conversation_id=conversation),
    )


def _without_unnamed(session: Session) -> Session:
    """The session after the service first names a conversation.

    Its earlier responses are out of band. What they seemed to answer is not answered.
    """
    for response_id in session.responses.order:
        response = session.responses.by_id[response_id]
        if not response.announced or not response.in_conversation:
            continue
        aside = replace(response, in_conversation=False, answers=(), inputs=())
        session = put_response(session, aside)
        inputs = (*(response.inputs or ()), *session.activity.unanswered)
        session = put_unanswered(session, inputs)
        session = remove_unplaced(session, response.item_ids)
        responses, activity = session.responses, session.activity
        if responses.active == response_id:
            responses = replace(responses, active=None, answered=None)
        if responses.in_flight is None:
            responses = replace(responses, in_flight_items=response.answers)
        if activity.unanswered_item is None:
            spoken = replace(activity, unanswered_item=response.turn.item_id)
            session = put_activity(session, spoken)
        session = put_responses(session, responses)
    return session


def _is_null_empty(session: Session, wire: events.RealtimeResponse) -> bool:
    """Whether a null conversation carries no information.

    That is so if the service has never named a conversation, and an answer for the
    conversation is due. Metadata that this client has not sent are of another client.
    """
    responses = session.responses
    metadata = _json(wire.metadata)
    if responses.names_conversation or metadata not in (
        "",
        _metadata_in_flight(session),
    ):
        return False
    if responses.names_conversation is False or responses.in_flight is not None:
        return True
    last = session.item(session.conversation.order.last)
    is_input = last is not None and last.placement.response_id is None
    return session.activity.unanswered_item is not None or is_input


def _request_of(
    session: Session, wire: events.RealtimeResponse, record: Record
) -> OutOfBandRequest | None:
    """The out-of-band request that a response answers."""
    responses, metadata = session.responses, _json(wire.metadata)
    requests = [
        each
        for each in responses.out_of_band
        if each.epoch == record.epoch and not _is_old(each, record.at)
    ]
    is_second = responses.in_flight is not None
    if metadata:
        is_second = is_second and metadata == _metadata_in_flight(session)
        requests = [each for each in requests if each.metadata == metadata]
    if not requests:
        return None
    request = requests[0]
    if wire.conversation_id is None and responses.names_conversation:
        return request
    if is_second and request.is_second:
        return None
    if metadata:
        return request
    turn = awaited_turn(session)
    if wire.conversation_id:
        # It may answer something else, and then it is in the conversation.
        return None if turn is not None or is_second else request
    if turn is None:
        return request
    ended = turn.placement.speech_ended_at
    is_first = ended is not None and request.at is not None and ended <= request.at
    return None if request.metadata or is_first else request


def _is_old(request: OutOfBandRequest, at: float | None) -> bool:
    """Whether a request can no longer be answered: it was ignored."""
    if at is None or request.at is None:
        return False
    return at > request.at + REQUEST_TIMEOUT


def _metadata_in_flight(session: Session) -> str:
    """The metadata of the request in flight."""
    event = msgspec.json.decode(session.responses.in_flight or "{}")
    response = event.get("response")
    metadata = response.get("metadata") if is_object(response) else None
    return _json(metadata) if is_object(metadata) else ""


def _json(metadata: Mapping[str, object] | None) -> str:
    return canonical_json(dict(metadata)) if metadata else ""
