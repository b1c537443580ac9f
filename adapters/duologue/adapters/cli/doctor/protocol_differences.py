"""What a service did in a typed turn that duologue does not expect of it.

The expectation is the protocol as the API pages and recorded traffic have it: these
types of events, in this order, with these fields, and the configuration in force that
was asked for. Nothing here opens anything: a list of records goes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from duologue.core import Record, Session, events, select_cost, select_usage

__all__ = ["differences"]

#: The types of a typed turn with a spoken reply over WebSocket, in the order in which
#: the first of each comes. Those of the user's item stand before the response.
_SPOKEN = (
    "session.created",
    "session.updated",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
)
_WRITTEN = (
    *_SPOKEN[:7],
    "response.output_text.delta",
    "response.output_text.done",
    *_SPOKEN[11:],
)
#: Over WebRTC the sound goes by its own way, and the configuration with the offer.
_TRACK = tuple(
    name
    for name in _SPOKEN
    if name != "session.updated" and not name.startswith("response.output_audio.")
)
_HEARD = ("output_audio_buffer.started", "output_audio_buffer.stopped")
#: What may come or not, anywhere: the API pages do not agree where.
_ANYWHERE = {
    "rate_limits.updated",
    "conversation.created",
    "response.output_audio.done",
    "session.updated",
    "error",
}
#: A field of deltas that hides their length from those who watch the network.
_PADDING = "obfuscation"
_QUOTED = 60


def differences(
    records: Iterable[Record], session: Session, *, carrier: str, spoken: bool
) -> tuple[str, ...]:
    """One line for each thing that was not as expected; none where all was.

    ``records`` are those of one connection, ``session`` its state at the end.
    ``carrier`` is ``webrtc`` or ``websocket``; ``spoken`` whether the reply was to be.
    """
    received = [record for record in records if record.dir == "in"]
    types = [record.event.type for record in received]
    expected: tuple[str, ...] = _WRITTEN
    if spoken:
        expected = (*_TRACK, *_HEARD) if carrier == "webrtc" else _SPOKEN
    return (
        *_unread(received),
        *_missing(types, expected),
        *_unexpected(received, expected),
        *_disordered(types, expected),
        *_unknown_fields(received),
        *_configured_otherwise(session, received),
        *_unpriced(session),
    )


def _unread(received: Sequence[Record]) -> Iterator[str]:
    """Frames that could not be believed, and types that are not in the catalogue."""
    found = Counter(
        f"a frame that cannot be read: {record.event.reason}"
        if isinstance(record.event, events.Malformed)
        else f"an event of an unknown type: {record.event.type}"
        for record in received
        if _is_unknown(record)
    )
    for what, count in found.items():
        yield what if count == 1 else f"{what} ({count} of them)"
    old = {_wire_type(r) for r in received if not _is_unknown(r)} - {
        record.event.type for record in received
    }
    for name in sorted(old - {None}):
        yield f"the name of another version of the protocol: {name}"


def _is_unknown(record: Record) -> bool:
    return isinstance(record.event, events.Unknown | events.Malformed)


def _wire_type(record: Record) -> Any:
    return msgspec.json.decode(record.frame).get("type")


def _missing(types: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    for name in expected:
        if name not in types:
            yield f"{name} did not come"


def _unexpected(received: Sequence[Record], expected: Sequence[str]) -> Iterator[str]:
    known = dict.fromkeys(r.event.type for r in received if not _is_unknown(r))
    for name in known:
        if name not in expected and name not in _ANYWHERE:
            yield f"{name} came, which a typed turn has not"


def _disordered(types: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """Neighbours of the expected order whose first ones came the other way round."""
    came = [name for name in expected if name in types and name not in _HEARD]
    for first, second in pairwise(came):
        if types.index(first) > types.index(second) and not _are_twins(first, second):
            yield f"{second} came before {first}"


def _are_twins(first: str, second: str) -> bool:
    """Whether they say the same of the text and of the sound, in either order."""
    stem, _, first_kind = first.rpartition(".")
    other, _, second_kind = second.rpartition(".")
    sound = "response.output_audio"
    return (
        first_kind == second_kind and stem.startswith(sound) and other.startswith(sound)
    )


def _unknown_fields(received: Sequence[Record]) -> Iterator[str]:
    found: dict[str, dict[str, None]] = {}
    for record in received:
        if not _is_unknown(record) and _wire_type(record) == record.event.type:
            raw = msgspec.json.decode(record.frame)
            paths = found.setdefault(record.event.type, {})
            paths.update(dict.fromkeys(_beyond(raw, record.event)))
    for name, paths in found.items():
        if paths:
            yield f"{name} has what is not known: {', '.join(paths)}"


def _beyond(raw: Any, known: Any, path: str = "") -> Iterator[str]:
    """The paths of ``raw`` that the structure in ``known`` has no place for."""
    if isinstance(known, tuple | list) and isinstance(raw, list):
        for one, other in zip(raw, known, strict=False):
            yield from _beyond(one, other, f"{path}[]")
    if not isinstance(known, msgspec.Struct) or not isinstance(raw, dict):
        return
    names = dict(
        zip(known.__struct_encode_fields__, known.__struct_fields__, strict=True)
    )
    tag = known.__struct_config__.tag_field
    for key, value in raw.items():
        place = f"{path}.{key}" if path else key
        if key in names:
            yield from _beyond(value, getattr(known, names[key]), place)
        elif key not in (tag, _PADDING):
            yield place


def _configured_otherwise(
    session: Session, received: Sequence[Record]
) -> Iterator[str]:
    """Where what is in force is not what was asked for."""
    asked = session.connection.requested
    told = [
        msgspec.json.decode(record.frame).get("session")
        for record in received
        if isinstance(record.event, events.SessionCreated | events.SessionUpdated)
    ]
    if asked is not None and told:
        yield from _unlike(msgspec.json.decode(asked), told[-1])


def _unlike(asked: Any, told: Any, path: str = "") -> Iterator[str]:
    if isinstance(asked, dict):
        for key, value in asked.items():
            inside = told.get(key) if isinstance(told, dict) else None
            yield from _unlike(value, inside, f"{path}.{key}" if path else key)
    elif (asked or None) != (told or None):
        yield f"{path} is {_shown(told)}, {_shown(asked)} was asked for"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"


def _unpriced(session: Session) -> Iterator[str]:
    usage = select_usage(session)
    if not usage.total:
        yield "the service told no usage"
    elif select_cost(session) is None:
        model = getattr(session.connection.confirmed, "model", None)
        named = model if isinstance(model, str) else "that has no name"
        yield f"no price is known for the model {named}, so the cost is not"
