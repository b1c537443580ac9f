"""What users read: views over a session, each remembered until its inputs change.

A selector takes a session and is named ``select_…``. It is a pure function; what it
gave last for a session is kept and given again while the nodes that it reads are the
same objects.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import attrs

from .state import Item, Problem, Response, Session, Turn, Usage
from .types import SessionStatus

__all__ = [
    "Transcript",
    "TurnTimes",
    "select_is_connected",
    "select_is_muted",
    "select_is_settled",
    "select_is_speaking",
    "select_metadata",
    "select_problems",
    "select_transcripts",
    "select_turns",
    "select_usage",
]

_T = TypeVar("_T")
_REMEMBERED = 1024


@attrs.frozen
class Transcript:
    """One line of the conversation.

    ``text`` is what is known so far, ``final`` whether it can still change;
    ``interrupted`` the ms after which it was cut off, ``heard`` an estimate of what
    was heard by then (None where it was not cut off, or unknown). ``started_at``
    and ``finished_at`` are seconds since the Unix epoch, None where unknown.
    """

    item_id: str
    role: str
    text: str
    final: bool
    interrupted: int | None = None
    heard: str | None = None
    started_at: float | None = None
    finished_at: float | None = None


@attrs.frozen
class TurnTimes:
    """How long the steps of one turn took, in ms; None where unknown.

    ``first_audio_ms`` and ``first_text_ms`` count from the end of the user's speech
    (from the creation of the response if nobody spoke); ``barge_in_ms`` from the
    user's interruption to silence.
    """

    response_id: str
    item_id: str | None
    first_audio_ms: float | None
    first_text_ms: float | None
    barge_in_ms: float | None


def _remember(
    *inputs: str,
) -> Callable[[Callable[[Session], _T]], Callable[[Session], _T]]:
    """Keep a selector's last answer for each session while these nodes are the same."""

    def decorate(select: Callable[[Session], _T]) -> Callable[[Session], _T]:
        kept: OrderedDict[str, tuple[tuple[Any, ...], _T]] = OrderedDict()

        @wraps(select)
        def remembered(session: Session) -> _T:
            nodes = tuple(getattr(session, name) for name in inputs)
            last = kept.get(session.id)
            if last is not None and all(
                a is b for a, b in zip(last[0], nodes, strict=True)
            ):
                return last[1]
            answer = select(session)
            kept[session.id] = (nodes, answer)
            kept.move_to_end(session.id)
            if len(kept) > _REMEMBERED:
                kept.popitem(last=False)
            return answer

        return remembered

    return decorate


@_remember("items", "conversation")
def select_transcripts(session: Session) -> tuple[Transcript, ...]:
    """What user and assistant said and wrote, in the order of the conversation.

    Placeholders are there too: a user who is speaking has a line without text.
    System messages, calls, deleted items and lines that the user cleared are not.
    """
    shown: list[Transcript] = []
    for item_id in reversed(session.conversation.order):
        if item_id == session.conversation.cleared_after:
            break
        item = session.items[item_id]
        if item.role in ("user", "assistant") and item.status != "deleted":
            shown.append(transcript_of(item))
    shown.reverse()
    return tuple(shown)


def transcript_of(item: Item) -> Transcript:
    """The line that a message makes."""
    cut = item.truncation
    final = all(part.final for part in item.parts)
    if not item.parts:
        # The words of a user may still come when their item is complete.
        final = item.role == "assistant" and item.status != "in_progress"
    return Transcript(
        item.id,
        item.role or "",
        "".join(str(part.text) for part in item.parts).strip(),
        final,
        cut.audio_end_ms if cut else None,
        cut.heard if cut else None,
        item.placement.started_at,
        item.placement.finished_at,
    )


@_remember("responses")
def select_turns(session: Session) -> tuple[TurnTimes, ...]:
    """The turns of the conversation with their latencies, oldest first."""
    by_id = session.responses.by_id
    return tuple(
        _times(by_id[response_id])
        for response_id in session.responses.order
        if by_id[response_id].in_conversation
    )


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


def select_metadata(session: Session, item_id: str) -> dict[str, str]:
    """The metadata of the response that made an item; empty where there is none."""
    item = session.items.get(item_id)
    response_id = item.placement.response_id if item else None
    response = session.responses.by_id.get(response_id or "")
    return dict(response.metadata) if response else {}


def select_is_connected(session: Session) -> bool:
    """Whether frames go both ways."""
    return session.connection.status is SessionStatus.OPEN


def select_is_speaking(session: Session) -> str | None:
    """Who is heard just now: ``user``, ``assistant`` or None. The user comes first."""
    if session.activity.speaking_item is not None:
        return "user"
    return None if session.activity.playing is None else "assistant"


def select_is_settled(session: Session) -> bool:
    """Whether nothing is under way: nobody speaks, no answer is due or in work.

    And every line so far is final.
    """
    activity = session.activity
    busy = (activity.speaking_item, activity.last_spoken, activity.playing)
    if session.responses.active is not None or any(busy):
        return False
    return all(line.final for line in select_transcripts(session))


def select_is_muted(session: Session) -> bool:
    """Whether the microphone is muted."""
    return session.activity.muted


def select_usage(session: Session) -> Usage:
    """Tokens so far, by modality; the cached ones are part of the input."""
    return session.ledger.usage


def select_problems(session: Session) -> tuple[Problem, ...]:
    """What went wrong, oldest first, at most a hundred."""
    return session.ledger.problems
