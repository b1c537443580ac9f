"""Faults that take a whole stream: what it does without from its beginning to its end.

One event that is lost or bent is rarely the one that your code waits for. These find
code that takes for granted what a service mostly sends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from hypothesis import strategies as st

from duologue.core.events.types import SessionKind
from duologue.core.log.record import Direction, Record
from duologue.core.wire.json_values import is_array, is_object

from .stream import Stream

__all__ = [
    "COMBINATIONS",
    "FIRST",
    "SPARED",
    "WHOLESALE",
    "like",
    "opened",
    "sparing",
    "timeless",
    "unannounced",
]

#: Events that say that something begins, before anything else is said of it.
FIRST = (
    "response.output_item.added",
    "conversation.item.added",
    "response.created",
    "response.content_part.added",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.committed",
    "session.created",
    "duologue.connecting",
)
#: Fields that can be null wherever they stand, and mostly are not.
SPARED = (
    *("usage", "message", "code", "status", "status_details", "output", "metadata"),
    *("transcript", "previous_item_id", "total_tokens"),
)


def like(record: Record, frame: bytes, dir: Direction | None = None) -> Record:
    """Another frame, at the same place."""
    return Record.of(
        frame,
        seq=record.seq,
        session=record.session,
        dir=dir or record.dir,
        at=record.at,
        epoch=record.epoch,
        kind=record.event.KIND or SessionKind.REALTIME,
    )


def opened(record: Record) -> dict[str, Any] | None:
    """The frame as JSON values, None if it is no object."""
    try:
        frame = msgspec.json.decode(record.frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return frame if is_object(frame) else None


def unannounced(stream: Stream, lost: Collection[str]) -> Stream:
    """No event of these types, as in a log that was begun too late."""
    return Stream(record for record in stream if record.event.type not in lost)


def timeless(stream: Stream) -> Stream:
    """No record has a time, as in an old log."""
    return Stream(msgspec.structs.replace(record, at=None) for record in stream)


def sparing(stream: Stream, names: Collection[str], *, is_null: bool = True) -> Stream:
    """The service says null in these fields, or leaves them out."""
    return Stream(_spared(record, names, is_null) for record in stream)


def _spared(record: Record, names: Collection[str], is_null: bool) -> Record:
    # Few frames have such a field, and to decode them all takes long.
    has_one = any(b'"%s"' % name.encode() in record.frame for name in names)
    frame = opened(record) if has_one and record.dir == "in" else None
    if frame is None:
        return record
    return like(record, msgspec.json.encode(_without(frame, names, is_null)))


def _without(value: Any, names: Collection[str], is_null: bool) -> Any:
    """A JSON value without these fields, or with null in them."""
    if is_array(value):
        return [_without(one, names, is_null) for one in value]
    if not is_object(value):
        return value
    return {
        key: None if key in names else _without(one, names, is_null)
        for key, one in value.items()
        if is_null or key not in names
    }


def _draw_unannounced(draw: st.DrawFn, stream: Stream) -> Stream:
    return unannounced(stream, draw(st.sets(st.sampled_from(FIRST), min_size=1)))


def _draw_timeless(draw: st.DrawFn, stream: Stream) -> Stream:
    return timeless(stream)


def _draw_sparing(draw: st.DrawFn, stream: Stream) -> Stream:
    some = st.sets(st.sampled_from(SPARED), min_size=1)
    names = draw(st.just({*SPARED}) | some)
    return sparing(stream, names, is_null=draw(st.booleans()))


#: By name.
WHOLESALE: dict[str, Callable[[st.DrawFn, Stream], Stream]] = {
    "unannounced": _draw_unannounced,
    "timeless": _draw_timeless,
    "sparing": _draw_sparing,
}

#: Those that a stream can have together; one without any comes first and often.
COMBINATIONS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("timeless",),
    ("unannounced",),
    ("sparing",),
    ("sparing", "timeless"),
    ("sparing", "unannounced"),
    ("sparing", "unannounced", "timeless"),
)
