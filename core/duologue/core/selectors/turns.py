"""Responses, the inputs that they answer, and the latencies of these turns."""

from __future__ import annotations

from typing import Literal, cast

import attrs

from ..argument_checks import of_session
from ..state.model import Input, Response, Session
from .memo import memoised

__all__ = [
    "Answer",
    "TurnTimes",
    "select_answers",
    "select_metadata",
    "select_responses",
    "select_turn",
    "select_turns",
    "turn_times",
]


@attrs.frozen
class Answer:
    """The inputs that one response answers: see "What a reply answers" in the rules.

    ``item_ids`` are the items of the inputs, the cause of the response at the end;
    ``kind`` is the kind of that one: ``spoken``, ``typed`` or ``tool_output``.
    ``nothing`` is a greeting, a response that was requested without a new input, or one
    out of band, which has its own input; ``unknown``: the log does not tell, for
    example because another client requested it. ``at`` is the time of the cause, in
    seconds since the Unix epoch: the end of the speech, or the time at which the
    message or the output was sent. ``latency_ms`` counts from it to the first text or
    audio; both are None if unknown.
    """

    response_id: str
    kind: Literal["spoken", "typed", "tool_output", "nothing", "unknown"]
    item_ids: tuple[str, ...] = ()
    at: float | None = None
    latency_ms: float | None = None


@attrs.frozen
class TurnTimes:
    """The latencies of one turn in ms; None if unknown.

    ``response_id`` is the response, ``item_id`` the user's speech that it answers
    (None if the user typed, for example). ``first_audio_ms`` and ``first_text_ms``
    count from the input that the response answers (see `Answer`), or from the creation
    of the response if it answers nothing; ``barge_in_ms`` from the user's interruption
    to silence.
    """

    response_id: str
    item_id: str | None
    first_audio_ms: float | None
    first_text_ms: float | None
    barge_in_ms: float | None


@memoised("responses")
def select_responses(session: Session) -> tuple[Response, ...]:
    """All responses in the order in which they began, out-of-band ones included."""
    by_id = session.responses.by_id
    return tuple(by_id[response_id] for response_id in session.responses.order)


@memoised("responses")
def select_answers(session: Session) -> tuple[Answer, ...]:
    """The inputs that each response answers, in the order in which these began.

    A response counts from ``response.created``, or else ``response.done``.
    """
    return tuple(
        _answer(response)
        for response in select_responses(session)
        if response.announced
    )


@memoised("responses")
def select_turns(session: Session) -> tuple[TurnTimes, ...]:
    """The turns of the conversation with their latencies, oldest first."""
    return tuple(
        turn_times(response)
        for response in select_responses(session)
        if response.in_conversation
    )


@of_session
def select_turn(session: Session, item_id: str) -> TurnTimes | None:
    """The latencies of the response that created an item.

    None if no response of the conversation created it. For an item of the user, search
    `select_turns` for its ``item_id``.
    """
    response = _response_of(session, item_id)
    if response is None or not response.in_conversation:
        return None
    return turn_times(response)


@of_session
def select_metadata(session: Session, item_id: str) -> dict[str, str]:
    """The metadata of the response that created an item; empty if there is none."""
    response = _response_of(session, item_id)
    return dict(response.metadata) if response else {}


def _response_of(session: Session, item_id: str) -> Response | None:
    item = session.items.get(item_id)
    return session.response(item.placement.response_id) if item else None


def turn_times(response: Response) -> TurnTimes:
    """The latencies of one response."""
    turn, answer = response.turn, _answer(response)
    start = turn.created_at if answer.kind == "nothing" else answer.at
    return TurnTimes(
        response.id,
        turn.item_id,
        _ms(start, turn.first_audio_at),
        _ms(start, turn.first_text_at),
        _ms(turn.barge_in_at, turn.interrupted_at),
    )


def inputs_of(response: Response) -> tuple[Input, ...] | None:
    """The inputs that a response answers, its cause at the end; None if unknown."""
    if response.inputs is not None:
        return response.inputs
    # A snapshot of an earlier version has these only.
    turn = response.turn
    inputs = [Input(item_id, "typed") for item_id in response.answers]
    if turn.item_id is not None:
        inputs.append(Input(turn.item_id, "spoken", turn.speech_ended_at))
    return tuple(inputs) or None


def _answer(response: Response) -> Answer:
    inputs = inputs_of(response)
    if not inputs:
        return Answer(response.id, "unknown" if inputs is None else "nothing")
    cause, turn = inputs[-1], response.turn
    first = [at for at in (turn.first_text_at, turn.first_audio_at) if at is not None]
    return Answer(
        response.id,
        cast(Literal["spoken", "typed", "tool_output"], cause.kind),
        tuple(one.item_id for one in inputs if one.item_id),
        cause.at,
        _ms(cause.at, min(first, default=None)),
    )


def _ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round((end - start) * 1000, 1)
