"""Records of a connection that does not carry the session.

Such a connection has been replaced, or it is a successor that is not used yet. Its
records answer nothing: the requests and the configuration of the present connection
stay as they are. The items, transcripts and usage of a replaced connection are kept;
the `Dialing` of a successor keeps what it was sent, until it carries the session.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core.log.record import Record
from duologue.core.state.model import Activity, Dialing, Input, Responses, Session

from .handler import Handler, put_activity, put_connection, put_responses

__all__ = ["handle_apart", "is_apart", "is_early", "session_apart"]


def is_early(session: Session, record: Record) -> bool:
    """Whether a record is from a connection that does not carry a live session yet."""
    connection = session.connection
    return record.epoch > connection.epoch and connection.policy is not None


def is_apart(session: Session, record: Record) -> bool:
    """Whether a sent or received record is from another connection than the present."""
    if record.dir == "local":
        return False
    return record.epoch < session.connection.epoch or is_early(session, record)


def handle_apart(
    handler: Handler, session: Session, event: Any, record: Record
) -> Session | None:
    """The session after a record for which `is_apart` holds."""
    seen = session_apart(session, record)
    after = handler(seen, event, record)
    if after is None or after is seen:
        return after and session
    conversation, last = after.conversation, session.conversation.last_output
    if conversation.last_output is None and last is not None:
        # Only a request ends its wait; one on another connection does not answer it.
        conversation = session.conversation
    dialing = after.connection.dialing
    if dialing is not None and dialing.epoch == record.epoch:
        dialing = replace(
            dialing,
            changes=after.connection.changes,
            updates_in_flight=after.connection.updates_in_flight,
        )
    activity = _with_activity(session, seen.activity, after.activity)
    responses = _with_responses(session.responses, after.responses)
    kept = replace(
        after,
        connection=session.connection,
        conversation=conversation,
        responses=session.responses,
        activity=session.activity,
    )
    kept = put_connection(kept, replace(session.connection, dialing=dialing))
    return put_activity(put_responses(kept, responses), activity)


def session_apart(session: Session, record: Record) -> Session:
    """The session with the requests, the response and the turn of such a connection."""
    responses, activity = session.responses, session.activity
    dialing = session.connection.dialing
    if dialing is None or dialing.epoch != record.epoch:
        dialing = Dialing(record.epoch)
    active = session.response(responses.active)
    is_active = active is not None and active.epoch == record.epoch
    turn = session.item(activity.unanswered_item)
    is_turn = turn is not None and turn.placement.epoch == record.epoch
    return replace(
        session,
        connection=replace(
            session.connection,
            changes=dialing.changes,
            updates_in_flight=dialing.updates_in_flight,
        ),
        responses=Responses(
            responses.by_id,
            responses.order,
            responses.active if is_active else None,
            out_of_band=responses.out_of_band,
            names_conversation=responses.names_conversation,
        ),
        activity=replace(
            activity,
            unanswered_item=activity.unanswered_item if is_turn else None,
            unanswered=_inputs_of(session, record.epoch),
        ),
    )


def _inputs_of(session: Session, epoch: int) -> tuple[Input, ...]:
    """The inputs without a response that arrived on a connection."""
    return tuple(
        one
        for one in session.activity.unanswered
        if (item := session.item(one.item_id)) and item.placement.epoch == epoch
    )


def _with_responses(present: Responses, after: Responses) -> Responses:
    """The present requests with all responses; the active one may have ended."""
    merged = replace(present, by_id=after.by_id, order=after.order)
    active = after.by_id.get(present.active or "")
    if active is None or active.status == "in_progress":
        return merged
    since = present.waiting_since if present.in_flight else None
    return replace(merged, active=None, answered=None, waiting_since=since)


def _with_activity(session: Session, seen: Activity, after: Activity) -> Activity:
    """The activity; a turn of the present connection stays as it is."""
    before, epoch = session.activity, session.connection.epoch
    new = [one for one in after.unanswered if one not in seen.unanswered]
    gone = [one for one in seen.unanswered if one not in after.unanswered]
    kept = [one for one in before.unanswered if one not in gone]
    after = replace(after, unanswered=(*kept, *new))
    turns = map(session.item, (before.speaking_item, before.unanswered_item))
    if not any(turn is not None and turn.placement.epoch == epoch for turn in turns):
        return after
    return replace(
        after,
        speaking_item=before.speaking_item,
        speech_started_at=before.speech_started_at,
        unanswered_item=before.unanswered_item,
    )
