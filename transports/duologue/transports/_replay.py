"""A recorded log in place of a live service: the same frames, in the same order.

A received frame comes once all that was sent before it in the log has been sent
again, so a client meets its answers only after its questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from duologue.core import events
from duologue.core.record import Record

from .errors import ConnectionLost, NotConnected, ReplayDrift
from .logfile import read_log_file
from .seam import Target

__all__ = ["Replay", "replay"]

Sends = Literal["strict", "order", "ignore"]


def replay(
    path: str | Path, *, speed: float | None = None, sends: Sends = "strict"
) -> Replay:
    """The log at ``path`` as a transport.

    ``speed`` 1 keeps the recorded times, 2 halves them, None does not wait.
    ``sends`` says how what is sent is compared with what was: ``strict`` the events
    with ids left out, ``order`` their types, ``ignore`` not at all. Raises
    `LogError` for a log that cannot be read.
    """
    if speed is not None and not speed > 0:
        raise ValueError(f"speed is {speed!r}, it must be above 0 or None")
    return Replay(tuple(read_log_file(path)), speed=speed, sends=sends)


class Replay:
    """See `replay`."""

    def __init__(
        self, records: tuple[Record, ...], *, speed: float | None, sends: Sends
    ) -> None:
        self._records = records
        self._speed = speed
        self._sends = sends
        self._expected = [r for r in records if r.dir == "out"]
        self._sent = 0
        self._changed = asyncio.Event()
        self._closed = False

    async def connect(self, target: Target) -> None:
        """Nothing to connect to."""

    async def send(self, frame: str) -> None:
        """Compare with the recorded frame. Raises `ReplayDrift` if it differs."""
        if self._closed:
            raise NotConnected("the replay is closed")
        if self._sends != "ignore":
            self._compare(frame)
        self._sent += 1
        self._changed.set()

    def _compare(self, frame: str) -> None:
        number = self._sent + 1
        if self._sent >= len(self._expected):
            raise ReplayDrift(f"frame {number} sent, the log has {self._sent}")
        expected = self._expected[self._sent]
        wanted, got = _comparable(expected.frame), _comparable(frame)
        if self._sends == "order":
            wanted, got = wanted.get("type"), got.get("type")
        if wanted != got:
            raise ReplayDrift(
                f"frame {number} sent differs from record {expected.seq}: "
                f"{_first_difference(wanted, got)}"
            )

    async def frames(self) -> AsyncIterator[str | bytes]:
        """The received frames of the log, as they were."""
        sent_before = 0
        previous: float | None = None
        for record in self._records:
            if self._closed:
                return
            if record.dir == "out":
                sent_before += 1
            elif record.dir == "in" and record.src is None:
                await self._wait_for_sends(sent_before)
                previous = await self._wait_for_time(previous, record.at)
                yield record.frame
            elif isinstance(record.event, events.Disconnected):
                if not record.event.expected:
                    raise ConnectionLost(record.event.reason or "connection lost")
                return
        await self._wait_for_sends(sent_before)

    async def _wait_for_sends(self, count: int) -> None:
        while self._sent < count and self._sends != "ignore" and not self._closed:
            self._changed.clear()
            await self._changed.wait()

    async def _wait_for_time(
        self, previous: float | None, at: float | None
    ) -> float | None:
        if self._speed is not None and previous is not None and at is not None:
            await asyncio.sleep(max(0.0, at - previous) / self._speed)
        return at if at is not None else previous

    async def close(self) -> None:
        """End the frames."""
        self._closed = True
        self._changed.set()


def _comparable(frame: bytes | str) -> Any:
    fields = msgspec.json.decode(frame)
    if isinstance(fields, dict):
        fields.pop("event_id", None)
        item = fields.get("item")
        if isinstance(item, dict):
            item.pop("id", None)
        # A log has its audio left out.
        fields.pop("audio", None)
    return fields


def _first_difference(wanted: Any, got: Any, path: str = "$") -> str:
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in [*wanted, *(k for k in got if k not in wanted)]:
            if wanted.get(key) != got.get(key):
                return _first_difference(wanted.get(key), got.get(key), f"{path}.{key}")
    if isinstance(wanted, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(wanted, got, strict=False)):
            if one != other:
                return _first_difference(one, other, f"{path}[{index}]")
    return f"at {path}: recorded {_short(wanted)}, sent {_short(got)}"


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
