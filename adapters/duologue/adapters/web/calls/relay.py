"""The transport of a relayed call: the server posts the SDP offer of the page.

The request has the API key of the server. Audio flows directly between browser and
service. The server joins the call over a sideband. If it cannot, it hangs up, because
it must observe every call.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator

import attrs
import msgspec

from duologue.core import Backoff, encode, events
from duologue.core.effects.backoff import is_recoverable
from duologue.transports import websocket
from duologue.transports.contract import Report, Target, Transport
from duologue.transports.errors import (
    ConnectError,
    ConnectionLost,
    DuologueError,
    NotConnected,
    SignallingError,
)
from duologue.transports.http.signalling import create_call, hang_up

__all__ = ["Relay"]

_log = logging.getLogger("duologue.web")
#: Timeout of a hang-up in seconds.
_HANG_UP_TIMEOUT = 5.0
#: The HTTP status for a call that no longer exists.
_NO_CALL = 404
#: Back-off between attempts to reconnect a lost sideband.
_REJOIN = Backoff(patience=10.0)


class Relay:
    """A `Transport` for the call that ``offer`` (SDP) opens, over its sideband.

    ``user`` is the safety identifier of the caller. `close` hangs up the call.
    """

    src = "sideband"

    def __init__(self, offer: str, *, user: str | None = None) -> None:
        self._offer = offer
        self._user = user
        self._target: Target | None = None
        self._sideband: Transport | None = None
        #: Set while the sideband is connected, and once the call is over.
        self._ready = asyncio.Event()
        #: The service's SDP answer.
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._report: Report = lambda frame, way: None
        self._closing: asyncio.Task[None] | None = None
        self.call_id: str | None = None

    def report_to(self, report: Report) -> None:
        """Report the ``session.update`` of `connect`, and gaps: see `Reporting`."""
        self._report = report

    async def connect(self, target: Target) -> None:
        """Open the call and join it. Raises a `ConnectError`, after hanging up."""
        self._target = target = attrs.evolve(target, safety_identifier=self._user)
        try:
            made = await create_call(target, self._offer)
            if made.call_id is None:
                raise SignallingError(
                    "the service gave the call no id, so no sideband can join it"
                )
            self.call_id = made.call_id
            self.answer.set_result(made.sdp)
            await self._join(made.call_id, target)
            await self._configure(target)
        except BaseException:
            await self.close()
            raise

    async def _join(self, call_id: str, target: Target) -> None:
        sideband = websocket(call_id=call_id)
        await sideband.connect(target)
        self._sideband = sideband
        self._ready.set()

    async def _configure(self, target: Target) -> None:
        """Send the configuration again, so that the sideband gets a confirmation.

        A sideband does not receive the ``session.created`` of its call.
        """
        session = {name: target.session[name] for name in target.session}
        session.pop("model", None)
        update = {"type": "session.update", "event_id": "configuration"}
        frame = msgspec.json.encode({**update, "session": session}, enc_hook=dict)
        self._report(frame.decode(), "out")
        await self.send(frame.decode())

    async def send(self, frame: str) -> None:
        """Send on the sideband; wait while it reconnects.

        Raises `NotConnected` after close.
        """
        while True:
            await self._ready.wait()
            if self._sideband is None or self._closing is not None:
                raise NotConnected("the call is over")
            try:
                await self._sideband.send(frame)
            except NotConnected:
                # `frames` detects the loss too, and reconnects or ends.
                self._ready.clear()
            else:
                return

    async def frames(self) -> AsyncIterator[str | bytes]:
        """The events of the call, until the service ends it."""
        while self._sideband is not None:
            try:
                async for frame in self._sideband.frames():
                    yield frame
                break
            except ConnectionLost as error:
                if self._closing is not None or not is_recoverable(error.code):
                    raise
                self._ready.clear()
                await self._rejoin(error)

    async def _rejoin(self, lost: ConnectionLost) -> None:
        """Reconnect the sideband, or raise ``lost``. Events in between are missed."""
        gap = events.Gap(reason=f"the sideband was lost: {lost}")
        self._report(encode(gap).decode(), "local")
        loop = asyncio.get_running_loop()
        deadline, attempt = loop.time() + _REJOIN.patience, 0
        while self.call_id is not None and self._target is not None:
            attempt += 1
            try:
                await self._join(self.call_id, self._target)
                return
            except ConnectError as error:
                wait = _REJOIN.delay(attempt, random.random())
                status = error.status if isinstance(error, SignallingError) else None
                if status == _NO_CALL or loop.time() + wait > deadline:
                    raise lost from error
            await asyncio.sleep(wait)
        raise lost

    async def close(self) -> None:
        """Hang up and close the sideband. Idempotent; a failure is logged."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._hang_up())
            self._ready.set()
        await asyncio.shield(self._closing)

    async def _hang_up(self) -> None:
        call_id, self.call_id = self.call_id, None
        if call_id is not None and self._target is not None:
            try:
                target = attrs.evolve(self._target, timeout=_HANG_UP_TIMEOUT)
                await hang_up(target, call_id)
            except DuologueError as error:
                _log.warning("a call was not hung up: %s", error)
        if self._sideband is not None:
            await self._sideband.close()
