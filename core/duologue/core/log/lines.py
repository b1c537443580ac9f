"""Writing and reading the lines of a log.

A line of a log is one record, as JSON::

    {"v":1,"seq":int,"at":float,"session":str,"epoch":int,"dir":"in"|"out"|"local",
     "src"?:str,"audio_bytes"?:int,"event":{…},"crc":"8 hex"}

``crc`` is the CRC-32 of the bytes before ``,"crc":``, in lower case. A line without it
is not checked; one that was cut off differs from it, because it is never a complete
JSON object. A frame that is not one JSON object is written as ``"raw"`` in base64 (at
most 64 KiB of it) with its ``"size"``.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ..argument_checks import require
from ..errors import LogError
from ..events.base import Event, Malformed
from ..events.local import Connected, Connecting, Forgotten
from ..events.session import SessionCreated, SessionUpdated
from ..events.translation import TranslationSessionCreated, TranslationSessionUpdated
from ..events.types import SessionKind
from ..state.dedup import EMPTY_DEDUP, Dedup
from ..state.model import Connection
from ..wire.audio_fields import without_audio
from ..wire.codec import malformed
from ..wire.json_values import is_object
from .epochs import CREATED, add_created_id, epoch_of, next_connection
from .record import Direction, Record, kind_after
from .upgrades import upgrade_line

__all__ = ["RAW_LIMIT", "VERSION", "LogReader", "read_log", "to_line"]

#: The version of the line format.
VERSION = 1
#: Maximum bytes that a log keeps of a frame that is not a JSON object.
RAW_LIMIT = 64 << 10

_BREAKS = re.compile(rb"[\r\n]+")


def to_line(record: Record, *, keep_audio: bool = False) -> bytes:
    """The record as one line of a log, with its line break.

    Audio is left out unless ``keep_audio`` is true. The folded state does not need it.
    Raises TypeError if ``record`` is not a record.
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
        # The frame may be invalid JSON, so it is written as base64.
        kept = record.frame[:RAW_LIMIT]
        return {"raw": base64.b64encode(kept).decode(), "size": record.event.size}
    # In JSON a line break can only be between tokens.
    frame = _BREAKS.sub(b"", record.frame)
    if record.audio_bytes and not keep_audio:
        frame = without_audio(frame, record.event)
    return {"event": msgspec.Raw(frame)}


class _Line(msgspec.Struct, kw_only=True):
    """The fields of a line; old and foreign logs have only ``dir`` and ``event``."""

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


class _Version(msgspec.Struct):
    """The only field that a line of a later version must have."""

    v: int = VERSION


_LINES = msgspec.json.Decoder(_Line)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE = b"\n"
#: The end of a line that `to_line` wrote.
_CHECKSUM = b',"crc":"00000000"}'
_CHANGED = (
    "changed since it was written (checksum); "
    "a program that changes a line leaves its crc out"
)
_NO_EVENT = 'holds no event; a record has one as {"event": …}'


class LogReader(Iterator[Record]):
    """The records of a log, in order, and how many were read.

    ``unchecked`` is the number of records so far whose line has no checksum of its
    bytes: another program wrote it.
    """

    def __init__(
        self, records: Iterator[tuple[Record, bool]], source: str | None = None
    ) -> None:
        self._records = records
        self._source = source
        self.unchecked = 0

    def __next__(self) -> Record:
        """The next record. Raises `LogError`, as `read_log` says."""
        try:
            record, is_checked = next(self._records)
        except LogError as error:
            if self._source is None:
                raise
            raise LogError(f"{self._source}: {error}", line=error.line) from None
        self.unchecked += not is_checked
        return record


def read_log(
    lines: Iterable[bytes | str],
    *,
    session: str = "log",
    kind: SessionKind = SessionKind.REALTIME,
    source: str | None = None,
) -> LogReader:
    """The records of a log, in order.

    ``lines`` are the lines of an open file; empty ones are skipped. ``session`` is the
    session id for lines without one. ``kind`` is the kind of the sessions before the
    first line, for a log that begins in the middle of a session. ``source`` is a name
    of the log for error messages.

    A line without a checksum is accepted and counted in `LogReader.unchecked`. At the
    first line that is cut off, changed or of a later version, raises `LogError`
    with the line number, after yielding the records before it. Raises TypeError for a
    path (the caller opens and closes the file) or for a line that is not text,
    ValueError for an unknown kind.
    """
    if isinstance(lines, str | bytes) or hasattr(lines, "__fspath__"):
        raise TypeError("read_log takes the lines of a log: open(path, 'rb')")
    require(lines, Iterable, "read_log: the lines")
    require(session, str, "read_log: the session")
    first = _Reader(Connection(kind=SessionKind(kind)))
    return LogReader(_records(lines, session, first), source)


