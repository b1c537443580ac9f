"""The times of a recording: those that its records had, and when they are due."""

from __future__ import annotations

import asyncio
from typing import Literal

import attrs

from duologue.core.log.record import Record

__all__ = ["ReplayClock", "Speed", "Times"]

#: How fast: 1 as recorded, 2 twice as fast, "step" by `Replay.step`, None at once.
Speed = float | Literal["step"] | None


class ReplayClock:
    """The times of a recording, for the records that a client makes under replay.

    Read once for each record that is made, as a client does, it gives the time that
    the record had. Where a log has no times it stands at 0.
    """

    def __init__(self, records: tuple[Record, ...]) -> None:
        self._records = records
        self._next = 0
        self._reached: Record | None = None
        self._at = next((r.at for r in records if r.at is not None), 0.0)

    def now(self) -> float:
        """Seconds since the Unix epoch, never less than before."""
        if self._next < len(self._records):
            record = self._records[self._next]
            if record.dir != "in" or record is self._reached:
                self._pass(record)
        return self._at

    def reach(self, record: Record) -> None:
        """This record is the next one: a frame, or what the transport did."""
        self._reached = record
        if self._next and record.seq <= self._records[self._next - 1].seq:
            # The client was quicker, and has had its time.
            return
        while self._next < len(self._records):
            if self._records[self._next] is record:
                return
            self._pass(self._records[self._next])

    def _pass(self, record: Record) -> None:
        self._next += 1
        self._at = max(self._at, record.at or 0.0)


@attrs.define
class Times:
    """When the records of a log are due."""

    speed: Speed
    at: float | None = None
    #: Seconds of the loop's clock.
    real: float = 0.0

    def until(self, at: float | None) -> float:
        """Seconds to wait for what was recorded ``at`` this time."""
        if not isinstance(self.speed, float | int) or self.at is None or at is None:
            return 0.0
        passed = asyncio.get_running_loop().time() - self.real
        return max(0.0, (at - self.at) / self.speed - passed)

    def reached(self, at: float | None) -> None:
        """What was recorded ``at`` this time comes now."""
        if at is not None:
            self.at, self.real = at, asyncio.get_running_loop().time()
