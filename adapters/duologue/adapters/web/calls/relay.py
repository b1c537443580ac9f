"""A call of a browser: its offer goes to the service with the key, we join by sideband.

For the session it is a transport like any other. Its connection is the call: to close
it is to hang up, and where the call cannot be watched there is none.
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
#: Seconds that a hang-up may take.
_HANG_UP = 5.0
#: The HTTP status of a call that is not there any more.
_NO_CALL = 404
#: How a sideband that was lost is joined again, while the call goes on.
_REJOIN = Backoff(patience=10.0)


class Relay:
    """A `Transport`: the call that ``offer`` asks for, seen from its sideband.

    ``user`` is the safety identifier of who calls.
    """

    src = "sideband"

    def __init__(self, offer: str, *, user: str | None = None) -> None:
        self._offer = offer
        self._user = user
        self._target: Target | None = None
        self._sideband: Transport | None = None
        #: Set while the sideband stands, and for good once the call is over.
        self._standing = asyncio.Event()
        #: The service's SDP answer, or the `ConnectError` that there is in its place.
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        # Whoever asked for it may have gone.
        self.answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._report: Report = lambda frame, way: None
        self._ending: asyncio.Task[None] | None = None
        self.call_id: str | None = None

    def report_to(self, report: Report) -> None:
        """See `seam.Reporting`: the configuration, and what was missed."""
        self._report = report

    async def connect(self, target: Target) -> None:
        """Place the call and join it. Raises a `ConnectError`; then it is hung up."""
        self._target = target = attrs.evolve(target, safety_identifier=self._user)
        try:
            made = await create_call(target, self._offer)
            if made.call_id is None:
                raise SignallingError(
                    "the service gave the call no id, so it cannot be watched"
                )
            self.call_id = made.call_id
            self.answer.set_result(made.sdp)
            await self._join(made.call_id, target)
            await self._configure(target)
        except BaseException as error:
            await self.close()
            if not self.answer.done():
                known = isinstance(error, ConnectError)
                self.answer.set_exception(
                    error if known else ConnectError("the call was given up")
                )
            raise

    async def _join(self, call_id: str, target: Target) -> None:
        sideband = websocket(call_id=call_id)
        await sideband.connect(target)
        self._sideband = sideband
        self._standing.set()

    async def _configure(self, target: Target) -> None:
        """Ask for the configuration again: the answer to it says what is in force.

        A sideband is not told what the session began with.
        """
        session = {name: target.session[name] for name in target.session}
        session.pop("model", None)
        update = {"type": "session.update", "event_id": "configuration"}
        told = msgspec.json.encode({**update, "session": session}, enc_hook=dict)
        self._report(told.decode(), "out")
        await self.send(told.decode())

    async def send(self, frame: str) -> None:
        """Send on the sideband; waits while it is joined again.

        Raises `NotConnected` after close.
        """
        while True:
            await self._standing.wait()
            if self._sideband is None or self._ending is not None:
                raise NotConnected("the call is over")
            try:
                await self._sideband.send(frame)
            except NotConnected:
                if not self._standing.is_set():
                    continue
                # Its reader will see the same, and join again or end.
                self._standing.clear()
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
                if self._ending is not None or not is_recoverable(error.code):
                    raise
                self._standing.clear()
                await self._join_again(error)

    async def _join_again(self, lost: ConnectionLost) -> None:
        """Another sideband of the same call. What happened meanwhile is not known."""
        missing = events.Gap(reason=f"the sideband was lost: {lost}")
        self._report(encode(missing).decode(), "local")
        loop = asyncio.get_running_loop()
        until, attempt = loop.time() + _REJOIN.patience, 0
        while self.call_id is not None and self._target is not None:
            attempt += 1
            try:
                await self._join(self.call_id, self._target)
                return
            except ConnectError as error:
                wait = _REJOIN.delay(attempt, random.random())
                over = getattr(error, "status", None) == _NO_CALL
                if over or loop.time() + wait > until:
                    raise lost from error
            await asyncio.sleep(wait)
        raise lost

    async def close(self) -> None:
        """Hang up, whoever ended it: a call that is over is not there to be refused.

        Idempotent; a service that cannot be told is left to notice.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
            self._standing.set()
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        call_id, self.call_id = self.call_id, None
        if call_id is not None and self._target is not None:
            try:
                target = attrs.evolve(self._target, timeout=_HANG_UP)
                await hang_up(target, call_id)
            except DuologueError as error:
                _log.warning("a call was not hung up: %s", error)
        if self._sideband is not None:
            await self._sideband.close()
