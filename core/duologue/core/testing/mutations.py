"""What a broken network or a careless service makes of a legal stream.

The frames are hostile, the log is not: whatever happens to them, the records stand in
one order, with times that never decrease.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import strategies as st

from duologue.core.log.record import Direction, Record
from duologue.core.wire.json_values import is_array, is_object

from .stream import Stream
from .stream_faults import COMBINATIONS, WHOLESALE, like, opened
from .stream_sources import Streams, drawn

__all__ = ["ANYTHING", "STRANGE", "bent", "hostile", "in_order"]

#: JSON values of every type, some of them beyond what a machine word holds.
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, False, -5, 0, 3, 2**70, 10**400, 1.5, -0.0, 1e308])
    | st.text("aé", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "id", "text"]), inner, max_size=2)
    ),
    max_leaves=3,
)
#: Frames that no service should send.
_BROKEN: tuple[bytes, ...] = (
    *(b"", b"null", b"[]", b'"x"', b"{}", b"\xff", b"{", b'{"type":1}'),
    *(b'{"type":"error"', b'{"type":"error","error":NaN}', b"[" * 2_000),
    b'{"type":"error","error":{"message":"\\ud800"}}',
)
#: Frames that are well formed, and unheard of or out of place.
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
#: What is done to one record. `WHOLESALE` is for all of a stream.
_WAYS = (
    *("double", "lose", "move", "bend", "noise", "stray", "cut", "add", "rename"),
    "turn",
)


def hostile(stream: Streams, *, faults: int = 12) -> st.SearchStrategy[Stream]:
    """Streams with up to ``faults`` faults: ``stream`` is a strategy, or one stream.

    Events come twice, not at all, early, late, cut off, of unknown types, with items
    and parts of unknown types, with fields that are unknown, missing or of a wrong
    type, on the wrong way, of a connection that is over. Some faults take a whole
    stream: no event says that something begins, no record has a time, what a service
    need not say is left out.

    Raises TypeError for what is neither a strategy nor a sequence of records.

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
    every = draw(st.sampled_from(COMBINATIONS))[:count]
    for name in every:
        stream = WHOLESALE[name](draw, stream)
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


#: Frames that no service wrote, and some that one may write at any time.
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
    frame = opened(record)
    if frame is None:
        return record
    if what == "bend":
        frame = draw(bent(frame))
    elif what == "add":
        _place(draw, frame)["unheard_of"] = draw(ANYTHING)
    else:
        _place(draw, frame)["type"] = "of_a_new_kind"
    return like(record, msgspec.json.encode(frame))


def _place(draw: st.DrawFn, frame: dict[str, Any]) -> dict[str, Any]:
    """The event, or one of the objects in it."""
    places = [frame]
    for place in places:
        for value in place.values():
            inner: list[Any] = [*value] if is_array(value) else [value]
            places += [one for one in inner if is_object(one)]
    return draw(st.sampled_from(places))


@st.composite
def bent(draw: st.DrawFn, frame: dict[str, Any]) -> dict[str, Any]:
    """A frame with one value, at any depth, taken out or made something else.

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
        inside[key] = draw(ANYTHING)
    return whole


def in_order(stream: Stream) -> Stream:
    """The records with the numbers and the times of the order in which they stand.

    One without a time stays without: an old log has none.
    """
    seqs: dict[str, int] = {}
    ordered = Stream()
    for n, record in enumerate(stream):
        seq = seqs[record.session] = seqs.get(record.session, 0) + 1
        at = None if record.at is None else 1000.0 + n / 10
        ordered.append(msgspec.structs.replace(record, seq=seq, at=at))
    return ordered
