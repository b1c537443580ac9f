"""Replies: the whole answer to a turn of the user, with its tool calls.

A reply begins with the response to a message or to spoken words. If that response calls
tools, the next response that begins after their outputs continues the reply. A reply is
over when its last response has ended, calls no tool and is no longer playing. A
response that was interrupted or has failed ends it, too, and so does a wait that
reaches its time limit (see `waits`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

from ..argument_checks import of_session
from ..state.model import Call, Item, Response, Session
from .calls import awaits_output, is_call_of
from .transcript import Transcript, transcript_of
from .turns import inputs_of
from .waits import (
    call_wait,
    is_busy,
    is_past,
    outputs_wait,
    turn_wait,
)

__all__ = [
    "Reply",
    "ended_replies",
    "is_reply_over",
    "responses_after",
    "select_replies",
    "select_reply",
]


@attrs.frozen
class Reply:
    """The answer to one turn of the user.

    ``status`` is ``in_progress``, ``completed``, ``interrupted`` (by the user or by the
    application) or ``failed``; ``reason`` says why it did not complete. ``item_id`` is
    the message or the spoken item that it answers, None if unknown. ``lines`` are its
    lines of the transcript, ``calls`` the function calls and MCP calls that it made.
    """

    item_id: str | None
    status: str
    reason: str | None = None
    lines: tuple[Transcript, ...] = ()
    calls: tuple[Call, ...] = ()
    responses: tuple[Response, ...] = ()

    @property
    def text(self) -> str:
        """The text of all lines, one below the other."""
        return "\n".join(line.text for line in self.lines if line.text)


@of_session
def select_reply(session: Session, item_id: str) -> Reply | None:
    """The reply to a message of this client, or to a spoken item; None if unknown.

    A message is known if its response was requested with it: see
    `duologue.core.events.Requested`.
    """
    first = _first_response(session, item_id)
    if first is not None:
        return _reply(session, first, item_id)
    if item_id not in session.items and not _is_sent(session, item_id):
        return None
    status, reason = _state_before_response(session, item_id)
    return Reply(item_id, status, reason)


@of_session
def select_replies(session: Session) -> tuple[Reply, ...]:
    """All replies of the conversation in the order in which they began."""
    replies: list[Reply] = []
    seen: set[str] = set()
    for response_id in session.responses.order:
        response = session.responses.by_id[response_id]
        if response_id in seen or not _is_answer(response):
            continue
        replies.append(_reply(session, response, seen=seen))
        seen.update(one.id for one in replies[-1].responses)
    return tuple(replies)


@of_session
def is_reply_over(session: Session, item_id: str) -> bool:
    """Whether the reply to an item is over. Its cost does not grow with the session."""
    first = _first_response(session, item_id)
    if first is None:
        return _state_before_response(session, item_id)[0] != _IN_PROGRESS
    return _state(session, _chain(session, first)[-1])[0] != _IN_PROGRESS


def responses_after(session: Session, after: str | None) -> tuple[str, ...]:
    """The responses that began after another one; all if it is None or unknown."""
    found: list[str] = []
    for response_id in reversed(session.responses.order):
        if response_id == after:
            break
        found.append(response_id)
    return tuple(reversed(found))


def ended_replies(
    session: Session, response_ids: Iterable[str]
) -> tuple[tuple[Reply, ...], tuple[str, ...]]:
    """The replies that are over, and the responses of those that are not.

    ``response_ids`` are the second result of the last call, then the responses that
    have begun since.
    """
    ended: list[Reply] = []
    rest: list[str] = []
    seen: set[str] = set()
    for response_id in response_ids:
        response = session.responses.by_id[response_id]
        if not response.announced:
            rest.append(response_id)
        elif response_id not in seen and response.in_conversation:
            reply = _reply(session, response, seen=seen)
            seen.update(one.id for one in reply.responses)
            if reply.status == _IN_PROGRESS:
                rest.append(response_id)
            else:
                ended.append(reply)
    return tuple(ended), tuple(rest)


_IN_PROGRESS, _COMPLETED = "in_progress", "completed"
_INTERRUPTED, _FAILED = "interrupted", "failed"
_WITHDRAWN = "the request was withdrawn"


def _is_answer(response: Response) -> bool:
    return response.announced and response.in_conversation


def _is_requested(session: Session, item_id: str) -> bool:
    responses = session.responses
    return item_id in responses.queued_items or item_id in responses.in_flight_items


def _is_sent(session: Session, item_id: str) -> bool:
    """Whether this client sent a message or will send it."""
    unconfirmed = session.conversation.unconfirmed
    return (
        _is_requested(session, item_id)
        or item_id in session.responses.withdrawn
        or _failure(session, item_id) is not None
        or any(each.item_id == item_id for each in unconfirmed)
    )


def _first_response(session: Session, item_id: str) -> Response | None:
    """The response with which the reply to an item begins."""
    if _is_requested(session, item_id):
        return None
    for response_id in reversed(session.responses.order):
        response = session.responses.by_id[response_id]
        if any(one.item_id == item_id for one in inputs_of(response) or ()):
            return response
    return None


def _state_before_response(session: Session, item_id: str) -> tuple[str, str | None]:
    """The status and the reason of a reply without a response."""
    is_spoken = item_id == session.activity.speaking_item
    if is_spoken or _is_requested(session, item_id):
        return _IN_PROGRESS, None
    if item_id == session.activity.unanswered_item and _is_awaited(
        session, turn_wait(session)
    ):
        return _IN_PROGRESS, None
    if item_id in session.responses.withdrawn:
        return _INTERRUPTED, _WITHDRAWN
    failure = _failure(session, item_id)
    if failure is None and session.connection.status.is_over:
        failure = _over_reason(session)
    if failure is not None:
        return _FAILED, failure
    item = session.items.get(item_id)
    since = item.placement.started_at if item is not None else None
    for problem in session.problems[-1:]:
        if since is None or problem.at is None or problem.at >= since:
            return _FAILED, problem.message
    return _FAILED, "no response began"


def _failure(session: Session, item_id: str) -> str | None:
    """Why a message or an output failed: the problem of itself, or of its request."""
    failed = session.responses.failed
    return next((why for each, why in reversed(failed) if each == item_id), None)


def _over_reason(session: Session) -> str:
    return session.connection.reason or "the session is over"


def _chain(session: Session, first: Response) -> list[Response]:
    """A response and those that continue its reply."""
    chain = [first]
    for response_id in responses_after(session, first.id):
        response = session.responses.by_id[response_id]
        if _is_answer(response) and _continues(session, chain[-1], response):
            chain.append(response)
    return chain


def _continues(session: Session, last: Response, response: Response) -> bool:
    """Whether a response answers all outputs of the calls of another one."""
    if last.status != _COMPLETED or last.turn.interrupted_at is not None:
        return False
    calls = _calls_of(session, last)
    results = [_result(session, item) for item in calls if _may_end(session, item)]
    inputs = {one.item_id for one in inputs_of(response) or ()}
    return bool(results) and all(result and result.id in inputs for result in results)


def _calls_of(session: Session, response: Response) -> list[Item]:
    """The calls and the approvals of a response that need a result."""
    items = (session.items.get(item_id) for item_id in response.item_ids)
    return [
        item
        for item in items
        if item is not None
        and item.call is not None
        and (
            (is_call_of(session, item) and item.call.complete)
            or item.type == "mcp_approval_request"
        )
    ]


def _may_end(session: Session, item: Item) -> bool:
    """Whether a call or an approval has a result, or can still get one."""
    return (
        item.type != "function_call"
        or item.call is None
        or _result(session, item) is not None
        or awaits_output(session, item.call)
    )


def _result(session: Session, item: Item) -> Item | None:
    """The output of a call, or the answer to an approval."""
    call = item.call
    assert call is not None
    key = call.key if call.mcp is None else call.mcp.approval_request_id
    link = session.conversation.calls.get(key or "")
    result = session.item(link.output) if link is not None else None
    return None if result is None or result.status == "deleted" else result


def _is_awaited(session: Session, times: Iterable[float]) -> bool:
    return not all(is_past(session, time) for time in times)


def _state(session: Session, last: Response) -> tuple[str, str | None]:
    """The status and the reason of a reply, by its last response."""
    if last.status == _IN_PROGRESS:
        return _IN_PROGRESS, None
    if last.status == "cancelled":
        return _INTERRUPTED, last.reason
    if last.turn.interrupted_at is not None:
        return _INTERRUPTED, "the audio was cut off"
    if session.activity.playing == last.id:
        return _IN_PROGRESS, None
    if last.status != _COMPLETED:
        return _FAILED, last.reason or f"the response is {last.status}"
    calls = _calls_of(session, last)
    if any(_is_awaited(session, call_wait(session, item)) for item in calls):
        return _IN_PROGRESS, None
    if not calls:
        return _COMPLETED, None
    results = [_result(session, each) for each in calls if _may_end(session, each)]
    if not results or not all(results):
        errors = (each.call.error for each in calls if each.call)
        return _FAILED, next(filter(None, errors), "a call has no output")
    if any(each and each.id in session.responses.withdrawn for each in results):
        return _INTERRUPTED, _WITHDRAWN
    if is_busy(session) or _is_awaited(session, outputs_wait(session)):
        return _IN_PROGRESS, None
    failures = [_failure(session, each.id) for each in results if each]
    reason = next(filter(None, failures), "the outputs of the calls were not answered")
    return _FAILED, reason


def _reply(
    session: Session,
    first: Response,
    item_id: str | None = None,
    seen: Collection[str] = (),
) -> Reply:
    """The reply that begins with a response, without the ``seen`` responses.

    One response may answer the outputs of the calls of two others.
    """
    chain = _chain(session, first)
    status, reason = _state(session, chain[-1])
    chain = [response for response in chain if response.id not in seen]
    if status == _IN_PROGRESS and session.connection.status.is_over:
        status, reason = _FAILED, _over_reason(session)
    ids = [item_id for response in chain for item_id in response.item_ids]
    found = map(session.item, ids)
    items = [item for item in found if item is not None and item.status != "deleted"]
    said = (one for one in inputs_of(first) or () if one.kind != "tool_output")
    typed = next((one.item_id for one in said if one.item_id), None)
    return Reply(
        item_id or first.turn.item_id or typed,
        status,
        reason,
        tuple(transcript_of(item) for item in items if item.role == "assistant"),
        tuple(
            item.call
            for item in items
            if item.call and (item.type == "mcp_call" or is_call_of(session, item))
        ),
        tuple(chain),
    )
