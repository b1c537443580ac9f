"""Makes the connections of one session: for each a transport and a key of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from duologue.core.reconnecting import Backoff, is_worth_repeating

from .credentials import KeySource
from .errors import (
    AuthenticationError,
    ConnectError,
    ConnectTimeout,
    DuologueError,
    SignallingError,
)
from .seam import Target, Transport

__all__ = ["Connector", "MakeTransport", "is_worth_it"]

#: Gives a transport that was not used yet.
MakeTransport = Callable[[], Transport]

#: Attempts of a first connection that the service puts off (429, 5xx).
_FIRST_ATTEMPTS = 3


@attrs.define(kw_only=True)
class Connector:
    """What the connections of a session have in common.

    ``make`` gives transports; where there is none, the ``transport`` at hand may have
    ``again``, which gives a fresh one like it. ``prepare`` gets each transport before
    it connects.
    """

    transport: Transport | None
    make: MakeTransport | None
    base_url: str
    keys: KeySource
    timeout: float
    backoff: Backoff | None
    chance: Callable[[], float]
    prepare: Callable[[Transport], None] = lambda transport: None

    @property
    def has_next(self) -> bool:
        """Whether another connection can be made, and is wanted."""
        return self.backoff is not None and self._maker() is not None

    def next(self) -> Transport | None:
        """The next transport; None where there can be no other."""
        make = self._maker()
        if make is None:
            return None
        self.transport = make()
        return self.transport

    def _maker(self) -> MakeTransport | None:
        return self.make or getattr(self.transport, "again", None)

    async def connect(
        self, transport: Transport, session: Mapping[str, Any], timeout: float
    ) -> Transport:
        """Connect it, or one like it where the key was refused for its age.

        Raises a `ConnectError`; then it is closed. A key that was minted may have
        expired on the way: a new one is minted, once (HTTP 401).
        """
        try:
            return await self._connect(transport, session, timeout)
        except AuthenticationError:
            another = self.next() if self.keys.renews else None
            if another is None:
                raise
            return await self._connect(another, session, timeout)

    async def _connect(
        self, transport: Transport, session: Mapping[str, Any], timeout: float
    ) -> Transport:
        self.transport = transport
        self.prepare(transport)
        try:
            target = Target(
                base_url=self.base_url,
                credentials=await self.keys.fetch(self.base_url, session, timeout),
                session=session,
                timeout=timeout,
            )
            await transport.connect(target)
        except BaseException:
            await transport.close()
            raise
        return transport

    async def first(self, session: Mapping[str, Any]) -> Transport:
        """The first connection, within ``timeout`` seconds.

        A service that is busy is asked again, two times at most. Raises a
        `ConnectError`.
        """
        transport = self.transport or self.next()
        assert transport is not None
        loop = asyncio.get_running_loop()
        ends, attempt = loop.time() + self.timeout, 1
        while True:
            try:
                return await self.connect(
                    transport, session, max(0.1, ends - loop.time())
                )
            except SignallingError as error:
                another = self._another(error, attempt)
                if another is None or self.backoff is None:
                    raise
                wait = self.backoff.delay(attempt, self.chance(), error.retry_after)
                if loop.time() + wait >= ends:
                    raise
            transport, attempt = another, attempt + 1
            await asyncio.sleep(wait)

    def _another(self, error: SignallingError, attempt: int) -> Transport | None:
        if error.status is None or not is_worth_repeating(error.status):
            return None
        return self.next() if attempt < _FIRST_ATTEMPTS else None


def is_worth_it(error: DuologueError) -> bool:
    """Whether the same connection may succeed when it is tried later."""
    if isinstance(error, SignallingError):
        return is_worth_repeating(error.status)
    return isinstance(error, ConnectError | ConnectTimeout)
