"""The log of a live session, and what becomes of it where it cannot be written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from duologue.core import events as ev
from duologue.core.log.record import Record
from duologue.core.wire.audio_fields import without_audio

from ...errors import LogError

__all__ = ["SessionLog"]

#: Records, and bytes of their frames, that are kept while the log cannot be written.
LIMIT, BYTES = 10_000, 16 * 1024 * 1024


class SessionLog:
    """Hands the records of one session to a transport that logs, if it does.

    The conversation matters more than its log. Where that cannot be written (a full
    disk, for example), records are kept, and written once it can be; those that are
    too many to be kept are missing in it, and a `Gap` says which.
    """

    def __init__(self, transport: object) -> None:
        self._log: Callable[[Record], None] | None
        self._log = getattr(transport, "log", None)
        self._end: Callable[[], None] | None = getattr(transport, "end_log", None)
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._missed: tuple[int, int] | None = None
        self._fails = False
        #: Why it is not complete, or not yet.
        self.failure: LogError | None = None

    def write(self, record: Record) -> ev.Gap | None:
        """Write one record; what is to be noted because of it."""
        if self._log is None:
            return None
        try:
            self._flush(self._log)
            self._log(record)
        except OSError as error:
            self._keep(record)
            return self._failed(error)
        return self._resumed() if self._fails else None

    def end(self) -> ev.Gap | None:
        """No more records come; what is to be noted of those that wait."""
        log, self._log = self._log, None
        if log is None:
            return None
        try:
            self._flush(log)
        except OSError as error:
            first = self._waiting[0].seq
            reason = f"the log ends before record {first}: {_why(error)}"
            self.failure = LogError(reason)
            gap: ev.Gap | None = ev.Gap(reason=reason, from_seq=first)
        else:
            gap = self._resumed() if self._fails else None
        if self._end is not None:
            self._end()
        return gap

    def _keep(self, record: Record) -> None:
        if record.audio_bytes:
            # It is left out of the log, and would soon be all that is kept.
            frame = without_audio(record.frame, record.event)
            record = msgspec.structs.replace(record, frame=frame)
        is_room = len(self._waiting) < LIMIT and self._bytes < BYTES
        if self._missed is not None or not is_room:
            first = record.seq if self._missed is None else self._missed[0]
            self._missed = (first, record.seq)
            return
        self._waiting.append(record)
        self._bytes += len(record.frame)

    def _flush(self, log: Callable[[Record], None]) -> None:
        while self._waiting:
            log(self._waiting[0])
            self._bytes -= len(self._waiting.popleft().frame)

    def _failed(self, error: OSError) -> ev.Gap | None:
        if self._fails:
            return None
        self._fails = True
        reason = f"the log cannot be written: {_why(error)}"
        self.failure = LogError(reason)
        return ev.Gap(reason=reason)

    def _resumed(self) -> ev.Gap | None:
        missed, self._missed = self._missed, None
        self._fails = False
        if missed is None:
            self.failure = None
            return None
        first, last = missed
        reason = f"records {first} to {last} are missing in the log"
        self.failure = LogError(reason)
        return ev.Gap(reason=reason, from_seq=first, to_seq=last)


def _why(error: OSError) -> Any:
    return error.strerror or error
