"""What users read: views over a session, each remembered until its inputs change.

A selector takes a session and is named ``select_…``. It is a pure function; what it
gave last for a session is kept and given again while the nodes that it reads are the
same objects; so it is for the last 64 sessions, by their ids. One that only hands out a
node needs no memory for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, TypeVar

import attrs

from ..arguments import of_session, require_session
from ..events.types import SessionStatus
from ..state.model import (
    Call,
    Item,
    Key,
    Problem,
    RateLimit,
    Response,
    Session,
    TranscriptionUsage,
    Turn,
    Usage,
)
from .transcript import Transcript, is_final, transcript_of

__all__ = [
    "Transcript",
    "TranslatedText",
    "TurnTimes",
    "has_output",
    "select_dtmf",
    "select_final_transcripts",
    "select_is_connected",
    "select_is_muted",
    "select_is_settled",
    "select_is_speaking",
    "select_items",
    "select_metadata",
    "select_pending_approvals",
    "select_pending_calls",
    "select_problems",
    "select_rate_limits",
    "select_responses",
    "select_running_calls",
    "select_transcription_usage",
    "select_transcripts",
    "select_transcripts_by_role",
    "select_translation",
    "select_turn",
    "select_turns",
    "select_usage",
    "select_words_missing",
]

_T = TypeVar("_T")
#: Sessions whose last answer a selector keeps.
_REMEMBERED = 64


@attrs.frozen
class TurnTimes:
    """How long the steps of one turn took, in ms; None where unknown.

    ``response_id`` is the response that the turn is, ``item_id`` what the user said
    before it: None where nothing was said, but typed, for example.
    ``first_audio_ms`` and ``first_text_ms`` count from the end of the user's speech
    (from the creation of the response if nobody spoke); ``barge_in_ms`` from the
    user's interruption to silence.
    """

    response_id: str
    item_id: str | None
    first_audio_ms: float | None
    first_text_ms: float | None
    barge_in_ms: float | None


@attrs.frozen
class TranslatedText:
    """The two running texts of a translation, and how far into the audio they reach."""

    input: str
    output: str
    input_ms: int | None = None
    output_ms: int | None = None


def _remember(
    *inputs: str,
) -> Callable[[Callable[[Session], _T]], Callable[[Session], _T]]:
    """Keep a selector's last answer for each session while these nodes are the same.

    What is kept holds the answer and these nodes, so those of the last 64 sessions that
    were asked for stay in memory, also when their store is gone.
    """

    def decorate(select: Callable[[Session], _T]) -> Callable[[Session], _T]:
        kept: dict[str, tuple[tuple[Any, ...], _T]] = {}
        name = getattr(select, "__name__", "")

        @wraps(select)
        def remembered(session: Session) -> _T:
            require_session(session, name)
            nodes = tuple(getattr(session, name) for name in inputs)
            last = kept.get(session.id)
            if last is not None and all(
                a is b for a, b in zip(last[0], nodes, strict=True)
            ):
                return last[1]
            answer = select(session)
            # Threads may do this at once: no step expects what another one left.
            kept.pop(session.id, None)
            kept[session.id] = (nodes, answer)
            if len(kept) > _REMEMBERED:
                kept.pop(next(iter(tuple(kept))), None)
            return answer

        return remembered

    return decorate


# What was said.


@_remember("items", "conversation")
def select_transcripts(session: Session) -> tuple[Transcript, ...]:
    """What user and assistant said and wrote, in the order of the conversation.

    Placeholders are there too: a user who is speaking has a line without text.
    System messages, calls, deleted items and lines that the user cleared are not.
    """
    shown = [transcript_of(item) for item in _lines(session)]
    shown.reverse()
    return tuple(shown)


def _lines(session: Session) -> Iterator[Item]:
    """The items that are lines of the transcript, the last one first."""
    for item_id in reversed(session.conversation.order):
        if item_id == session.conversation.cleared_after:
            break
        item = session.items[item_id]
        if item.role in ("user", "assistant") and item.status != "deleted":
            yield item


@_remember("items", "conversation")
def select_final_transcripts(session: Session) -> tuple[Transcript, ...]:
    """The lines that will not change any more."""
    return tuple(line for line in select_transcripts(session) if line.final)


@of_session
def select_transcripts_by_role(session: Session, role: str) -> tuple[Transcript, ...]:
    """The lines of ``user`` or ``assistant``."""
    return tuple(line for line in select_transcripts(session) if line.role == role)


@_remember("conversation")
def select_translation(session: Session) -> TranslatedText | None:
    """What was said and what it means; None for what is no translation."""
    texts = session.conversation.translation
    if texts is None:
        return None
    return TranslatedText(
        str(texts.input), str(texts.output), texts.input_ms, texts.output_ms
    )


@of_session
def select_words_missing(session: Session) -> tuple[str, ...]:
    """The items behind which records are missing, so that words may be, too.

    ``""`` stands for the beginning of the conversation.
    """
    return session.conversation.gaps


@of_session
def select_dtmf(session: Session) -> tuple[Key, ...]:
    """The last telephone keys that the caller pressed."""
    return session.activity.keys


# Items and calls.


@_remember("items", "conversation")
def select_items(session: Session) -> tuple[Item, ...]:
    """All items of the conversation in their order, but for the deleted."""
    items = map(session.items.__getitem__, session.conversation.order)
    return tuple(item for item in items if item.status != "deleted")


@_remember("items", "conversation")
def select_pending_calls(session: Session) -> tuple[Call, ...]:
    """The function calls that wait to be run: whole, and nobody has taken them.

    One leaves when its tool starts, or when its output is sent.
    """
    return _calls(
        session,
        lambda call: call.complete and not call.running and not call.answered,
    )


@_remember("items", "conversation")
def select_running_calls(session: Session) -> tuple[Call, ...]:
    """The function calls that are being run here."""
    return _calls(session, lambda call: call.running)


def _calls(session: Session, wanted: Callable[[Call], bool]) -> tuple[Call, ...]:
    """Function calls without output, in the order of the conversation."""
    conversation = session.conversation
    found: dict[str, Call] = {}
    for link in conversation.calls.values():
        item = session.item(link.call)
        if item is None or item.call is None or item.type != "function_call":
            continue
        if item.status == "deleted" or has_output(session, item.call):
            continue
        if wanted(item.call):
            found[item.id] = item.call
    if len(found) < 2:
        return tuple(found.values())
    return tuple(found[item_id] for item_id in _in_order(session, found))


def has_output(session: Session, call: Call) -> bool:
    """Whether the conversation has what a call gave."""
    link = session.conversation.calls.get(call.call_id or "")
    output = session.item(link.output) if link else None
    return output is not None and output.status != "deleted"


def _in_order(session: Session, ids: Iterable[str]) -> list[str]:
    """These items as they stand in the conversation, then those beside it."""
    wanted = set(ids)
    ordered = [item for item in session.conversation.order if item in wanted]
    return ordered + sorted(wanted.difference(ordered))


@_remember("items", "conversation")
def select_pending_approvals(session: Session) -> tuple[Item, ...]:
    """The MCP calls that wait to be allowed or refused: the items that ask."""
    return tuple(
        item
        for item in select_items(session)
        if item.type == "mcp_approval_request"
        and item.call is not None
        and item.call.mcp is not None
        and item.call.mcp.approve is None
    )


# Responses and turns.


@_remember("responses")
def select_responses(session: Session) -> tuple[Response, ...]:
    """All responses in the order in which they began, those out of band too."""
    by_id = session.responses.by_id
    return tuple(by_id[response_id] for response_id in session.responses.order)


@_remember("responses")
def select_turns(session: Session) -> tuple[TurnTimes, ...]:
    """The turns of the conversation with their latencies, oldest first."""
    return tuple(
        _times(response)
        for response in select_responses(session)
        if response.in_conversation
    )


@of_session
def select_turn(session: Session, item_id: str) -> TurnTimes | None:
    """The latencies of the response that made an item.

    None for what no response of the conversation made, such as the user's words: their
    id is the ``item_id`` of the turn that answers them.
    """
    response = _response_of(session, item_id)
    if response is None or not response.in_conversation:
        return None
    return _times(response)


def _response_of(session: Session, item_id: str) -> Response | None:
    """The response that made an item."""
    item = session.items.get(item_id)
    response_id = item.placement.response_id if item else None
    return session.response(response_id)


def _times(response: Response) -> TurnTimes:
    turn: Turn = response.turn
    start = turn.created_at if turn.speech_ended_at is None else turn.speech_ended_at
    return TurnTimes(
        response.id,
        turn.item_id,
        _ms(start, turn.first_audio_at),
        _ms(start, turn.first_text_at),
        _ms(turn.barge_in_at, turn.interrupted_at),
    )


def _ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round((end - start) * 1000, 1)


@of_session
def select_metadata(session: Session, item_id: str) -> dict[str, str]:
    """The metadata of the response that made an item; empty where there is none."""
    response = _response_of(session, item_id)
    return dict(response.metadata) if response else {}


# What is going on.


@of_session
def select_is_connected(session: Session) -> bool:
    """Whether frames go both ways."""
    return session.connection.status is SessionStatus.OPEN


@of_session
def select_is_speaking(session: Session) -> str | None:
    """Who is heard just now: ``user``, ``assistant`` or None. The user comes first.

    The reply is heard from ``output_audio_buffer.started`` (WebRTC) to its end, or as
    far as a ``duologue.played`` tells of it: over WebSocket whoever plays says so.
    """
    if session.activity.speaking_item is not None:
        return "user"
    return None if session.activity.playing is None else "assistant"


@of_session
def select_is_settled(session: Session) -> bool:
    """Whether nothing is under way: nobody speaks, no answer is due or in work.

    No function is being run either, and every line so far is final.
    """
    activity, responses = session.activity, session.responses
    busy = (activity.speaking_item, activity.last_spoken, activity.playing)
    due = (responses.active, responses.wished, responses.asked)
    if any(busy) or any(due) or select_running_calls(session):
        return False
    return _is_all_final(session)


@_remember("items", "conversation")
def _is_all_final(session: Session) -> bool:
    """Whether no line can change any more, the last one looked at first."""
    return all(map(is_final, _lines(session)))


@of_session
def select_is_muted(session: Session) -> bool:
    """Whether the microphone is muted."""
    return session.activity.muted


# What adds up.


@of_session
def select_usage(session: Session) -> Usage:
    """Tokens so far, by modality; the cached ones are part of the input."""
    return session.ledger.usage


@of_session
def select_problems(session: Session) -> tuple[Problem, ...]:
    """What went wrong, oldest first, at most a hundred."""
    return session.ledger.problems


@of_session
def select_transcription_usage(session: Session) -> TranscriptionUsage:
    """What writing down the user's words took so far; billed apart from the rest."""
    return session.ledger.transcription


@of_session
def select_rate_limits(session: Session) -> tuple[RateLimit, ...]:
    """What the limits of the service leave, as it last said."""
    return session.ledger.rate_limits
