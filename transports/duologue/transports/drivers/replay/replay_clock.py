"""The times of a recording: the clock of its records, and the waits between them."""

from __future__ import annotations

import asyncio
from typing import Literal

import attrs

from duologue.core.log.record import Record

__all__ = ["ReplayClock", "ReplayPace", "Speed"]

#: 1: as recorded, 2: twice as fast, "step": by `Replay.step`, None: without waiting.
Speed = float | Literal["step"] | None


class ReplayClock:
    """The recorded times, for the records that a client makes under replay.

    A client reads the clock once for each record and gets the recorded time of that
    record. A log without times gives 0.
    """

    def __init__(self, records: tuple[Record, ...]) -> None:
        self._records = records
        self._next = 0
        self._reached: Record | None = None
        self._at = next((r.at for r in records if r.at is not None), 0.0)

    def now(self) -> float:
        """Seconds since the Unix epoch, never decreasing."""
        if self._next < len(self._records):
            record = self._records[self._next]
            if record.dir != "in" or record is self._reached:
                self._pass(record)
        return self._at

    def reach(self, record: Record) -> None:
        """Announce the next record of the transport, so that `now` gives its time."""
        self._reached = record
        if self._next and record.seq <= self._records[self._next - 1].seq:
            # The client has read this time already.
            return
        while self._next < len(self._records):
            if self._records[self._next] is record:
                return
            self._pass(self._records[self._next])

    def _pass(self, record: Record) -> None:
        self._next += 1
        self._at = max(self._at, record.at or 0.0)


@attrs.define
class ReplayPace:
    """The waits between the records of a log at some speed."""

    speed: Speed
    #: The recorded time of the last record, in seconds since the Unix epoch.
    at: float | None = None
    #: The loop's time when that record was delivered, in seconds.
    real: float = 0.0

    def until(self, at: float | None) -> float:
        """Seconds to wait for the record with this recorded time."""
        if not isinstance(self.speed, float | int) or self.at is None or at is None:
            return 0.0
        passed = asyncio.get_running_loop().time() - self.real
        return max(0.0, (at - self.at) / self.speed - passed)

    def reached(self, at: float | None) -> None:
        """Note that the record with this recorded time is delivered now."""
        if at is not None:
            self.at, self.real = at, asyncio.get_running_loop().time()
