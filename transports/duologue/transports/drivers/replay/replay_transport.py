"""A recorded log in place of a live service: the same frames in the same order.

A received frame is delivered only after the client has sent all events that precede the
frame in the log, so that no response precedes its request. Events and facts that the
recorded transport itself reported (sent audio, played durations) are repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import msgspec

from duologue.core import events
from duologue.core.log.record import Record

from ...contract import Report, Target
from ...errors import ConnectError, ConnectionLost, LogError, NotConnected, ReplayDrift
from .event_comparison import EventComparison, Sends, first_difference
from .recorded_requests import RecordedRequests
from .recorded_session import (
    channel,
    configuration,
    ends_with_a_send,
    event_type,
    made_by_transport,
    readable,
)
from .replay_clock import ReplayClock, ReplayPace, Speed

__all__ = ["Replay", "ReplayClock", "Sends", "Speed", "replay"]


def replay(
    path: str | Path,
    *,
    speed: Speed = None,
    sends: Sends = "strict",
    until: int | None = None,
    session: str | None = None,
    epoch: int = 0,
    patience: float | None = None,
) -> Replay:
    """A transport that replays the log at ``path``.

    ``speed`` 1 keeps the recorded times, 2 is twice as fast, None does not wait, "step"
    waits for `Replay.step`. ``sends`` selects how sent events are compared with the
    recorded ones: ``strict`` compares events with normalised ids, ``order`` their
    types, ``ignore`` nothing. ``until`` is the ``seq`` of the last replayed record.
    ``session`` selects a session of the log (default: that of the first record), and
    ``epoch`` the first connection to replay. ``patience`` is the number of seconds to
    wait for an event that the client must send (None: no limit).

    A log with an unreadable line is replayed up to that line; then the session ends
    with the `LogError` that names it. Raises `LogError` if no record precedes that
    line, or if the log has no records of the selected session and connection. Raises
    ValueError for an invalid speed.
    """
    if speed is not None and speed != "step" and not speed > 0:
        raise ValueError(f"speed is {speed!r}, it must be above 0, 'step' or None")
    records, torn = readable(path)
    name = session or (records[0].session if records else None)
    chosen = [
        record
        for record in records
        if record.session == name and (until is None or record.seq <= until)
    ]
    if all(record.epoch != epoch for record in chosen):
        raise LogError(f"{path}: no records of {name or 'any session'}, epoch {epoch}")
    if until is not None and records[-1].seq >= until:
        torn = None
    return Replay(
        tuple(chosen),
        epoch=epoch,
        speed=speed,
        sends=sends,
        patience=patience,
        torn=torn,
    )


class Replay:
    """A `Transport` that replays one connection of a session. Made by `replay`.

    ``drift`` is the first difference found, even if its exception was caught;
    ``patience`` is in seconds.
    """

    def __init__(
        self,
        session: tuple[Record, ...],
        *,
        epoch: int = 0,
        speed: Speed = None,
        sends: Sends = "strict",
        patience: float | None = None,
        clock: ReplayClock | None = None,
        torn: LogError | None = None,
        requests: RecordedRequests | None = None,
    ) -> None:
        self._session = session
        self._requests = requests or RecordedRequests(session, epoch)
        self._torn = torn
        self._epoch = epoch
        records = tuple(record for record in session if record.epoch == epoch)
        self._records = records
        self._speed: Speed = speed
        self._sends: Sends = sends
        self._patience = patience
        #: See `contract.Sourced`. If a sideband received all frames, it is `SIDEBAND`.
        self.src = channel(session)
        self._made = made_by_transport(records)
        self._comparison = EventComparison(
            [r for r in records if r.dir == "out" and r.seq not in self._made], sends
        )
        self._report: Report = lambda frame, way: None
        self._changed = asyncio.Condition()
        #: The records that were not delivered yet, and the number of client events
        #: before them.
        self._rest = iter(records)
        self._before = 0
        self._steps = 0
        self._pace = ReplayPace(speed)
        self._state: Literal["new", "open", "over", "closed"] = "new"
        self.drift: ReplayDrift | None = None
        self._waking: asyncio.Task[None] | None = None
        self.session_id = records[0].session
        self.clock = clock or ReplayClock(session)

    @property
    def _next_epoch(self) -> int | None:
        epochs = (r.epoch for r in self._session if r.epoch > self._epoch)
        return min(epochs, default=None)

    def again(self) -> Replay | None:
        """The replay of the session's next connection; None after the last one."""
        if (next_epoch := self._next_epoch) is None:
            return None
        return Replay(
            self._session,
            epoch=next_epoch,
            speed=self._speed,
            sends=self._sends,
            patience=self._patience,
            clock=self.clock,
            torn=self._torn,
            requests=self._requests,
        )

    def requested(self) -> None:
        """See `contract.Following`."""
        self._requests.count()

    def chance(self) -> float | None:
        """The recorded number, from 0 to 1: see `contract.Following`."""
        return self._requests.chance

    def report_to(self, report: Report) -> None:
        """See `contract.Reporting`."""
        self._report = report

    async def connect(self, target: Target) -> None:
        """Compare the configuration, except the model, with the recorded one.

        Raises `ReplayDrift` if it differs, `ConnectError` on a second call.
        """
        if self._state != "new":
            raise ConnectError("a transport connects once")
        self._state = "open"
        if self._sends == "strict":
            self._compare_configuration(target)
        self._requests.on_request = self._wake_soon
        if any(isinstance(record.event, events.Connected) for record in self._records):
            for record in self._rest:
                await self._wait_for_requests(record)
                if record.seq in self._made:
                    self._repeat(record)
                if isinstance(record.event, events.Connected):
                    return

    def _compare_configuration(self, target: Target) -> None:
        wanted = configuration(self._records)
        if wanted is None:
            return
        got = msgspec.json.decode(msgspec.json.encode(target.session, enc_hook=dict))
        wanted, got = ({**each, "model": None} for each in (wanted, got))
        if wanted != got:
            raise self._drifted(
                ReplayDrift(
                    "the configuration differs from that of the recording: "
                    f"{first_difference(wanted, got)}"
                )
            )

    async def send(self, frame: str) -> None:
        """Compare with the recorded event.

        Raises `ReplayDrift` if it differs, `NotConnected` after close. If the session
        had another connection after this one, an event after the last recorded one
        also raises `NotConnected`, because the connection was lost there.
        """
        if self._state != "open":
            raise NotConnected(f"the replay is {self._state}")
        if self._is_lost_here():
            raise NotConnected("the recorded connection was lost before this event")
        try:
            self._comparison.take(frame)
        except ReplayDrift as drift:
            raise self._drifted(drift) from None
        finally:
            await self._wake()
        if self._is_lost_here() and ends_with_a_send(self._records):
            raise NotConnected("the recorded connection was lost after this event")

    def _is_lost_here(self) -> bool:
        """Whether all events of this connection were sent, and another follows it."""
        is_complete = self._comparison.next is None and self._sends != "ignore"
        return is_complete and self._next_epoch is not None

    def check(self) -> None:
        """Raise the first `ReplayDrift`, or one for the first unsent event."""
        if self.drift is not None:
            raise self.drift
        missing = self._comparison.next
        if missing is not None and self._sends != "ignore":
            raise self._drifted(ReplayDrift(self._unsent(missing)))

    async def step(self, count: int = 1) -> None:
        """Deliver ``count`` more records; return after the last one, or at the end.

        Raises ValueError if ``speed`` is not ``"step"``.
        """
        if self._speed != "step":
            raise ValueError("this replay does not run in steps")
        async with self._changed:
            self._steps += count
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: self._steps <= 0 or self._state in ("over", "closed")
            )

    async def frames(self) -> AsyncIterator[str | bytes]:
        """The received frames of the log, unchanged.

        They end, or raise `ConnectionLost`, if the service ended the connection. If the
        client ended it, or the log ends, the iterator waits for `close`. Raises
        `LogError` at an unreadable line.
        """
        if self._state == "new":
            return
        for record in self._rest:
            if record.dir == "out" and record.seq not in self._made:
                self._before += 1
            if not self._is_replayed(record):
                continue
            await self._wait_for_requests(record)
            await self._wait_for_sends(self._before)
            await self._wait_for_time(record)
            if self._state != "open":
                return
            if isinstance(record.event, events.Disconnected):
                await self._end(record.event)
                return
            if record.dir == "in":
                self.clock.reach(record)
                yield _text(record.frame)
            else:
                self._repeat(record)
            if self._speed == "step":
                self._steps -= 1
                await self._wake()
        self._steps = 0
        await self._wake()
        if self._torn is not None:
            raise self._torn
        await self._wait(lambda: False)

    def _repeat(self, record: Record) -> None:
        """Report an event or a fact that the recorded transport itself produced."""
        self.clock.reach(record)
        way: Literal["out", "local"] = "out" if record.dir == "out" else "local"
        self._report(record.frame.decode(), way)

    async def close(self) -> None:
        """End the frames. Idempotent."""
        self._state = "closed"
        await self._wake()

    def _is_replayed(self, record: Record) -> bool:
        """Whether the replay delivers this record; the client makes all others."""
        if record.dir == "in":
            return record.src == self.src
        if isinstance(record.event, events.Disconnected):
            event = record.event
            return not event.expected or event.code is not None
        return record.seq in self._made

    async def _end(self, event: events.Disconnected) -> None:
        self._state = "over"
        self._requests.chance = event.chance
        await self._wake()
        if not event.expected:
            raise ConnectionLost(event.reason or "connection lost", code=event.code)

    async def _wait_for_sends(self, count: int) -> None:
        if self._sends != "ignore" and not await self._wait(
            lambda: self._comparison.sent >= count, self._patience
        ):
            missing = self._comparison.next
            assert missing is not None
            raise self._drifted(ReplayDrift(self._unsent(missing)))

    async def _wait_for_requests(self, record: Record) -> None:
        if self._sends != "ignore":
            await self._wait(
                lambda: self._requests.are_made_before(record), self._patience
            )

    async def _wait_for_time(self, record: Record) -> None:
        if self._speed == "step":
            await self._wait(lambda: self._steps > 0)
            return
        if (seconds := self._pace.until(record.at)) > 0:
            await self._wait(lambda: False, seconds)
        self._pace.reached(record.at)

    async def _wait(
        self, is_met: Callable[[], bool], timeout: float | None = None
    ) -> bool:
        """Whether this or the connection's end came within ``timeout`` seconds."""

        def is_time() -> bool:
            return is_met() or self._state != "open"

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(is_time)
        return is_time()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _wake_soon(self) -> None:
        self._waking = asyncio.create_task(self._wake())

    def _drifted(self, drift: ReplayDrift) -> ReplayDrift:
        self.drift = self.drift or drift
        return drift

    def _unsent(self, missing: Record) -> str:
        return (
            f"event {self._comparison.sent + 1} was not sent: record {missing.seq} of "
            f"the recording is {event_type(missing.frame) or 'unknown'}"
        )


def _text(frame: bytes) -> str | bytes:
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return frame