def _records(
    lines: Iterable[bytes | str], session: str, first: _Reader
) -> Iterator[tuple[Record, bool]]:
    readers: dict[str, _Reader] = {}
    for number, given in enumerate(lines, start=1):
        require(given, (bytes, str), f"read_log: line {number}")
        line = given.encode(errors="surrogatepass") if isinstance(given, str) else given
        # Each of several logs that were joined can have a byte order mark.
        line = line.removeprefix(_BYTE_ORDER_MARK)
        if line.strip():
            is_checked = _is_checked(line, number)
            entry = _parse(line, number)
            name = session if entry.session is None else entry.session
            reader = readers.get(name, first)
            record = _record(entry, number, name, reader.connection.kind)
            readers[name] = reader.after(record)
            yield record, is_checked


class _Reader(msgspec.Struct, frozen=True, gc=False):
    """The part of a session's state that decides how its next frame is decoded.

    A full fold would also give it, but would make reading several times slower.
    """

    connection: Connection = Connection()
    dedup: Dedup = EMPTY_DEDUP

    def after(self, record: Record) -> _Reader:
        """The reader after one more record; a duplicate event changes nothing."""
        event: Any = record.event
        connection, dedup = self.connection, self.dedup
        epoch = record.epoch
        if epoch != connection.epoch or event.__class__ in CREATED:
            epoch = epoch_of(connection, record)
        if record.dir == "in" and (name := event.event_id):
            dedup = dedup.see(name, epoch)
            if dedup is self.dedup:
                return self
        if event.__class__ not in _DECISIVE:
            return _Reader(connection, dedup)
        if _DECISIVE[event.__class__] != record.dir:
            return self
        if event.__class__ is Forgotten:
            return _Reader()
        if epoch < connection.epoch:
            return _Reader(connection, dedup)
        if epoch > connection.epoch:
            connection = next_connection(connection, record, epoch)
        connection = msgspec.structs.replace(
            add_created_id(connection, record),
            kind=kind_after(connection.kind, record),
        )
        if event.__class__ is Connecting:
            connection = msgspec.structs.replace(connection, created_ids=None)
        return _Reader(connection, dedup)


#: The events that can change the kind or the epoch, and their direction.
_DECISIVE: Mapping[type[Event], Direction] = {
    SessionCreated: "in",
    SessionUpdated: "in",
    TranslationSessionCreated: "in",
    TranslationSessionUpdated: "in",
    Connecting: "local",
    Connected: "local",
    Forgotten: "local",
}


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
        # The frame was malformed, even if the stored part of it is valid JSON.
        event = malformed(frame, "malformed when it was recorded")
        event = msgspec.structs.replace(event, size=entry.size or len(frame))
        record = msgspec.structs.replace(record, event=event, audio_bytes=None)
    return record


def _is_checked(line: bytes, number: int) -> bool:
    """Whether a line ends with a checksum of its bytes. Raises `LogError`.

    A checksum that stands elsewhere, or after a space, was copied by a program that
    wrote the line anew: its bytes are gone, so it says nothing.
    """
    line = line.rstrip(b"\r\n")
    body, key = line[: -len(_CHECKSUM)], line[-len(_CHECKSUM) : -len('00000000"}')]
    right = line.endswith(b'%08x"}' % zlib.crc32(body))
    if right and key == b',"crc":"':
        return True
    _, found, tail = line[-20:].rpartition(b'"crc":"')
    if found and len(tail) < len('00000000"}'):
        raise LogError(f"line {number}: cut off in its checksum", line=number)
    if found or right:
        raise LogError(f"line {number}: {_CHANGED}", line=number)
    return False


def _parse(line: bytes, number: int) -> _Line:
    try:
        entry = _LINES.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        version = _version(line)
        _check_version(version, number)
        if version < VERSION:
            # An older version has other fields.
            return _parse(upgrade_line(line, number, to=VERSION), number)
        raise LogError(
            f"line {number}: {_diagnosis(line, error)}", line=number
        ) from None
    _check_version(entry.v, number)
    if entry.v < VERSION:
        entry = _LINES.decode(upgrade_line(line, number, to=VERSION))
    return entry


def _diagnosis(line: bytes, error: Exception) -> str:
    """A short description of what is wrong with a line."""
    reason = " ".join(str(error).split())[:120]
    if not line.strip(b"\0\r\n"):
        # A file system can leave NUL bytes after an interrupted write.
        return "NUL bytes, not a record"
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if line.lstrip().startswith(b'{"v":'):
            return "cut off before its checksum"
        return f"{'not a record' if line.endswith(_NEWLINE) else 'cut off'} ({reason})"
    if not is_object(value):
        return f"a JSON {type(value).__name__}, not a record"
    if "type" in value and "event" not in value:
        return 'an event by itself; a record holds it as {"event": …}'
    return f"not a record ({reason})"


def _version(line: bytes) -> int:
    """The version of a line that was not decoded."""
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
    """The local fact of a ``{"close": …}`` line, as JSON."""
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
