"""One thing that happened, and its form as a line of a log.

Everything that happens to a session is one `Record` in one order: frames received,
frames sent, local facts. State is the fold of the records. A line of a log is::

    {"v":1,"seq":int,"at":float,"session":str,"epoch":int,"dir":"in"|"out"|"local",
     "src"?:str,"audio_bytes"?:int,"event":{…},"crc":"8 hex"}

``crc`` is the CRC-32 of the line's bytes before ``,"crc":``. What is not one JSON
object stands as ``"raw"`` in base64 (at most 64 KiB of it) with its ``"size"``.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from ..arguments import require
from ..errors import LogError
from ..events.base import Event, Malformed
from ..events.config import RealtimeSessionConfig, TranscriptionSessionConfig
from ..events.local import Connected, Connecting, Forgotten
from ..events.session import SessionCreated, SessionUpdated
from ..events.translation import TranslationSessionCreated, TranslationSessionUpdated
from ..events.types import SessionKind
from ..state.dedup import EMPTY_DEDUP, Dedup
from ..wire.audio_fields import audio_bytes, without_audio
from ..wire.codec import decode_bytes, malformed
from ..wire.json_values import is_object
from .upgrades import upgrade_line

__all__ = [
    "RAW_LIMIT",
    "VERSION",
    "Direction",
    "Record",
    "kind_after",
    "read_log",
    "to_line",
]

#: The version of the line format.
VERSION = 1
#: Bytes kept of a frame that is not one JSON object.
RAW_LIMIT = 64 << 10

#: Received, sent, or a fact of our own.
Direction = Literal["in", "out", "local"]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event of one session at one place in its order.

    ``seq`` counts from 1 in its log; ``at`` is seconds since the Unix epoch, never
    decreasing in a session, None where an old log has no times; ``epoch`` is which
    connection of the session (the first is 0); ``dir`` which way it went; ``src``
    where it came from if not the session's own channel; ``frame`` the bytes as they
    came; ``audio_bytes`` how much decoded audio the frame carries or carried.
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
        """The record of a frame, decoded.

        Raises TypeError for a frame that is neither bytes nor text.
        """
        if not isinstance(frame, bytes):
            require(frame, str, "Record.of: the frame", _FRAME)
            # A lone surrogate has no UTF-8: its bytes show what came, as malformed.
            frame = frame.encode(errors="surrogatepass")
        event = decode_bytes(frame, kind)
        audio = audio_bytes(event) if event.AUDIO else None
        return cls(seq, session, dir, event, frame, at, epoch, src, audio)


_FRAME = " (nor bytes); `Store.feed` takes mappings and events too"
_BREAKS = re.compile(rb"[\r\n]+")


def to_line(record: Record, *, keep_audio: bool = False) -> bytes:
    """The record as one line of a log, with its line break.

    Audio is left out unless it is to be kept: the fold is the same either way. Raises
    TypeError for what is no record.
    """
    require(record, Record, "to_line: the record")
    head: dict[str, Any] = {"v": VERSION, "seq": record.seq}
    if record.at is not None:
        head["at"] = record.at
    head |= {"session": record.session, "epoch": record.epoch, "dir": record.dir}
    if record.src is not None:
        head["src"] = record.src
    if record.audio_bytes is not None:
        head["audio_bytes"] = record.audio_bytes
    head |= _body(record, keep_audio)
    line = msgspec.json.encode(head)[:-1]
    return b'%s,"crc":"%08x"}\n' % (line, zlib.crc32(line))


def _body(record: Record, keep_audio: bool) -> dict[str, Any]:
    if isinstance(record.event, Malformed):
        # Not to be believed, and so not to be written as if it were JSON.
        kept = record.frame[:RAW_LIMIT]
        return {"raw": base64.b64encode(kept).decode(), "size": record.event.size}
    # Line breaks can stand in JSON only between tokens.
    frame = _BREAKS.sub(b"", record.frame)
    if record.audio_bytes and not keep_audio:
        frame = without_audio(frame, record.event)
    return {"event": msgspec.Raw(frame)}


class _Line(msgspec.Struct, kw_only=True):
    """What a line may hold; old and foreign logs have only ``dir`` and ``event``."""

    v: int = VERSION
    seq: int | None = None
    at: float | None = None
    session: str | None = None
    epoch: int = 0
    dir: Direction = "in"
    src: str | None = None
    audio_bytes: int | None = None
    event: msgspec.Raw | UnsetType = UNSET
    raw: str | None = None
    size: int | None = None
    close: dict[str, Any] | UnsetType | None = UNSET
    crc: str | None = None


class _Version(msgspec.Struct):
    """All that a line of the future is sure to hold."""

    v: int = VERSION


_LINES = msgspec.json.Decoder(_Line)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE = b"\n"
_NO_EVENT = 'holds no event; a record has one as {"event": …}'


def read_log(
    lines: Iterable[bytes | str],
    *,
    session: str = "log",
    kind: SessionKind = SessionKind.REALTIME,
) -> Iterator[Record]:
    """The records of a log, in order. ``session`` names those of lines without one.

    ``lines`` are those of an open file; an empty line is passed over. ``kind`` is what
    the sessions are before the first line, where a log does not begin at its beginning.
    Raises `LogError`, which names the line, at the first one that is torn, changed or
    of a version from the future: all before it have been given by then. Raises
    TypeError for a path, because who opens a file closes it, and for a line that is no
    text, ValueError for a kind that there is not.
    """
    if isinstance(lines, str | bytes) or hasattr(lines, "__fspath__"):
        raise TypeError("read_log takes the lines of a log: open(path, 'rb')")
    require(lines, Iterable, "read_log: what it reads")
    require(session, str, "read_log: the session")
    return _records(lines, session, _Known(SessionKind(kind)))


def _records(
    lines: Iterable[bytes | str], session: str, first: _Known
) -> Iterator[Record]:
    known: dict[str, _Known] = {}
    for number, given in enumerate(lines, start=1):
        require(given, (bytes, str), f"read_log: line {number}")
        line = given.encode(errors="surrogatepass") if isinstance(given, str) else given
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line.strip():
            entry = _parse(line, number)
            name = session if entry.session is None else entry.session
            before = known.get(name, first)
            record = _record(entry, number, name, before.kind)
            known[name] = before.after(record)
            yield record


class _Known(msgspec.Struct, frozen=True, gc=False):
    """What is to be known of a session to read its next frame: what its state knows."""

    kind: SessionKind = SessionKind.REALTIME
    epoch: int = 0
    dedup: Dedup = EMPTY_DEDUP

    def after(self, record: Record) -> _Known:
        """The same after one more record; an event that came before says nothing."""
        event: Any = record.event
        epoch, dedup = record.epoch, self.dedup
        if record.dir == "in" and (name := event.event_id):
            dedup = dedup.see(f"{epoch}:{name}" if epoch else name)
            if dedup is self.dedup:
                return self
        if event.__class__ not in _TELLING:
            return _Known(self.kind, self.epoch, dedup)
        if _TELLING[event.__class__] != record.dir:
            return self
        if event.__class__ is Forgotten:
            return _Known()
        if epoch < self.epoch:
            return _Known(self.kind, self.epoch, dedup)
        return _Known(kind_after(self.kind, record), epoch, dedup)


#: The events that begin a connection or end a session, and the way that they go.
_TELLING: Mapping[type[Event], Direction] = {
    SessionCreated: "in",
    SessionUpdated: "in",
    TranslationSessionCreated: "in",
    TranslationSessionUpdated: "in",
    Connecting: "local",
    Connected: "local",
    Forgotten: "local",
}
#: A configuration that is left of a null: it confirms nothing.
_EMPTY = (RealtimeSessionConfig(), TranscriptionSessionConfig())


def kind_after(kind: SessionKind, record: Record) -> SessionKind:
    """What a session of this kind is after a record that counts.

    It decides what names mean that translations share with other sessions, and is what
    `Connection.kind` says: the service tells it, and a session that is forgotten may
    come again as another one.
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


