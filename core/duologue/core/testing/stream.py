"""Streams of records: made from frames, drawn by Hypothesis, readable in a failure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Union

import msgspec
from hypothesis import strategies as st

from duologue.core.events.base import ClientEvent
from duologue.core.events.types import SessionKind
from duologue.core.log.record import Direction, Record, kind_after

__all__ = [
    "Frame",
    "Recorder",
    "Stream",
    "Streams",
    "direction",
    "drawn",
    "recorded",
    "shown",
    "to_records",
]

#: One event as JSON values.
Frame = dict[str, Any]

#: The number of records in a ``repr``; a small failure has far fewer.
_RECORDS = 150
#: Characters of a frame in a ``repr``: its beginning, and its end, which often holds
#: the status.
_HEAD = 240
_TAIL = 160
#: Matches long strings of base64 or similar text.
_LONG = re.compile(r'"[A-Za-z0-9+/]{40,}={0,2}"')
#: Characters of a value in a message.
_SHOWN = 160


class Stream(list[Record]):
    """A list of records whose ``repr`` has one line for each.

    A line holds the number, the session, ``#`` and the epoch unless it is 0, the
    direction, the source if there is one, and the frame. In a long frame an ellipsis
    gives the number of omitted characters; ``stream[number - 1].frame`` is complete.

    >>> to_records([{"type": "duologue.tick"}])
    [
      1. s local {"type":"duologue.tick"}
    ]
    """

    def __repr__(self) -> str:
        lines = [_line(number, it) for number, it in enumerate(self[:_RECORDS], 1)]
        if len(self) > _RECORDS:
            lines.append(f"  … and {len(self) - _RECORDS} more")
        return "\n".join(["[", *lines, "]"])


def _line(number: int, record: Record) -> str:
    epoch = f"#{record.epoch}" if record.epoch else ""
    src = f" ({record.src})" if record.src else ""
    frame = record.frame.decode(errors="backslashreplace")
    frame = _LONG.sub(lambda text: f'"… ({len(text[0]) - 2})"', frame)
    if (more := len(frame) - _HEAD - _TAIL) > 0:
        frame = f"{frame[:_HEAD]}… ({more} more) …{frame[-_TAIL:]}"
    return f"  {number}. {record.session}{epoch} {record.dir}{src} {frame}"


def shown(value: object) -> str:
    """The ``repr``, shortened with an ellipsis."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# Streams from frames.

_SENT = {str(cls.__struct_config__.tag) for cls in ClientEvent.__subclasses__()}


def direction(frame: Frame | bytes) -> Direction:
    """The direction of a frame, by its type."""
    name = "" if isinstance(frame, bytes) else str(frame.get("type"))
    if name.startswith("duologue."):
        return "local"
    return "out" if name in _SENT else "in"


def _check_frame(frame: object) -> None:
    if not isinstance(frame, dict | bytes):
        raise TypeError(f"a frame is a dict or bytes, not {shown(frame)}")


def to_records(
    frames: Iterable[Frame | bytes], *, session: str = "s", start: float = 1000.0
) -> Stream:
    """The records of these frames, 0.1 s apart.

    ``start`` is the time before the first, in seconds. The direction follows from the
    type; the first attempt of each ``duologue.connecting`` except the first begins a
    new epoch. Raises TypeError for a frame that is neither a dict nor bytes.

    >>> [record] = to_records([{"type": "duologue.muted", "muted": True}])
    >>> record.dir, record.seq, record.session
    ('local', 1, 's')
    """
    recorder = Recorder(session, start)
    return Stream(recorder.record(frame) for frame in frames)


class Recorder:
    """Makes the records of one session from its frames, 0.1 s apart.

    ``at`` is the time of the last record, in seconds.

    >>> Recorder("s", 5.0).record({"type": "duologue.tick"}).at
    5.1
    """

    def __init__(self, session: str, start: float) -> None:
        self._session = session
        self._start = start
        self.at = start
        self._seq = 0
        self._epoch = -1
        self._kind = SessionKind.REALTIME

    def record(self, frame: Frame | bytes, *, after: float = 0.0) -> Record:
        """The next record, ``after`` seconds later than otherwise."""
        _check_frame(frame)
        way = direction(frame)
        if isinstance(frame, dict):
            is_first = frame.get("attempt", 1) == 1
            self._epoch += frame.get("type") == "duologue.connecting" and is_first
            frame = msgspec.json.encode(frame)
        self._seq += 1
        self._start += after
        self.at = self._start + self._seq / 10
        record = Record.of(
            frame,
            seq=self._seq,
            session=self._session,
            dir=way,
            at=self.at,
            epoch=max(self._epoch, 0),
            kind=self._kind,
        )
        self._kind = kind_after(self._kind, record)
        return record


# The streams that a check runs over.

#: A strategy of streams, or the records of one stream.
Streams = Union["st.SearchStrategy[Stream]", Iterable[Record]]


def drawn(streams: Streams) -> st.SearchStrategy[Stream]:
    """A strategy of streams; for one recorded stream, a strategy that returns it.

    Raises TypeError for any other argument, and later if the strategy draws another
    type.

    >>> drawn(3)
    Traceback (most recent call last):
        ...
    TypeError: streams are a strategy, or a sequence of records (see to_records), not 3
    """
    if isinstance(streams, st.SearchStrategy):
        return streams.map(recorded)
    return st.just(recorded(streams))


def recorded(records: Any) -> Stream:
    """These records as a stream. Raises TypeError unless all of them are records.

    >>> recorded([])
    [
    ]
    """
    if not isinstance(records, Iterable):
        raise TypeError(f"{_WANTED}, not {records!r:.80}")
    given: list[Any] = [*records]
    for record in given:
        if not isinstance(record, Record):
            raise TypeError(f"{_WANTED}, and {record!r:.80} is not a Record")
    return Stream(given)


_WANTED = "streams are a strategy, or a sequence of records (see to_records)"
