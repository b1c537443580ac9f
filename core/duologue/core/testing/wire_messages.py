"""Frames as JSON values: which way they go, and the records of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from duologue.core.events.base import ClientEvent
from duologue.core.events.types import SessionKind
from duologue.core.log.record import Direction, Record, kind_after

from .failure_report import shown
from .stream import Stream

__all__ = ["Frame", "direction", "message", "to_records"]

#: One event as JSON values, or the bytes of what may not be one.
Frame = dict[str, Any]

_SENT = {str(cls.__struct_config__.tag) for cls in ClientEvent.__subclasses__()}


def direction(frame: Frame | bytes) -> Direction:
    """Which way a frame goes, by its type."""
    name = "" if isinstance(frame, bytes) else str(frame.get("type"))
    if name.startswith("duologue."):
        return "local"
    return "out" if name in _SENT else "in"


def to_records(
    frames: Iterable[Frame | bytes], *, session: str = "s", start: float = 1000.0
) -> Stream:
    """The records of these frames, a tenth of a second after each other.

    ``start`` is the time of the first, in seconds. The direction of each is that of its
    type; every ``duologue.connecting`` but the first begins a new epoch. Raises
    TypeError for a frame that is neither a dict nor bytes.

    >>> [record] = to_records([{"type": "duologue.muted", "muted": True}])
    >>> record.dir, record.seq, record.session
    ('local', 1, 's')
    """
    found = Stream()
    epoch, kind = -1, SessionKind.REALTIME
    for seq, frame in enumerate(frames, start=1):
        _check_frame(frame)
        way = direction(frame)
        if isinstance(frame, dict):
            epoch += frame.get("type") == "duologue.connecting"
            frame = msgspec.json.encode(frame)
        record = Record.of(
            frame,
            seq=seq,
            session=session,
            dir=way,
            at=start + seq / 10,
            epoch=max(epoch, 0),
            kind=kind,
        )
        kind = kind_after(kind, record)
        found.append(record)
    return found


def _check_frame(frame: object) -> None:
    if not isinstance(frame, dict | bytes):
        raise TypeError(f"a frame is a dict or bytes, not {shown(frame)}")


def message(
    item_id: str, role: str, content: Sequence[Frame], status: str = "completed"
) -> Frame:
    """A message as it stands on the wire."""
    return {
        "id": item_id,
        "type": "message",
        "role": role,
        "status": status,
        "content": list(content),
    }
