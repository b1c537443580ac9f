"""One thing that happened to a session: a frame received, a frame sent, a local fact.

The records of a session have one order, and the state is their fold.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ..argument_checks import require
from ..events.base import Event
from ..events.config import RealtimeSessionConfig, TranscriptionSessionConfig
from ..events.local import Forgotten
from ..events.session import SessionCreated, SessionUpdated
from ..events.translation import TranslationSessionCreated, TranslationSessionUpdated
from ..events.types import SessionKind
from ..wire.audio_fields import audio_bytes
from ..wire.codec import decode_bytes

__all__ = ["Direction", "Record", "kind_after"]

#: Received, sent, or a local fact.
Direction = Literal["in", "out", "local"]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event of one session, with its place in the order.

    ``seq`` counts from 1 in its log. ``at`` is the time in seconds since the Unix
    epoch, never decreasing in a session, None if an old log has no times. ``epoch`` is
    the connection of the session, from 0. ``src`` is the source of the record if that
    is not the session's own channel. ``frame`` is the original bytes of the event, and
    ``audio_bytes`` the size of the decoded audio in them, also if the log left it out.
    """

    seq: int
    session: str
    dir: Direction
    event: Event
    frame: bytes
    at: float | None = None
    epoch: int = 0
    src: str | None = None
    audio_bytes: int | None = None

    @classmethod
    def of(
        cls,
        frame: bytes | str,
        *,
        seq: int,
        session: str,
        dir: Direction,
        at: float | None = None,
        epoch: int = 0,
        src: str | None = None,
        kind: SessionKind = SessionKind.REALTIME,
    ) -> Record:
        """Decode a frame into a record.

        Raises TypeError if the frame is neither bytes nor text.
        """
        if not isinstance(frame, bytes):
            require(frame, str, "Record.of: the frame", _FRAME)
            # A lone surrogate has no UTF-8 form: the frame becomes malformed.
            frame = frame.encode(errors="surrogatepass")
        event = decode_bytes(frame, kind)
        audio = audio_bytes(event) if event.AUDIO else None
        return cls(seq, session, dir, event, frame, at, epoch, src, audio)


_FRAME = " (nor bytes); `Store.feed` takes mappings and events too"
#: The configuration was null: it confirms nothing.
_EMPTY = (RealtimeSessionConfig(), TranscriptionSessionConfig())


def kind_after(kind: SessionKind, record: Record) -> SessionKind:
    """The kind of a session after a record, equal to `Connection.kind`.

    The kind decides the class of an event type that translations share with other
    sessions. The service reports it; a forgotten session can begin again as another
    kind.
    """
    event = record.event
    if record.dir == "local":
        return SessionKind.REALTIME if isinstance(event, Forgotten) else kind
    if record.dir == "out":
        return kind
    if isinstance(event, TranslationSessionCreated | TranslationSessionUpdated):
        return SessionKind.TRANSLATION
    if isinstance(event, SessionCreated | SessionUpdated):
        if event.session in _EMPTY:
            return kind
        if isinstance(event.session, TranscriptionSessionConfig):
            return SessionKind.TRANSCRIPTION
        return SessionKind.REALTIME
    return kind