def _record(entry: _Line, number: int, name: str, kind: SessionKind) -> Record:
    if entry.event is not UNSET:
        frame = bytes(entry.event)
    elif entry.raw is not None:
        frame = _raw(entry.raw, number)
    elif entry.close is not UNSET:
        frame = _closing(entry.close)
        entry.dir = "local"
    else:
        raise LogError(f"line {number}: {_NO_EVENT}", line=number)
    record = Record.of(
        frame,
        seq=number if entry.seq is None else entry.seq,
        session=name,
        dir=entry.dir,
        at=entry.at,
        epoch=entry.epoch,
        src=entry.src,
        kind=kind,
    )
    if entry.audio_bytes is not None:
        record = msgspec.structs.replace(record, audio_bytes=entry.audio_bytes)
    if entry.raw is not None:
        # Malformed once is malformed for good, even if the part kept would parse.
        event = malformed(frame, "malformed when it was recorded")
        event = msgspec.structs.replace(event, size=entry.size or len(frame))
        record = msgspec.structs.replace(record, event=event, audio_bytes=None)
    return record


def _parse(line: bytes, number: int) -> _Line:
    if b'"crc":"' in line[-20:]:
        body, _, tail = line.rstrip(b"\r\n").rpartition(b',"crc":"')
        if len(tail) < len('00000000"}'):
            raise LogError(f"line {number}: cut off in its checksum", line=number)
        if tail != b'%08x"}' % zlib.crc32(body):
            raise LogError(
                f"line {number}: changed since it was written (checksum)", line=number
            )
    elif line.lstrip().startswith(b'{"v":'):
        _check_version(_version(line), number)
        raise LogError(f"line {number}: cut off before its checksum", line=number)
    try:
        entry = _LINES.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        version = _version(line)
        _check_version(version, number)
        if version < VERSION:
            # It has the shape of its time.
            return _parse(upgrade_line(line, number, to=VERSION), number)
        what = _what_it_is(line, error)
        raise LogError(f"line {number}: {what}", line=number) from None
    _check_version(entry.v, number)
    if entry.v < VERSION:
        entry = _LINES.decode(upgrade_line(line, number, to=VERSION))
    return entry


