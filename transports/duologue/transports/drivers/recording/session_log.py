"""The log of a live session: passes records to a `Recorder` and handles its errors."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from duologue.core import events as ev
from duologue.core.log.record import Record
from duologue.core.wire.audio_fields import without_audio

from ...contract import Recorder
from ...errors import LogError

__all__ = ["SessionLog"]

#: Maximum records, and bytes of their frames, kept while the log cannot be written.
LIMIT, BYTES = 10_000, 16 * 1024 * 1024


class SessionLog:
    """Passes the records of one session to its transport, if that is a `Recorder`.

    A log that cannot be written (a full disk, for example) does not end the session.
    Records are kept and written as soon as possible. Records beyond the limit are not
    written, and a `Gap` names them.
    """

    def __init__(self, transport: object) -> None:
        self._recorder = transport if isinstance(transport, Recorder) else None
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._missed: tuple[int, int] | None = None
        self._fails = False
        #: The reason why the log is incomplete; None while it is complete.
        self.failure: LogError | None = None

    def write(self, record: Record) -> ev.Gap | None:
        """Write one record. Returns a fact if the log failed or works again."""
        if self._recorder is None:
            return None
        try:
            self._flush(self._recorder)
            self._recorder.log(record)
        except OSError as error:
            self._keep(record)
            return self._failed(error)
        return self._resumed() if self._fails else None

    def end(self) -> ev.Gap | None:
        """Write the kept records and close the log. Returns as `write` does."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return None
        try:
            self._flush(recorder)
        except OSError as error:
            first = self._waiting[0].seq
            reason = f"the log ends before record {first}: {_why(error)}"
            self.failure = LogError(reason)
            gap: ev.Gap | None = ev.Gap(reason=reason, from_seq=first)
        else:
            gap = self._resumed() if self._fails else None
        recorder.end_log()
        return gap

    def _keep(self, record: Record) -> None:
        if record.audio_bytes:
            # Drop the audio: the log omits it, and it would exhaust the limit.
            frame = without_audio(record.frame, record.event)
            record = msgspec.structs.replace(record, frame=frame)
        is_room = len(self._waiting) < LIMIT and self._bytes < BYTES
        if self._missed is not None or not is_room:
            first = record.seq if self._missed is None else self._missed[0]
            self._missed = (first, record.seq)
            return
        self._waiting.append(record)
        self._bytes += len(record.frame)

    def _flush(self, recorder: Recorder) -> None:
        while self._waiting:
            recorder.log(self._waiting[0])
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
