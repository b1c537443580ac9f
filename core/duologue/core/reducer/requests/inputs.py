"""The inputs without a response: speech, messages, and outputs of tools.

The next response of the conversation answers them, and each input is answered once. A
response that this client requested answers the messages of its request; a message
whose request is still queued waits for it. An input counts if the service has it: once
it is confirmed or, if the service confirms nothing, once it was sent before the
request. The outputs of the calls of one response count once all of them have arrived.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Input, Item, Session

from ..handler import put_activity
from .tool_outputs import find_call

__all__ = [
    "MAX_INPUTS",
    "add_sent_input",
    "add_spoken",
    "confirm_input",
    "drop_inputs",
    "drop_outputs",
    "mark_requested",
    "put_unanswered",
    "take_inputs",
]

#: The number of inputs without a response that a session keeps.
MAX_INPUTS = 64
#: The number of last responses that may have answered speech before it was committed.
_RECENT = 32

_TYPED, _SPOKEN, _OUTPUT, _REPLY = "typed", "spoken", "tool_output", "reply"
#: By the role of a message that a client creates. A reply ends the turn before it.
_ROLES = {"user": _TYPED, "assistant": _REPLY}
_OUTPUTS = ("function_call_output", "mcp_approval_response")
_CALLS = ("function_call", "mcp_approval_request")


def put_unanswered(session: Session, inputs: Collection[Input]) -> Session:
    """The session with these inputs without a response."""
    last = tuple(inputs)[-MAX_INPUTS:]
    return put_activity(session, replace(session.activity, unanswered=last))


def _put(session: Session, known: Input | None, after: Input) -> Session:
    """The session with an input in the place of a known one, or at the end."""
    inputs = session.activity.unanswered
    if known is None:
        return put_unanswered(session, (*inputs, after))
    return put_unanswered(session, [after if one is known else one for one in inputs])


def _find(session: Session, item_id: str) -> Input | None:
    inputs = session.activity.unanswered
    return next((one for one in inputs if item_id and one.item_id == item_id), None)


def _kind(type: Any, role: Any) -> str | None:
    if type in _OUTPUTS:
        return _OUTPUT
    return _ROLES.get(role) if type == "message" else None


def add_spoken(session: Session, item_id: str, at: float | None) -> Session:
    """The session with speech that has ended at a time, unless it is answered."""
    known = _find(session, item_id)
    if known is not None:
        return _put(session, known, replace(known, kind=_SPOKEN))
    for response_id in islice(reversed(session.responses.order), _RECENT):
        inputs = session.responses.by_id[response_id].inputs
        if any(one.item_id == item_id for one in inputs or ()):
            return session
    return _put(session, None, Input(item_id, _SPOKEN, at, confirmed=True))


def add_sent_input(
    session: Session, event: events.ConversationItemCreate, record: Record
) -> Session:
    """The session with an item sent, if it is an input.

    An item that is sent again keeps its time; one of the session is not an input.
    """
    wire = event.item
    if isinstance(wire, events.UnknownItem):
        return session
    role = wire.role if isinstance(wire, events.MessageItem) else None
    kind = _kind(wire.type, role)
    if kind is None or wire.id in session.items:
        return session
    known = _find(session, wire.id or "")
    if known is not None:
        return _put(session, known, replace(known, event_id=event.event_id))
    sent = Input(wire.id or "", kind, record.at, event.event_id, sent=True)
    return _put(session, None, sent)


def confirm_input(
    session: Session, item_id: str, record: Record, *, is_new: bool
) -> Session:
    """The session with an item that the service has added, if it is an input.

    It is an item that this client has sent, or else that of another client.
    """
    known = _find(session, item_id)
    if known is None and not is_new:
        return session
    item = session.items[item_id]
    kind = _kind(item.type, item.role)
    if known is None:
        unnamed = (one for one in session.activity.unanswered if not one.item_id)
        known = next((one for one in unnamed if one.kind == kind), None)
    if known is not None:
        confirmed = replace(known, item_id=item_id, confirmed=True)
        return _put(session, known, confirmed)
    if kind is None or (kind == _REPLY and _is_output(session, item)):
        return session
    if kind == _TYPED and any(part.type == "input_audio" for part in item.parts):
        kind = _SPOKEN
    return _put(session, None, Input(item_id, kind, record.at, confirmed=True))


def _is_output(session: Session, item: Item) -> bool:
    """Whether a message of the assistant may be the output of a response."""
    return (
        item.placement.response_id is not None or session.responses.active is not None
    )


def mark_requested(session: Session) -> Session:
    """The session after a ``response.create`` was sent: the inputs so far precede it.

    A service handles the events of a client in order.
    """
    inputs = session.activity.unanswered
    return put_unanswered(session, [replace(one, requested=True) for one in inputs])


def drop_inputs(
    session: Session, item_ids: Collection[str], event_id: str | None = None
) -> Session:
    """The session without the inputs with these ids, or that this event sent."""

    def is_kept(one: Input) -> bool:
        is_sent = event_id is not None and one.event_id == event_id
        return not is_sent and (not one.item_id or one.item_id not in item_ids)

    return put_unanswered(session, list(filter(is_kept, session.activity.unanswered)))


def drop_outputs(session: Session) -> Session:
    """The session without outputs that a response is due for."""
    inputs = session.activity.unanswered
    return put_unanswered(
        session,
        [one for one in inputs if one.kind != _OUTPUT or not _is_whole(session, one)],
    )


def take_inputs(
    session: Session, epoch: int, began: float | None
) -> tuple[Session, tuple[Input, ...] | None]:
    """The session after a response begins, and the inputs that it answers.

    ``began`` is the time of its first output, in seconds since the Unix epoch, if that
    arrived earlier. None if the inputs are unknown: this client did not request it, and
    there is no new input.
    """
    is_requested = session.responses.in_flight is not None
    found = [one for one in session.activity.unanswered if _exists(session, one, epoch)]
    replies = [n for n, one in enumerate(found) if _ends_turn(session, one)]
    found = found[replies[-1] + 1 :] if replies else found
    is_confirmed = any(one.sent and one.confirmed for one in found)
    present = [
        one
        for one in found
        if _is_present(session, one, is_confirmed)
        and (began is None or one.at is None or one.at <= began)
    ]
    whole = [one for one in present if _is_whole(session, one)]
    if is_requested:
        whole = _of_request(session, present) + whole
        # The request of an application does not wait for the other outputs.
        inputs = whole or [one for one in present if not one.answered]
    else:
        # Turn detection began it, so the speech is its cause.
        inputs = sorted(whole, key=lambda one: one.kind == _SPOKEN)
    session = put_unanswered(
        session,
        [
            replace(one, answered=one.answered or one in inputs)
            for one in found
            if one not in whole
        ],
    )
    is_known = inputs or is_requested or _begins_conversation(session)
    return session, tuple(inputs) if is_known else None


def _exists(session: Session, one: Input, epoch: int) -> bool:
    """Whether an input can still be answered: speech only on its own connection."""
    item = session.item(one.item_id)
    if item is None:
        return True
    is_lost = one.kind == _SPOKEN and item.placement.epoch < epoch
    return item.status != "deleted" and not is_lost


def _ends_turn(session: Session, one: Input) -> bool:
    """Whether it is a reply that a client has added to the conversation."""
    item = session.item(one.item_id)
    is_output = item is not None and item.placement.response_id is not None
    return one.kind == _REPLY and not is_output


def _is_present(session: Session, one: Input, is_confirmed: bool) -> bool:
    """Whether the service had an input when the response began."""
    responses = session.responses
    if one.kind == _REPLY or one.item_id in responses.queued_items:
        return False
    if one.confirmed or one.item_id in responses.in_flight_items:
        return True
    return responses.in_flight is not None and one.requested and not is_confirmed


def _of_request(session: Session, known: Collection[Input]) -> list[Input]:
    """The messages of the request in flight that are not among these inputs."""
    names = {one.item_id for one in known}
    found: list[Input] = []
    for item_id in session.responses.in_flight_items:
        item = session.item(item_id)
        if item_id in names or (item is not None and item.type in _OUTPUTS):
            continue
        at = item.placement.started_at if item is not None else None
        found.append(Input(item_id, _TYPED, at, confirmed=item is not None))
    return found


def _is_whole(session: Session, one: Input) -> bool:
    """Whether all calls of a response have an output, if it is one of them."""
    item = session.item(one.item_id)
    if item is None or item.type != "function_call_output" or item.call is None:
        return True
    call = find_call(session, item.call.key)
    response = session.response(call.placement.response_id) if call else None
    made = map(session.item, response.item_ids if response is not None else ())
    links = [
        session.conversation.calls.get(each.call.key or "")
        for each in made
        if each is not None and each.call is not None and each.type == "function_call"
    ]
    # A refused output never arrives.
    return all(
        each is None or each.output or each.output_sent or each.output_refused
        for each in links
    )


def _begins_conversation(session: Session) -> bool:
    """Whether nothing precedes a response, so that it is a greeting."""
    if session.connection.server_id is None or session.activity.speaking_item:
        return False
    responses = session.responses
    earlier = (responses.by_id[each] for each in islice(responses.order, _RECENT))
    if any(each.announced and each.in_conversation for each in earlier):
        return False
    first = islice(session.conversation.order, MAX_INPUTS)
    return all(session.items[each].role != "user" for each in first)
