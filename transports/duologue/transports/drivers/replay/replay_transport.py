"""A recorded log in place of a live service: the same frames, in the same order.

A received frame comes once all that was sent before it in the log has been sent
again, so a client meets its answers only after its questions. What the transport did
by itself when it was recorded (the sound that it sent, how much was heard), the replay
does again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from duologue.core import events
from duologue.core.log.record import Record

from ...contract import Report, Target
from ...errors import ConnectError, ConnectionLost, LogError, NotConnected, ReplayDrift
from .event_comparison import Comparison, Sends, first_difference
from .recorded_session import (
    channel,
    configuration,
    ends_with_a_send,
    made_by_itself,
    readable,
)
from .replay_clock import ReplayClock, Speed, Times

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
    """The log at ``path`` as a transport.

    ``speed`` 1 keeps the recorded times, 2 halves them, None does not wait, "step"
    waits for `Replay.step`. ``sends`` says how what is sent is compared with what
    was: ``strict`` the events with ids normalised, ``order`` their types, ``ignore``
    not at all. ``until`` is the ``seq`` of the last record that is replayed: nothing
    comes after it. ``session`` is whose records are taken, by default those of the
    first record; ``epoch`` which of its connections. ``patience`` is how many seconds
    the recording waits for an event that is to be sent (None: for ever).

    A log that is torn or spoiled is replayed up to that line; there the session ends,
    with the `LogError` that names it. Raises that `LogError` where there is nothing
    before it, and one for a log that has no such session; ValueError for a speed that
    is none.
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
    """A `Transport` out of one connection of a session in a log. Made by `replay`.

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
    ) -> None:
        self._session = session
        self._torn = torn
        self._epoch = epoch
        records = tuple(record for record in session if record.epoch == epoch)
        self._records = records
        self._speed: Speed = speed
        self._sends: Sends = sends
        self._patience = patience
        #: Where the frames come from; a page's log has them by its sideband alone.
        self.src = channel(session)
        self._made = made_by_itself(records)
        self._comparison = Comparison(
            [r for r in records if r.dir == "out" and r.seq not in self._made], sends
        )
        self._report: Report = _to_nobody
        self._changed = asyncio.Condition()
        self._position = 0
        #: Events of the client's that stand before the position.
        self._before = 0
        self._steps = 0
        self._times = Times(speed)
        self._state: Literal["new", "open", "over", "closed"] = "new"
        self.drift: ReplayDrift | None = None
        self.session_id = records[0].session
        self.clock = clock or ReplayClock(session)

    @property
    def again(self) -> Callable[[], Replay] | None:
        """What makes the next connection of the session; None if there was none."""
        later = {r.epoch for r in self._session if r.epoch > self._epoch}
        return partial(self._after, min(later)) if later else None

    def _after(self, epoch: int) -> Replay:
        return Replay(
            self._session,
            epoch=epoch,
            speed=self._speed,
            sends=self._sends,
            patience=self._patience,
            clock=self.clock,
            torn=self._torn,
        )

    def report_to(self, report: Report) -> None:
        """See `seam.Reporting`."""
        self._report = report

    async def connect(self, target: Target) -> None:
        """Compare the configuration, but for the model. Raises `ConnectError`."""
        if self._state != "new":
            raise ConnectError("a transport connects once")
        self._state = "open"
        if self._sends == "strict":
            self._compare_configuration(target)
        for record in self._before_connected():
            self._tell(record)

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

    def _before_connected(self) -> Iterator[Record]:
        """What the transport did while it connected, in a log that says when."""
        stands = [isinstance(r.event, events.Connected) for r in self._records]
        self._position = stands.index(True) if any(stands) else 0
        for record in self._records[: self._position]:
            if record.seq in self._made:
                yield record

    async def send(self, frame: str) -> None:
        """Compare with the recorded event.

        Raises `ReplayDrift` if it differs, `NotConnected` after close. What comes after
        the last that was sent on a connection that another one followed is too late
        for it: `NotConnected` too, as it would have been.
        """
        if self._state != "open":
            raise NotConnected(f"the replay is {self._state}")
        if self._is_cut():
            raise NotConnected("the connection was lost here")
        try:
            self._comparison.take(frame)
        except ReplayDrift as drift:
            raise self._drifted(drift) from None
        finally:
            await self._wake()
        if self._is_cut() and ends_with_a_send(self._records):
            raise NotConnected("the connection was lost with this")

    def _is_cut(self) -> bool:
        """Whether nothing more was sent before the next connection."""
        nothing = self._comparison.next is None and self._sends != "ignore"
        return nothing and self.again is not None

    def check(self) -> None:
        """Raise the first `ReplayDrift` there was, or one for what was not sent."""
        if self.drift is not None:
            raise self.drift
        missing = self._comparison.next
        if missing is not None and self._sends != "ignore":
            raise self._drifted(ReplayDrift(self._unsent(missing)))

    async def step(self, count: int = 1) -> None:
        """Let ``count`` more records come; return when they did, or at the end.

        Raises ValueError where ``speed`` is not ``"step"``.
        """
        if self._speed != "step":
            raise ValueError("this replay does not go by steps")
        async with self._changed:
            self._steps += count
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: self._steps <= 0 or self._state in ("over", "closed")
            )

    async def frames(self) -> AsyncIterator[str | bytes]:
        """The received frames of the log, as they were.

        Where the service ended the connection they end, or raise `ConnectionLost`;
        where we did, or the log ends, nothing more comes until `close`. Raises
        `LogError` where it cannot be read any further.
        """
        if self._state == "new":
            return
        while self._position < len(self._records):
            record = self._records[self._position]
            if record.dir == "out" and record.seq not in self._made:
                self._before += 1
            elif self._is_ours(record):
                await self._wait_for_sends(self._before)
                await self._wait_for_time(record)
                if self._state != "open":
                    return
                self._position += 1
                if isinstance(record.event, events.Disconnected):
                    await self._end(record.event)
                    return
                if record.dir == "in":
                    self.clock.reach(record)
                    yield _text(record.frame)
                else:
                    self._tell(record)
                await self._passed()
                continue
            self._position += 1
        self._steps = 0
        await self._wake()
        if self._torn is not None:
            raise self._torn
        async with self._changed:
            await self._changed.wait_for(lambda: self._state != "open")

    def _tell(self, record: Record) -> None:
        """Do again what the transport did by itself."""
        self.clock.reach(record)
        way: Literal["out", "local"] = "out" if record.dir == "out" else "local"
        self._report(record.frame.decode(), way)

    async def close(self) -> None:
        """End the frames. Idempotent."""
        self._state = "closed"
        await self._wake()

    def _is_ours(self, record: Record) -> bool:
        """Whether the replay brings this record, or the client makes it anew."""
        if record.dir == "in":
            return record.src == self.src
        if isinstance(record.event, events.Disconnected):
            event = record.event
            return not event.expected or event.code is not None
        return record.seq in self._made

    async def _end(self, event: events.Disconnected) -> None:
        self._state = "over"
        await self._wake()
        if not event.expected:
            raise ConnectionLost(event.reason or "connection lost", code=event.code)

    async def _wait_for_sends(self, count: int) -> None:
        def is_time() -> bool:
            return self._comparison.sent >= count or self._state != "open"

        if self._sends == "ignore" or is_time():
            return
        try:
            async with asyncio.timeout(self._patience), self._changed:
                await self._changed.wait_for(is_time)
        except TimeoutError:
            missing = self._comparison.next
            assert missing is not None
            raise self._drifted(ReplayDrift(self._unsent(missing))) from None

    async def _wait_for_time(self, record: Record) -> None:
        if self._speed == "step":
            async with self._changed:
                await self._changed.wait_for(
                    lambda: self._steps > 0 or self._state != "open"
                )
            return
        wait = self._times.until(record.at)
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait), self._changed:
                    await self._changed.wait_for(lambda: self._state != "open")
        self._times.reached(record.at)

    async def _passed(self) -> None:
        if self._speed == "step":
            self._steps -= 1
            await self._wake()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _drifted(self, drift: ReplayDrift) -> ReplayDrift:
        self.drift = self.drift or drift
        return drift

    def _unsent(self, missing: Record) -> str:
        return (
            f"event {self._comparison.sent + 1} was not sent: record {missing.seq} of "
            f"the recording is {getattr(missing.event, 'type', 'unknown')}"
        )


def _text(frame: bytes) -> str | bytes:
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return frame


def _to_nobody(frame: str, way: str) -> None:
    """Nobody keeps records."""
