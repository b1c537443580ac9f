"""Translation sessions: no items, responses or turns, but two texts that grow.

``elapsed_ms`` is the position in the audio that a text has reached, not an id. There
is no ``done`` event: ``session.closed`` ends both texts.
"""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import SessionKind, SessionStatus
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Session, Translation
from duologue.core.wire.json_values import canonical_json

from .handler import Handler, put_connection
from .overlap import is_early
from .requests.configuration import accept_update
from .session import (
    end_connection,
    greet_successor,
    open_connection,
)

__all__ = ["TABLE"]

_EMPTY = events.TranslationConfig()


def _on_session(
    session: Session,
    event: events.TranslationSessionCreated | events.TranslationSessionUpdated,
    record: Record,
) -> Session:
    """The configuration; the event also makes this a translation session."""
    if record.epoch < session.connection.epoch:
        return session
    if isinstance(event, events.TranslationSessionUpdated):
        session = accept_update(session, event, record)
    if is_early(session, record):
        return greet_successor(session, event.session, record)
    session = open_connection(session, event.session, record)
    connection = replace(session.connection, kind=SessionKind.TRANSLATION)
    session = put_connection(session, connection)
    running = _running(session)
    # A new connection reopens texts that the previous one closed.
    closed = running.closed and session.connection.status is not SessionStatus.OPEN
    confirmed = running.confirmed
    if event.session != _EMPTY:
        confirmed = canonical_json(event.session)
    return _with(session, replace(running, confirmed=confirmed, closed=closed))


def _on_input_delta(
    session: Session, event: events.SessionInputTranscriptDelta, record: Record
) -> Session | None:
    running = _running(session)
    if running.closed:
        return None
    grown = replace(
        running,
        input=running.input.append(event.delta),
        input_ms=_later(running.input_ms, event.elapsed_ms),
    )
    return _with(session, grown)


def _on_output_delta(
    session: Session, event: events.SessionOutputTranscriptDelta, record: Record
) -> Session | None:
    running = _running(session)
    if running.closed:
        return None
    grown = replace(
        running,
        output=running.output.append(event.delta),
        output_ms=_later(running.output_ms, event.elapsed_ms),
    )
    return _with(session, grown)


def _on_audio(
    session: Session, event: events.SessionOutputAudioDelta, record: Record
) -> Session:
    """Count the bytes of audio; the audio is not kept."""
    running = _running(session)
    count = running.audio_bytes + (record.audio_bytes or 0)
    return _with(session, replace(running, audio_bytes=count))


def _on_closed(
    session: Session, event: events.SessionClosed, record: Record
) -> Session:
    """The service sent all output: the session is closed."""
    if record.epoch < session.connection.epoch:
        return session
    reason = session.connection.reason
    session = end_connection(session, transitions.SESSION_CLOSED, reason, record)
    return _with(session, replace(_running(session), closed=True))


def _running(session: Session) -> Translation:
    return session.conversation.translation or Translation()


def _later(known: int | None, elapsed: int | None) -> int | None:
    """The position that a text has reached; it never decreases."""
    if elapsed is None or not 0 <= elapsed < 1 << 53:
        return known
    return elapsed if known is None else max(known, elapsed)


def _with(session: Session, running: Translation) -> Session:
    conversation = session.conversation
    if _is_same(running, conversation.translation):
        return session
    return replace(session, conversation=replace(conversation, translation=running))


def _is_same(running: Translation, known: Translation | None) -> bool:
    """Whether nothing changed; compares the texts by identity."""
    if known is None:
        return False
    if running.input is not known.input or running.output is not known.output:
        return False
    return running == known


TABLE: dict[type, Handler] = {
    events.TranslationSessionCreated: _on_session,
    events.TranslationSessionUpdated: _on_session,
    events.SessionInputTranscriptDelta: _on_input_delta,
    events.SessionOutputTranscriptDelta: _on_output_delta,
    events.SessionOutputAudioDelta: _on_audio,
    events.SessionClosed: _on_closed,
}
