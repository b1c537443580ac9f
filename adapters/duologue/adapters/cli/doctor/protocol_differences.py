"""Differences between a recorded turn and the protocol that duologue expects.

The expectation comes from the API pages and from recorded traffic: the types of events,
their order and their fields, and a confirmed configuration equal to the requested one.
The functions are pure: they take records and open no connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from duologue.core import Record, Session, events, select_cost, select_usage

from ..shared.session_report import model_name

__all__ = ["differences"]

#: The event types of a typed turn with a spoken reply over WebSocket, in the order of
#: their first appearance.
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
#: Over WebRTC the audio is a media track, and the configuration is part of the offer.
_TRACK = tuple(
    name
    for name in _SPOKEN
    if name != "session.updated" and not name.startswith("response.output_audio.")
)
_HEARD = ("output_audio_buffer.started", "output_audio_buffer.stopped")
#: Optional events; the API pages do not agree on their places.
_ANYWHERE = {
    "rate_limits.updated",
    "conversation.created",
    "response.output_audio.done",
    "session.updated",
    "error",
}
#: Padding of deltas that hides their length from observers of the network.
_PADDING = "obfuscation"
_QUOTED = 60


def differences(
    records: Iterable[Record], session: Session, *, carrier: str, spoken: bool
) -> tuple[str, ...]:
    """Return a line for each difference.

    ``records`` come from one connection; ``session`` is the state after them.
    ``carrier`` is ``webrtc`` or ``websocket``; ``spoken`` says whether audio was
    requested.
    """
    received = [record for record in records if record.dir == "in"]
    types = [record.event.type for record in received]
    expected: tuple[str, ...] = _WRITTEN
    if spoken:
        expected = (*_TRACK, *_HEARD) if carrier == "webrtc" else _SPOKEN
    return (
        *_unknown_events(received),
        *_missing(types, expected),
        *_unexpected(received, expected),
        *_disordered(types, expected),
        *_unknown_fields(received),
        *_unlike_requested(session, received),
        *_unpriced(session),
    )


def _unknown_events(received: Sequence[Record]) -> Iterator[str]:
    """Malformed frames, unknown event types and retired names."""
    found = Counter(
        f"a malformed frame: {record.event.reason}"
        if isinstance(record.event, events.Malformed)
        else f"an unknown event type: {record.event.type}"
        for record in received
        if _is_unknown(record)
    )
    for text, count in found.items():
        yield text if count == 1 else f"{text} ({count} times)"
    old = {_wire_type(r) for r in received if not _is_unknown(r)} - {
        record.event.type for record in received
    }
    for name in sorted(old - {None}):
        yield f"a name of another version of the protocol: {name}"


def _is_unknown(record: Record) -> bool:
    return isinstance(record.event, events.Unknown | events.Malformed)


def _wire_type(record: Record) -> Any:
    return msgspec.json.decode(record.frame).get("type")


def _missing(types: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    for name in expected:
        if name not in types:
            yield f"{name} is missing"


def _unexpected(received: Sequence[Record], expected: Sequence[str]) -> Iterator[str]:
    known = dict.fromkeys(r.event.type for r in received if not _is_unknown(r))
    for name in known:
        if name not in expected and name not in _ANYWHERE:
            yield f"{name} is unexpected in a typed turn"


def _disordered(types: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """Pairs of adjacent expected types whose first events arrived in reverse order."""
    arrived = [name for name in expected if name in types and name not in _HEARD]
    for first, second in pairwise(arrived):
        if types.index(first) > types.index(second) and not _are_twins(first, second):
            yield f"{second} arrived before {first}"


def _are_twins(first: str, second: str) -> bool:
    """Whether one is for audio and one for its transcript; either may be first."""
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
            paths.update(dict.fromkeys(_unknown_paths(raw, record.event)))
    for name, paths in found.items():
        if paths:
            yield f"{name} has unknown fields: {', '.join(paths)}"


def _unknown_paths(raw: Any, known: Any, path: str = "") -> Iterator[str]:
    """The paths in ``raw`` for which the struct ``known`` has no field."""
    if isinstance(known, tuple | list) and isinstance(raw, list):
        for one, other in zip(raw, known, strict=False):
            yield from _unknown_paths(one, other, f"{path}[]")
    if not isinstance(known, msgspec.Struct) or not isinstance(raw, dict):
        return
    names = dict(
        zip(known.__struct_encode_fields__, known.__struct_fields__, strict=True)
    )
    tag = known.__struct_config__.tag_field
    for key, value in raw.items():
        place = f"{path}.{key}" if path else key
        if key in names:
            yield from _unknown_paths(value, getattr(known, names[key]), place)
        elif key not in (tag, _PADDING):
            yield place


def _unlike_requested(session: Session, received: Sequence[Record]) -> Iterator[str]:
    """Fields whose confirmed value differs from the requested one."""
    requested = session.connection.requested
    confirmed = [
        msgspec.json.decode(record.frame).get("session")
        for record in received
        if isinstance(record.event, events.SessionCreated | events.SessionUpdated)
    ]
    if requested is not None and confirmed:
        yield from _unequal(msgspec.json.decode(requested), confirmed[-1])


def _unequal(requested: Any, confirmed: Any, path: str = "") -> Iterator[str]:
    if isinstance(requested, dict):
        for key, value in requested.items():
            inner = confirmed.get(key) if isinstance(confirmed, dict) else None
            yield from _unequal(value, inner, f"{path}.{key}" if path else key)
    elif (requested or None) != (confirmed or None):
        yield f"{path} is {_quoted(confirmed)}, not {_quoted(requested)} as requested"


def _quoted(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"


def _unpriced(session: Session) -> Iterator[str]:
    cost, model = select_cost(session), model_name(session) or "(unnamed)"
    if not select_usage(session).total:
        yield "the service reported no usage"
    elif session.usage.incomplete:
        known = "unknown" if cost is None else "partial"
        yield f"the cost is {known}: the service did not report all tokens by modality"
    elif cost is None:
        yield f"the cost is unknown: there is no price for the model {model}"
    elif cost.is_partial:
        yield f"the cost is partial: the model {model} has no price for some tokens"
