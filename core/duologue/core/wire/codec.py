"""Frames to events and back.

`decode` never raises. On the fast path, one msgspec decoder covers the whole catalogue.
A frame that it refuses is decoded by `lenient`, or becomes `Malformed`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Union

import msgspec

from ..argument_checks import require
from ..events.base import (
    ClientEvent,
    Event,
    LocalEvent,
    Malformed,
    ServerEvent,
    Unknown,
)
from ..events.conversation import ConversationItemCreate
from ..events.items import UnknownItem
from ..events.types import SessionKind
from . import legacy, lenient
from .json_values import is_object

__all__ = [
    "MAX_AUDIO_FRAME",
    "MAX_DEPTH",
    "MAX_FRAME",
    "decode",
    "decode_bytes",
    "encode",
    "malformed",
]

#: Maximum bytes of a frame without audio.
MAX_FRAME = 1 << 20
#: Maximum depth of nested lists and objects. The protocol needs about twelve levels,
#: the schema of a tool more.
MAX_DEPTH = 400
#: A frame of at most this many bytes is not nested deeper: each level takes two.
_SHORT = 2 * MAX_DEPTH
#: Maximum bytes of a frame with base64 audio (the service takes appends of 15 MiB).
MAX_AUDIO_FRAME = 16 << 20


def _catalogue(kind: SessionKind) -> dict[str, type[Event]]:
    """The class of each wire type in sessions of a kind."""
    classes = [
        cls
        for base in (ServerEvent, ClientEvent, LocalEvent)
        for cls in base.__subclasses__()
    ]
    # If two classes have the same type, the dict keeps the last: the one of this kind.
    classes.sort(key=lambda cls: (cls.KIND is kind, cls.KIND is None))
    return {str(cls.__struct_config__.tag): cls for cls in classes}


_CATALOGUES = {kind: _catalogue(kind) for kind in SessionKind}
_DECODERS: dict[SessionKind, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(Union[tuple(catalogue.values())])  # noqa: UP007
    for kind, catalogue in _CATALOGUES.items()
}
_REALTIME = SessionKind.REALTIME
_READ_REALTIME = _DECODERS[_REALTIME].decode
_ANY = msgspec.json.Decoder()
#: The errors that msgspec raises for a frame that it refuses.
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(frame: bytes | str, *, kind: SessionKind = SessionKind.REALTIME) -> Event:
    """The event in a frame of JSON text (UTF-8 if bytes).

    A frame never raises: an unknown type gives `Unknown`, an invalid frame gives
    `Malformed`. Some event types have another class in translation sessions; ``kind``
    selects the class. Raises TypeError if the frame is neither bytes nor text,
    ValueError for an unknown kind.
    """
    if isinstance(frame, str):
        # The bytes of a lone surrogate are not UTF-8, so decoding them fails below.
        frame = frame.encode(errors="surrogatepass")
    require(frame, (bytes, str), "decode: the frame")
    return decode_bytes(frame, SessionKind(kind))


def decode_bytes(frame: bytes, kind: SessionKind) -> Event:
    """`decode` for bytes only, without checks of the arguments."""
    size = len(frame)
    if size > _SHORT:
        if size > MAX_AUDIO_FRAME:
            return malformed(frame, f"larger than {MAX_AUDIO_FRAME} bytes")
        if _is_too_deep(frame):
            return malformed(frame, f"nested deeper than {MAX_DEPTH} levels")
    # Hashing an enum member is slow, so the usual kind is not looked up.
    read = _READ_REALTIME if kind is _REALTIME else _DECODERS[kind].decode
    event: Event
    try:
        if not frame.isascii():
            # msgspec does not check the UTF-8 of the fields that it skips.
            frame.decode()
        event = read(frame)
    except msgspec.ValidationError:
        event = _decode_slowly(frame, kind)
    except _REFUSALS as error:
        event = malformed(frame, str(error))
    if size > MAX_FRAME and not event.AUDIO:
        return malformed(frame, f"larger than {MAX_FRAME} bytes")
    return event


_QUOTE = ord('"')
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))


def _is_too_deep(frame: bytes) -> bool:
    """Whether lists and objects are nested deeper than `MAX_DEPTH`.

    The decoder's own limit depends on the free stack, so one frame could decode in one
    call and fail in another.
    """
    if frame.count(b"[") + frame.count(b"{") <= MAX_DEPTH:
        return False
    # Without the escaped quotes, every other quote begins a string.
    marks = frame.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NO_MARKS)
    depth, in_string = 0, False
    for mark in marks:
        if mark == _QUOTE:
            in_string = not in_string
        elif not in_string:
            depth += 1 if mark in b"[{" else -1
            if depth > MAX_DEPTH:
                return True
    return False


def encode(event: Event) -> bytes:
    """The event as one JSON object, UTF-8, without line breaks."""
    if isinstance(event, Unknown):
        return msgspec.json.encode(event.fields)
    item = event.item if isinstance(event, ConversationItemCreate) else None
    if isinstance(item, UnknownItem):
        # Its JSON, with the id that it has now.
        fields = {**item.fields, "id": item.id}
        if item.id is None:
            del fields["id"]
        plain = msgspec.json.decode(msgspec.json.encode(event))
        return msgspec.json.encode({**plain, "item": fields})
    return msgspec.json.encode(event)


def _decode_slowly(frame: bytes, kind: SessionKind) -> Event:
    try:
        fields = _ANY.decode(frame)
        if not is_object(fields):
            return malformed(frame, f"a JSON {type(fields).__name__}, not an object")
        if not isinstance(fields.get("type"), str):
            return malformed(frame, "no type")
        return _event(fields, kind)
    except lenient.WrongType as error:
        return malformed(frame, str(error))
    except (msgspec.DecodeError, RecursionError) as error:
        return malformed(frame, str(error))


def _event(fields: dict[str, Any], kind: SessionKind) -> Event:
    modern = legacy.modernise(fields)
    session = modern.get("session")
    if is_object(session) and session.get("type") == SessionKind.TRANSLATION:
        kind = SessionKind.TRANSLATION
    cls = _CATALOGUES[kind].get(modern["type"])
    if cls is None:
        event_id = fields.get("event_id")
        return Unknown(
            name=fields["type"],
            event_id=event_id if isinstance(event_id, str) else None,
            fields=fields,
        )
    event: Event = lenient.build(cls, modern)
    return event


def malformed(frame: bytes, reason: str) -> Malformed:
    """The event for a frame that is malformed for this reason."""
    return Malformed(
        reason=" ".join(reason.split())[:200],
        size=len(frame),
        digest=hashlib.blake2b(frame, digest_size=8).hexdigest(),
        head=frame[:80].decode(errors="replace"),
    )
