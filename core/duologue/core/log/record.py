"""A record: a frame that a session received or sent, or a local fact.

The records of a session are ordered; folding them in this order gives its state.
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
    """One event of one session, with its number, time and source.

    ``seq`` is the sequence number in the session, from 1. ``at`` is the time in seconds
    since the Unix epoch; it never decreases in a session, and is None if an old log has
    no times. ``epoch`` is the number of the connection, from 0. ``src`` is the source
    if it is not the session's own connection, such as ``sideband``, else None.
    ``frame`` is the original bytes of the event. ``audio_bytes`` is the size in bytes
    of its decoded audio, even if the log omits the audio.
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
            require(frame, (bytes, str), "Record.of: the frame", _HINT)
            # Encode even a lone surrogate: the decoder then finds a malformed frame.
            frame = frame.encode(errors="surrogatepass")
        event = decode_bytes(frame, kind)
        audio = audio_bytes(event) if event.AUDIO else None
        return cls(seq, session, dir, event, frame, at, epoch, src, audio)


_HINT = "; `Store.feed` takes mappings and events too"
#: A null configuration decodes to one of these, so it does not show the kind.
_EMPTY = (RealtimeSessionConfig(), TranscriptionSessionConfig())


def kind_after(kind: SessionKind, record: Record) -> SessionKind:
    """The kind of a session after a record; `Connection.kind` has the same value.

    The decoder needs the kind, because some event types have another class in a
    translation. Only the service sets the kind, in its configuration events. After
    `Forgotten`, the kind is `REALTIME` again, as for a new session.
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
