"""The transport of a direct call: the page itself calls the service (``direct``).

The page gets an ephemeral key and reports the events of its data channel over its feed;
the server sends events to the service through the same feed. Reports cannot be trusted:
a page can forge events, but only those of its own session.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import msgspec

from duologue.transports.contract import Target
from duologue.transports.errors import ConnectError, ConnectTimeout, NotConnected
from duologue.transports.http.credentials import Secret
from duologue.transports.http.signalling import create_key

from ..pages.refusals import Refused
from ..pages.subscriber import Subscriber

__all__ = ["KEY_LIFETIME", "PageTransport"]

#: Lifetime of an ephemeral key in seconds.
KEY_LIFETIME = 60
#: Seconds to wait for the first report of the page, after the key was created.
_CONNECT_TIMEOUT = 60.0
#: The most bytes of reports in the queue.
_QUEUE_LIMIT = 4 << 20
#: The most bytes of reports in one call; an hour of speech needs far fewer.
_CALL_LIMIT = 32 << 20
#: Reports that are folded before the event loop runs other tasks.
_BATCH = 50


class PageTransport:
    """A `Transport` over the data channel of a page.

    ``record_sent`` records an event that the page itself sent to the service. ``user``
    is the safety identifier of the caller.
    """

    src = "browser"

    def __init__(
        self,
        session_id: str,
        record_sent: Callable[[str], None],
        *,
        user: str | None = None,
    ) -> None:
        self.nonce = secrets.token_urlsafe(24)
        self._session_id = session_id
        self._record_sent = record_sent
        self._user = user
        #: The ephemeral key.
        self.key: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()
        self._page: Subscriber | None = None
        self._changed = asyncio.Event()
        self._reports: deque[tuple[str, str]] = deque()
        #: Bytes in the queue, and in all reports of the call.
        self._size = self._total = 0
        self._closed = False

    async def connect(self, target: Target) -> None:
        """Create a key and wait for the first report. Raises a `ConnectError`."""
        target = attrs.evolve(target, safety_identifier=self._user)
        self.key.set_result(await create_key(target, KEY_LIFETIME))
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await self._wait(lambda: bool(self._reports))
        except TimeoutError:
            message = f"the page did not connect within {_CONNECT_TIMEOUT:g} s"
            raise ConnectTimeout(message) from None
        if self._closed:
            raise ConnectError("closed while connecting")

    def receive(
        self, page: Subscriber, nonce: str, reports: list[tuple[str, str]]
    ) -> None:
        """Queue reports: direction and frame of each. Raises `Refused`."""
        if not hmac.compare_digest(nonce.encode(), self.nonce.encode()):
            raise Refused(403, "wrong_nonce", "the nonce is not that of this call")
        size = sum(len(frame.encode()) for _, frame in reports)
        self._size += size
        self._total += size
        if self._size > _QUEUE_LIMIT or self._total > _CALL_LIMIT:
            self._closed = True
            self._wake()
            raise Refused(429, "too_many_reports", "the reports exceed their limit")
        self._reports += reports
        self._page = page
        self._wake()

    def page_left(self, page: Subscriber) -> None:
        """Forget the page's feed. The page can reconnect with another one."""
        if self._page is page:
            self._page = None
            self._wake()

    async def send(self, frame: str) -> None:
        """Send through the page; wait while it is disconnected or reads too slowly.

        Raises `NotConnected` after close.
        """
        await self._wait(lambda: self._page is not None)
        while not self._closed and (page := self._page) and not page.is_drained:
            await self._wait_drained(page)
            await self._wait(lambda: self._page is not None)
        if self._closed or self._page is None:
            raise NotConnected("the call of the page is closed")
        event: Any = msgspec.Raw(frame.encode())
        self._page.reply({"type": "send", "session": self._session_id, "event": event})

    async def frames(self) -> AsyncIterator[str | bytes]:
        """The events that the page reports as received from the service."""
        number = 0
        while True:
            await self._wait(lambda: bool(self._reports))
            if self._closed:
                return
            direction, frame = self._reports.popleft()
            self._size -= len(frame.encode())
            if direction == "in":
                yield frame
            else:
                self._record_sent(frame)
            number += 1
            if number % _BATCH == 0:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop receiving. The page itself closes the call."""
        self._closed = True
        self._wake()

    async def _wait_drained(self, page: Subscriber) -> None:
        """Wait until the page has read its replies, or until `_changed` is set."""
        waits = [
            asyncio.ensure_future(page.wait_drained()),
            asyncio.ensure_future(self._changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _wait(self, is_ready: Callable[[], bool]) -> None:
        while not is_ready() and not self._closed:
            await self._changed.wait()

    def _wake(self) -> None:
        # A new event, because waiters may have to wait again.
        self._changed.set()
        self._changed = asyncio.Event()
