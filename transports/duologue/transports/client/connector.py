"""Makes the connections of one session: for each a transport and a key of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from duologue.core.effects.backoff import Backoff, is_worth_repeating

from ..contract import Target, Transport
from ..errors import (
    AuthenticationError,
    ConnectError,
    ConnectTimeout,
    DuologueError,
    SignallingError,
)
from ..http.credentials import KeySource

__all__ = ["Connector", "MakeTransport", "is_worth_it"]

#: Gives a transport that was not used yet.
MakeTransport = Callable[[], Transport]

#: Attempts of a first connection that the service puts off (429, 5xx).
_FIRST_ATTEMPTS = 3
#: Seconds after its time at which a transport that keeps none is given up.
_LATE = 1.0
#: The HTTP status of a key that is not good, or no longer.
_UNAUTHORIZED = 401


@attrs.define(kw_only=True)
class Connector:
    """What the connections of a session have in common.

    ``transport`` is the first, then the last. ``make`` gives others; where there is
    none, the one at hand may have ``again``, which gives a fresh one like it.
    ``prepare`` gets each transport before it connects.
    """

    transport: Transport
    make: MakeTransport | None
    base_url: str
    keys: KeySource
    #: Seconds.
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

        All of it has ``timeout`` seconds, the fetching of a key too. Raises a
        `ConnectError`; then it is closed. A key that was minted may have expired on
        the way: a new one is minted, once, where the connection gets a 401.
        """
        try:
            async with asyncio.timeout(timeout + _LATE):
                return await self._with_key(transport, session, _now() + timeout)
        except TimeoutError:
            raise ConnectTimeout(f"no connection within {timeout:.3g} s") from None

    async def _with_key(
        self, transport: Transport, session: Mapping[str, Any], ends: float
    ) -> Transport:
        target = await self._target(transport, session, ends)
        try:
            await self._connect(transport, target)
        except AuthenticationError as error:
            is_old = self.keys.renews and error.status == _UNAUTHORIZED
            another = self.next() if is_old else None
            if another is None:
                raise
            target = await self._target(another, session, ends)
            await self._connect(another, target)
            return another
        return transport

    async def _target(
        self, transport: Transport, session: Mapping[str, Any], ends: float
    ) -> Target:
        """Where to connect it to, with a key. It is closed if there is none."""
        self.transport = transport
        left = max(0.1, ends - _now())
        try:
            key = await self.keys.fetch(self.base_url, session, left)
        except BaseException:
            await transport.close()
            raise
        return Target(
            base_url=self.base_url,
            credentials=key,
            session=session,
            timeout=max(0.1, ends - _now()),
        )

    async def _connect(self, transport: Transport, target: Target) -> None:
        self.prepare(transport)
        try:
            await transport.connect(target)
        except BaseException:
            await transport.close()
            raise

    async def first(self, session: Mapping[str, Any]) -> Transport:
        """The first connection, within ``timeout`` seconds.

        A service that is busy is asked again, two times at most. Raises a
        `ConnectError`.
        """
        transport = self.transport
        ends, attempt = _now() + self.timeout, 1
        while True:
            try:
                return await self.connect(transport, session, max(0.1, ends - _now()))
            except SignallingError as error:
                another = self._another(error, attempt)
                if another is None or self.backoff is None:
                    raise
                wait = self.backoff.delay(attempt, self.chance(), error.retry_after)
                if _now() + wait >= ends:
                    raise
            transport, attempt = another, attempt + 1
            await asyncio.sleep(wait)

    def _another(self, error: SignallingError, attempt: int) -> Transport | None:
        if error.status is None or not is_worth_repeating(error.status):
            return None
        return self.next() if attempt < _FIRST_ATTEMPTS else None


def _now() -> float:
    return asyncio.get_running_loop().time()


def is_worth_it(error: DuologueError) -> bool:
    """Whether the same connection may succeed when it is tried later."""
    if isinstance(error, SignallingError):
        return is_worth_repeating(error.status)
    return isinstance(error, ConnectError | ConnectTimeout)
