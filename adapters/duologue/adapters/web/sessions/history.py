"""What happened in a session, kept as lines of its log, and how it stood then.

The lines lie in segments; each begins with the state before its first record, which
costs next to nothing, because states share what they have in common. So the state at
any record is folded from at most a segment's records. The oldest segments go when there
are too many records or bytes: what lies beyond is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs

from duologue.core import Record, Session, State, patch, read_log, reduce, to_line, view

__all__ = ["Entry", "History", "Moment"]

#: Records and bytes of a segment, and how much of all that is kept it may be.
_SEGMENT_RECORDS = 256
_SEGMENT_BYTES = 256 << 10
_SHARE = 8


class Entry(NamedTuple):
    """One record as it is listed, and its line."""

    seq: int
    at: float | None
    dir: str
    src: str | None
    type: str
    line: bytes

    def listed(self) -> dict[str, Any]:
        """The record in a list, as JSON values; ``size`` is that of its line."""
        return {
            "seq": self.seq,
            "at": self.at,
            "dir": self.dir,
            "src": self.src,
            "type": self.type,
            "size": len(self.line),
        }


class Moment(NamedTuple):
    """The session as it was at a record, and what this record changed."""

    seq: int
    view: dict[str, Any]
    patch: list[dict[str, Any]]

    def shown(self) -> dict[str, Any]:
        """As JSON values."""
        return {"seq": self.seq, "view": self.view, "patch": self.patch}


@attrs.define(eq=False)
class _Segment:
    """Records in a row, and the state before the first of them."""

    before: State
    entries: list[Entry] = attrs.field(factory=list)
    size: int = 0


class History:
    """The records of one session, the last ``records`` of them at most.

    ``name`` is the session's id in its records. ``size`` in bytes of the lines.
    """

    def __init__(self, name: str, *, records: int, size: int) -> None:
        self.name = name
        self._limits = records, size
        self._segment_limits = (
            min(_SEGMENT_RECORDS, max(1, records // _SHARE)),
            min(_SEGMENT_BYTES, size // _SHARE),
        )
        self._segments: deque[_Segment] = deque([_Segment(State())])
        self._state = State()
        self._count = self._size = 0
        self._seen: tuple[int, State] | None = None
        #: The number of the last record; 0 before the first.
        self.last = 0
        #: What is no longer kept.
        self.dropped = self.dropped_bytes = 0

    @property
    def first(self) -> int:
        """The number of the first record that is kept; 0 where none is."""
        return next((entry.seq for entry in self.entries()), 0)

    @property
    def session(self) -> Session:
        """The session after the last record."""
        return self._state.sessions.get(self.name) or Session(self.name)

    def add(self, record: Record, after: State) -> None:
        """Keep a record; ``after`` is the state that it led to."""
        line = to_line(record)
        type = str(record.event.type)
        entry = Entry(record.seq, record.at, record.dir, record.src, type, line)
        segment = self._segments[-1]
        records, size = self._segment_limits
        if len(segment.entries) >= records or segment.size >= size:
            segment = _Segment(self._state)
            self._segments.append(segment)
        segment.entries.append(entry)
        segment.size += len(line)
        self._count += 1
        self._size += len(line)
        self.last, self._state = record.seq, self._only(after)
        self._trim()

    def append(self, record: Record) -> None:
        """Fold a record that nobody folded, and keep it."""
        self.add(record, reduce(self._state, record))

    def _only(self, state: State) -> State:
        """The state without the sessions of others, which it would keep alive."""
        session = state.sessions.get(self.name)
        if session is None:
            return State()
        return State(_NOBODY.set(self.name, session))

    def _trim(self) -> None:
        records, size = self._limits
        while self._count > records or self._size > size:
            gone = self._segments.popleft()
            self._count -= len(gone.entries)
            self._size -= gone.size
            self.dropped += len(gone.entries)
            self.dropped_bytes += gone.size
            if not self._segments:
                self._segments.append(_Segment(self._state))
        if self._seen is not None and self._seen[0] < self.first - 1:
            self._seen = None

    def entries(self) -> Iterator[Entry]:
        """What is kept, in order."""
        for segment in self._segments:
            yield from segment.entries

    def find(self, seq: int) -> Entry | None:
        """The record of this number; None where it is not kept."""
        segment = self._segment(seq)
        found = (entry for entry in segment.entries if entry.seq == seq)
        return next(found, None)

    def _segment(self, seq: int) -> _Segment:
        """The segment that a record is in, if it is in any."""
        found = self._segments[0]
        for segment in self._segments:
            if not segment.entries or segment.entries[0].seq > seq:
                break
            found = segment
        return found

    def lines(self) -> bytes:
        """The log: all that is kept."""
        return b"".join(entry.line for entry in self.entries())

    def at(self, seq: int) -> Moment | None:
        """The session after record ``seq``; None where that is not kept.

        Where the log has no such number it is the record before it. One step beyond
        the kept ones is known too: how it stood before the first.
        """
        if seq == (self.first or self.last + 1) - 1:
            return Moment(seq, view(self._of(self._segments[0].before)), [])
        if not self.first <= seq <= self.last or not self._count:
            return None
        entries = self._segment(seq).entries
        entry = next(entry for entry in reversed(entries) if entry.seq <= seq)
        seq = entry.seq
        before = self._fold(seq)
        record = self._read(entry, before)
        after = reduce(before, record)
        self._seen = (seq, after)
        one, other = self._of(before), self._of(after)
        return Moment(seq, view(other), patch(one, other, record))

    def _of(self, state: State) -> Session:
        return state.sessions.get(self.name) or Session(self.name)

    def _fold(self, seq: int) -> State:
        """The state before record ``seq``, which is kept."""
        segment = self._segment(seq)
        start, after = segment.before, segment.entries[0].seq - 1
        if self._seen is not None and after < self._seen[0] < seq:
            # Who steps forwards asks for the next one.
            after, start = self._seen
        for entry in segment.entries:
            if after < entry.seq < seq:
                start = reduce(start, self._read(entry, start))
        return start

    def _read(self, entry: Entry, before: State) -> Record:
        """The record of a line, whose names mean what they meant in this state."""
        kind = self._of(before).connection.kind
        (record,) = read_log([entry.line], session=self.name, kind=kind)
        return record


_NOBODY = State().sessions
