"""The records of a session as lines of its log, and the state at each of them.

The lines are grouped into segments. Each segment holds the state before its first
record, so that any past state is folded from the records of one segment. This is cheap,
because states share their unchanged nodes. Beyond a limit of records or bytes, the
oldest segments are dropped and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs
import msgspec

from duologue.core import Record, Session, State, patch, read_log, reduce, to_line, view

__all__ = ["Entry", "History", "Moment"]

#: The most records and bytes of a segment, which is at most an eighth of the limits.
_SEGMENT_RECORDS = 256
_SEGMENT_BYTES = 256 << 10
_SHARE = 8
_NO_SESSIONS = State().sessions


class Entry(NamedTuple):
    """One record: the columns of the list, and its line."""

    seq: int
    at: float | None
    dir: str
    src: str | None
    type: str
    line: bytes

    def summary(self) -> dict[str, Any]:
        """The record as JSON values; ``size`` is the bytes of its line."""
        return {
            "seq": self.seq,
            "at": self.at,
            "dir": self.dir,
            "src": self.src,
            "type": self.type,
            "size": len(self.line),
        }


class Moment(msgspec.Struct, frozen=True):
    """The view after a record, and the patch from the view before it."""

    seq: int
    view: dict[str, Any]
    patch: list[dict[str, Any]]


@attrs.define(eq=False)
class _Segment:
    """Consecutive records, and the state before the first."""

    before: State
    entries: list[Entry] = attrs.field(factory=list)
    size: int = 0


class History:
    """The last records of one session.

    At most ``records`` are kept, and ``size`` bytes of lines. ``session_id`` is the
    session's id in its records.
    """

    def __init__(self, session_id: str, *, records: int, size: int) -> None:
        self.session_id = session_id
        self._limits = records, size
        self._segment_limits = (
            min(_SEGMENT_RECORDS, max(1, records // _SHARE)),
            min(_SEGMENT_BYTES, size // _SHARE),
        )
        self._segments: deque[_Segment] = deque([_Segment(State())])
        self._state = State()
        self._count = self._size = 0
        #: The last result of `at`; the next call usually folds from it.
        self._last_at: tuple[int, State] | None = None
        #: The number of the last record; 0 if there is none.
        self.last = 0
        #: Records and bytes that were dropped.
        self.dropped = self.dropped_bytes = 0

    @property
    def first(self) -> int:
        """The number of the first kept record; 0 if there is none."""
        return next((entry.seq for entry in self.entries()), 0)

    @property
    def session(self) -> Session:
        """The session after the last record."""
        return self._of(self._state)

    def add(self, record: Record, after: State) -> None:
        """Append a record; ``after`` is the state that it was folded into."""
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
        """Fold a record and append it."""
        self.add(record, reduce(self._state, record))

    def _only(self, state: State) -> State:
        """The state with this session only, so that no other is kept in memory."""
        session = state.sessions.get(self.session_id)
        if session is None:
            return State()
        return State(_NO_SESSIONS.set(self.session_id, session))

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
        if self._last_at is not None and self._last_at[0] < self.first - 1:
            self._last_at = None

    def entries(self) -> Iterator[Entry]:
        """The kept records, in order."""
        for segment in self._segments:
            yield from segment.entries

    def find(self, seq: int) -> Entry | None:
        """The record of this number; None if it is not kept."""
        segment = self._segment(seq)
        found = (entry for entry in segment.entries if entry.seq == seq)
        return next(found, None)

    def _segment(self, seq: int) -> _Segment:
        """The segment that contains a record, if one does."""
        found = self._segments[0]
        for segment in self._segments:
            if not segment.entries or segment.entries[0].seq > seq:
                break
            found = segment
        return found

    def lines(self) -> bytes:
        """The log of all kept records."""
        return b"".join(entry.line for entry in self.entries())

    def at(self, seq: int) -> Moment | None:
        """The session after record ``seq``; None if that is not kept.

        If the log has no record ``seq``, uses the record before it. If ``seq`` is one
        less than the first kept record, returns the session before that record.
        """
        if seq == (self.first or self.last + 1) - 1:
            return Moment(seq, view(self._of(self._segments[0].before)), [])
        if not self.first <= seq <= self.last or not self._count:
            return None
        entries = self._segment(seq).entries
        entry = next(entry for entry in reversed(entries) if entry.seq <= seq)
        seq, before = entry.seq, self._fold(entry.seq)
        record = self._read(entry, before)
        after = reduce(before, record)
        self._last_at = (seq, after)
        earlier, session = self._of(before), self._of(after)
        return Moment(seq, view(session), patch(earlier, session, record))

    def _of(self, state: State) -> Session:
        return state.sessions.get(self.session_id) or Session(self.session_id)

    def _fold(self, seq: int) -> State:
        """The state before record ``seq``. The history must contain the record."""
        segment = self._segment(seq)
        start, after = segment.before, segment.entries[0].seq - 1
        if self._last_at is not None and after < self._last_at[0] < seq:
            after, start = self._last_at
        for entry in segment.entries:
            if after < entry.seq < seq:
                start = reduce(start, self._read(entry, start))
        return start

    def _read(self, entry: Entry, before: State) -> Record:
        """The record of a line, decoded for the kind of session in this state."""
        kind = self._of(before).connection.kind
        (record,) = read_log([entry.line], session=self.session_id, kind=kind)
        return record
