"""The present state of a session: its connection, the speaker, pending work."""

from __future__ import annotations

from ..argument_checks import of_session
from ..events.types import SessionStatus
from ..state.model import DtmfKey, Session
from .calls import select_running_calls
from .transcript import is_transcript_final

__all__ = [
    "is_idle",
    "select_dtmf",
    "select_is_connected",
    "select_is_muted",
    "select_is_settled",
    "select_is_speaking",
]


@of_session
def select_is_connected(session: Session) -> bool:
    """Whether the session is open, so that frames can be exchanged."""
    return session.connection.status is SessionStatus.OPEN


@of_session
def select_is_speaking(session: Session) -> str | None:
    """Who is speaking: ``user``, ``assistant`` or None. The user takes precedence.

    Over WebRTC the assistant speaks from ``output_audio_buffer.started`` to the end of
    its audio. Over WebSocket the application plays the audio and reports its position
    in ``duologue.played``.
    """
    if session.activity.speaking_item is not None:
        return "user"
    return None if session.activity.playing is None else "assistant"


@of_session
def select_is_settled(session: Session) -> bool:
    """Whether nothing is pending.

    The user and the assistant are silent, no response is due or in progress, no
    function is running, and every transcript line is final.
    """
    return is_idle(session) and is_transcript_final(session)


def is_idle(session: Session) -> bool:
    """Whether both sides are silent, and no response or function is in progress."""
    activity, responses = session.activity, session.responses
    heard = (activity.speaking_item, activity.unanswered_item, activity.playing)
    due = (responses.active, responses.queued, responses.in_flight)
    return not (any(heard) or any(due) or select_running_calls(session))


@of_session
def select_is_muted(session: Session) -> bool:
    """Whether the microphone is muted."""
    return session.activity.muted


@of_session
def select_dtmf(session: Session) -> tuple[DtmfKey, ...]:
    """The telephone keys that the caller pressed last."""
    return session.activity.dtmf_keys