def _what_it_is(line: bytes, error: Exception) -> str:
    """In a few words, what stands where a record should."""
    reason = " ".join(str(error).split())[:120]
    if not line.strip(b"\0\r\n"):
        # What a file system leaves of a file that was not written to its end.
        return "zero bytes, not a record"
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{'not a record' if line.endswith(_NEWLINE) else 'cut off'} ({reason})"
    if not is_object(value):
        return f"a JSON {type(value).__name__}, not a record"
    if "type" in value and "event" not in value:
        return 'an event by itself; a record holds it as {"event": …}'
    return f"not a record ({reason})"


def _version(line: bytes) -> int:
    """The version of a line that this one cannot read otherwise."""
    try:
        return msgspec.json.decode(line, type=_Version).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return VERSION


def _check_version(version: int, number: int) -> None:
    if version > VERSION:
        raise LogError(
            f"line {number}: version {version}, this duologue reads up to {VERSION}",
            line=number,
        )


def _raw(raw: str, number: int) -> bytes:
    try:
        return base64.b64decode(raw, validate=True)
    except ValueError:
        raise LogError(f"line {number}: raw is not base64", line=number) from None


def _closing(close: dict[str, Any] | UnsetType | None) -> bytes:
    """A ``{"close": …}`` line as the local fact that it tells of."""
    close = close if isinstance(close, dict) else {}
    code, reason = close.get("code"), close.get("reason")
    return msgspec.json.encode(
        {
            "type": "duologue.disconnected",
            "code": code if isinstance(code, int) else None,
            "reason": reason if isinstance(reason, str) else None,
            "expected": code in (None, 1000),
        }
    )
