"""Mutations: streams with the faults of a network or a service.

The frames are hostile, but the records are valid: they are numbered in order, and their
times never decrease.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from hypothesis import strategies as st

from duologue.core.events.types import SessionKind
from duologue.core.log.record import Direction, Record
from duologue.core.wire.json_values import is_array, is_object

from .stream import Stream, Streams, drawn

__all__ = [
    "FIRST",
    "OPTIONAL",
    "STRANGE",
    "bent",
    "hostile",
    "in_order",
    "like",
    "timeless",
    "unannounced",
    "without",
]

#: JSON values of every type; some numbers are too large for a machine word.
_ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, False, -5, 0, 3, 2**70, 10**400, 1.5, -0.0, 1e308])
    | st.text("aé", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "id", "text"]), inner, max_size=2)
    ),
    max_leaves=3,
)
#: Invalid frames.
_BROKEN: tuple[bytes, ...] = (
    *(b"", b"null", b"[]", b'"x"', b"{}", b"\xff", b"{", b'{"type":1}'),
    *(b'{"type":"error"', b'{"type":"error","error":NaN}', b"[" * 2_000),
    b'{"type":"error","error":{"message":"\\ud800"}}',
)
#: Valid frames, of unknown types or at an unexpected time.
STRANGE: tuple[bytes, ...] = tuple(
    msgspec.json.encode(frame)
    for frame in (
        {"type": "response.dreamt", "event_id": "event_new"},
        {"type": "duologue.forgotten"},
        {"type": "ping", "timestamp": 1},
        {"type": "error", "error": {"type": "server_error"}},
        {"type": "error", "error": {"type": "server_error", "message": None}},
        {"type": "conversation.item.added", "item": {"type": "dream", "id": "dream_1"}},
        {"type": "conversation.item.deleted", "item_id": "nobody"},
        {"type": "response.output_text.delta", "item_id": "nobody", "delta": "what"},
        {
            "type": "response.done",
            "response": {"id": "resp_new", "status": "completed"},
        },
    )
)
#: Faults of one record.
_WAYS = (
    *("double", "lose", "move", "bend", "noise", "stray", "cut", "add", "rename"),
    "turn",
)


def hostile(stream: Streams, *, faults: int = 12) -> st.SearchStrategy[Stream]:
    """Streams with up to ``faults`` faults: ``stream`` is a strategy, or one stream.

    Events are duplicated, lost, early, late, cut off, of unknown types, with unknown
    item or part types, with unknown or missing fields or fields of a wrong type, in the
    wrong direction, or from a closed connection. Some faults affect the whole stream:
    the events that announce an item, a response or a connection are missing, no record
    has a time, or optional fields are missing.

    Raises TypeError unless ``stream`` is a strategy or a sequence of records.

    >>> from hypothesis import given
    >>> from duologue.core import fold
    >>> from .strategies import records
    >>> @given(hostile(records(turns=2)))
    ... def test_my_page_survives_anything(stream):
    ...     fold(stream)
    >>> test_my_page_survives_anything()
    """
    return _hostile(drawn(stream), faults)


@st.composite
def _hostile(
    draw: st.DrawFn, streams: st.SearchStrategy[Stream], faults: int
) -> Stream:
    stream = Stream(draw(streams))
    count = draw(st.integers(0, faults))
    every = draw(st.sampled_from(_COMBINATIONS))[:count]
    for fault in every:
        stream = fault(draw, stream)
    for _ in range(count - len(every)):
        if not stream:
            break
        at = draw(st.integers(0, len(stream) - 1))
        what = draw(st.sampled_from(_WAYS))
        if what == "lose":
            del stream[at]
        elif what in ("double", "move"):
            record = stream[at] if what == "double" else stream.pop(at)
            stream.insert(draw(st.integers(0, len(stream))), record)
        elif what in _OTHERS:
            stream.insert(at, like(stream[at], draw(_OTHERS[what])))
        else:
            stream[at] = _changed(draw, stream[at], what)
    return in_order(stream)


#: Invalid frames, and frames that a service may send at any time.
_OTHERS: dict[str, st.SearchStrategy[bytes]] = {
    "noise": st.sampled_from(_BROKEN) | st.binary(max_size=8),
    "stray": st.sampled_from(STRANGE),
}


def _changed(draw: st.DrawFn, record: Record, what: str) -> Record:
    if what == "cut":
        return like(record, record.frame[: draw(st.integers(0, len(record.frame)))])
    if what == "turn":
        way: Direction = draw(st.sampled_from(("in", "out", "local")))
        epoch = draw(st.sampled_from((0, 0, 1, 5)))
        other = like(record, record.frame, way)
        return msgspec.structs.replace(other, epoch=epoch)
    frame = _opened(record)
    if frame is None:
        return record
    if what == "bend":
        frame = draw(bent(frame))
    elif what == "add":
        _place(draw, frame)["unheard_of"] = draw(_ANYTHING)
    else:
        _place(draw, frame)["type"] = "of_a_new_kind"
    return like(record, msgspec.json.encode(frame))


def _place(draw: st.DrawFn, frame: dict[str, Any]) -> dict[str, Any]:
    """The event, or one of the objects that it contains."""
    places = [frame]
    for place in places:
        for value in place.values():
            inner: list[Any] = [*value] if is_array(value) else [value]
            places += [one for one in inner if is_object(one)]
    return draw(st.sampled_from(places))


@st.composite
def bent(draw: st.DrawFn, frame: dict[str, Any]) -> dict[str, Any]:
    """A frame with one value, at any depth, removed or replaced.

    >>> from hypothesis import given
    >>> @given(bent({"type": "error", "error": {"message": "no"}}))
    ... def test_it_is_another(frame):
    ...     assert isinstance(frame, dict)
    >>> test_it_is_another()
    """
    whole = copy.deepcopy(frame)
    inside: Any = whole
    while True:
        keys = [*inside] if is_object(inside) else [*range(len(inside))]
        if not keys:
            return whole
        key: Any = draw(st.sampled_from(keys))
        deeper: Any = inside[key]
        if not (is_object(deeper) or is_array(deeper)):
            break
        if not deeper or draw(st.booleans()):
            break
        inside = deeper
    if is_object(inside) and draw(st.booleans()):
        del inside[key]
    else:
        inside[key] = draw(_ANYTHING)
    return whole


def in_order(stream: Stream) -> Stream:
    """The records in their current order, with new sequence numbers and times.

    A record without a time keeps none, as in an old log.
    """
    seqs: dict[str, int] = {}
    ordered = Stream()
    for n, record in enumerate(stream):
        seq = seqs[record.session] = seqs.get(record.session, 0) + 1
        at = None if record.at is None else 1000.0 + n / 10
        ordered.append(msgspec.structs.replace(record, seq=seq, at=at))
    return ordered


def like(record: Record, frame: bytes, dir: Direction | None = None) -> Record:
    """The record with its frame replaced."""
    return Record.of(
        frame,
        seq=record.seq,
        session=record.session,
        dir=dir or record.dir,
        at=record.at,
        epoch=record.epoch,
        kind=record.event.KIND or SessionKind.REALTIME,
    )


def _opened(record: Record) -> dict[str, Any] | None:
    """The frame as a JSON object; None if it is not one."""
    try:
        frame = msgspec.json.decode(record.frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return frame if is_object(frame) else None


# Faults of a whole stream. A fault of one event seldom affects an event that your code
# needs. The faults below find code that requires optional events and fields.

#: Events that announce an item, a response or a connection.
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
#: Fields that may be null or missing, but rarely are.
OPTIONAL = (
    *("usage", "message", "code", "status", "status_details", "output", "metadata"),
    *("transcript", "previous_item_id", "total_tokens"),
)


def unannounced(stream: Stream, lost: Collection[str]) -> Stream:
    """The stream without these events, as in a log that begins too late."""
    return Stream(record for record in stream if record.event.type not in lost)


def timeless(stream: Stream) -> Stream:
    """The stream without times, as in an old log."""
    return Stream(msgspec.structs.replace(record, at=None) for record in stream)


def without(stream: Stream, names: Collection[str], *, is_null: bool = True) -> Stream:
    """The stream with these fields of the service null or missing."""
    return Stream(_record_without(record, names, is_null) for record in stream)


def _record_without(record: Record, names: Collection[str], is_null: bool) -> Record:
    # Few frames have such a field, and decoding is slow.
    has_one = any(b'"%s"' % name.encode() in record.frame for name in names)
    frame = _opened(record) if has_one and record.dir == "in" else None
    if frame is None:
        return record
    return like(record, msgspec.json.encode(_without(frame, names, is_null)))


def _without(value: Any, names: Collection[str], is_null: bool) -> Any:
    """A JSON value with these fields null or missing."""
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


def _draw_without(draw: st.DrawFn, stream: Stream) -> Stream:
    some = st.sets(st.sampled_from(OPTIONAL), min_size=1)
    names = draw(st.just({*OPTIONAL}) | some)
    return without(stream, names, is_null=draw(st.booleans()))


#: Combinations of faults of a stream. The first is empty, because Hypothesis shrinks
#: examples towards the first.
_COMBINATIONS: tuple[tuple[Callable[[st.DrawFn, Stream], Stream], ...], ...] = (
    (),
    (),
    (_draw_timeless,),
    (_draw_unannounced,),
    (_draw_without,),
    (_draw_without, _draw_timeless),
    (_draw_without, _draw_unannounced),
    (_draw_without, _draw_unannounced, _draw_timeless),
)
