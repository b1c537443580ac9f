"""The present state of a session: its connection, the speaker, pending work."""

from __future__ import annotations

from ..argument_checks import of_session
from ..events.types import SessionStatus
from ..state.model import DtmfKey, Reconnection, Session
from .waits import is_busy, is_past, waits

__all__ = [
    "select_dtmf",
    "select_is_connected",
    "select_is_muted",
    "select_is_settled",
    "select_is_speaking",
    "select_reconnections",
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
    """Whether nothing is pending, or the session is over.

    The user and the assistant are silent; no response is queued, due or in progress; no
    call waits for its output, and no output for its answer; no transcript is expected.
    If the event that ends a wait never arrives, a `duologue.tick` ends it after a time
    limit: see `duologue.core.selectors.waits`.
    """
    if session.connection.status.is_over:
        return True
    return not is_busy(session) and all(
        is_past(session, time) for time in waits(session)
    )


@of_session
def select_reconnections(session: Session) -> tuple[Reconnection, ...]:
    """The last hundred reconnects and hand-overs with their reasons, oldest first.

    Live sessions have them, bare logs of frames do not.
    """
    return session.connection.reconnections


@of_session
def select_is_muted(session: Session) -> bool:
    """Whether the microphone is muted."""
    return session.activity.muted


@of_session
def select_dtmf(session: Session) -> tuple[DtmfKey, ...]:
    """The telephone keys that the caller pressed last."""
    return session.activity.dtmf_keys
