"""A call that the browser places by itself: the page is what carries its events.

The page gets an ephemeral key, and reports what comes on its data channel; what we have
to say goes back to it on its feed. All that it reports is its own word, and marked so:
it can lie about its own session and about no other.
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
from ..pages.subscriber import Watcher

__all__ = ["Browser"]

#: Seconds that an ephemeral key lives.
LIFETIME = 60
#: Seconds that a page has to connect with it.
_PATIENCE = 60.0
#: Bytes of reports that may wait to be folded.
_WAITING_LIMIT = 4 << 20
#: Bytes of reports of one call: an hour of talk without a pause is a fraction of it.
_TOTAL = 32 << 20
#: Reports that are folded before others have their turn.
_AT_ONCE = 50


class Browser:
    """A `Transport`: the data channel of a page, at the far end of its feed.

    ``note`` records an event that the page sent by itself. ``user`` is the safety
    identifier of who calls.
    """

    src = "browser"

    def __init__(
        self, session_id: str, note: Callable[[str], None], *, user: str | None = None
    ) -> None:
        self.nonce = secrets.token_urlsafe(24)
        self._session_id = session_id
        self._note = note
        self._user = user
        #: The ephemeral key, or the `ConnectError` that there is in its place.
        self.key: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()
        # Whoever asked for it may have gone.
        self.key.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._page: Watcher | None = None
        self._changed = asyncio.Event()
        self._reports: deque[tuple[str, str]] = deque()
        self._size = 0
        #: Bytes that were reported in all.
        self._total = 0
        self._closed = False

    async def connect(self, target: Target) -> None:
        """Mint a key, and wait for the first that its page reports.

        Raises a `ConnectError`.
        """
        target = attrs.evolve(target, safety_identifier=self._user)
        try:
            self.key.set_result(await create_key(target, LIFETIME))
        except BaseException as error:
            known = isinstance(error, ConnectError)
            self.key.set_exception(error if known else ConnectError("given up"))
            raise
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._wait(lambda: bool(self._reports))
        except TimeoutError:
            said = f"the page did not connect within {_PATIENCE:g} s"
            raise ConnectTimeout(said) from None
        if self._closed:
            raise ConnectError("closed while connecting")

    def take(self, page: Watcher, nonce: str, reports: list[tuple[str, str]]) -> None:
        """What a page reports: the way and the frame of each. Raises `Refused`."""
        if not hmac.compare_digest(nonce.encode(), self.nonce.encode()):
            raise Refused(403, "wrong_nonce", "this page does not have the call")
        size = sum(len(frame.encode()) for _, frame in reports)
        self._size += size
        self._total += size
        if self._size > _WAITING_LIMIT or self._total > _TOTAL:
            self._closed = True
            self._wake()
            raise Refused(429, "too_many_reports", "the page reports too much")
        self._reports += reports
        self._page = page
        self._wake()

    def left(self, page: Watcher) -> None:
        """The page is gone; it may come back with another feed."""
        if self._page is page:
            self._page = None
            self._wake()

    async def send(self, frame: str) -> None:
        """Let the page send it; waits while its feed is cut, or while it does not read.

        Raises `NotConnected` after close.
        """
        await self._wait(lambda: self._page is not None)
        while not self._closed and (page := self._page) and not page.has_room:
            await self._until_read(page)
            await self._wait(lambda: self._page is not None)
        if self._closed or self._page is None:
            raise NotConnected("the page is gone")
        event: Any = msgspec.Raw(frame.encode())
        told = {"type": "send", "session": self._session_id, "event": event}
        self._page.tell(told)

    async def frames(self) -> AsyncIterator[str | bytes]:
        """What came on the page's data channel, as it says."""
        number = 0
        while True:
            await self._wait(lambda: bool(self._reports))
            if self._closed:
                return
            way, frame = self._reports.popleft()
            self._size -= len(frame.encode())
            if way == "in":
                yield frame
            else:
                self._note(frame)
            number += 1
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Take no more; the page closes its own end."""
        self._closed = True
        self._wake()

    async def _until_read(self, page: Watcher) -> None:
        """Wait until the page has read what it was told, or something else changed."""
        waits = [
            asyncio.ensure_future(page.room_for_more()),
            asyncio.ensure_future(self._changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _wait(self, ready: Callable[[], bool]) -> None:
        while not ready() and not self._closed:
            await self._changed.wait()

    def _wake(self) -> None:
        # Whoever waits looks again; a fresh event keeps the next wait from passing.
        self._changed.set()
        self._changed = asyncio.Event()
