"""Makes the connections of one session, each with a new transport and key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from duologue.core.effects.backoff import Backoff, is_worth_repeating

from ..contract import KeySource, Repeatable, Target, Transport
from ..errors import (
    AuthenticationError,
    ConnectError,
    ConnectTimeout,
    DuologueError,
    SignallingError,
)

__all__ = ["Connector", "MakeTransport", "is_retryable"]

#: Makes an unused transport.
MakeTransport = Callable[[], Transport]

#: Maximum attempts at the first connection if the service is busy (429, 5xx).
_FIRST_ATTEMPTS = 3
#: Seconds after which a transport that ignores its timeout is cancelled.
_LATE = 1.0
#: The HTTP status of an invalid or expired key.
_UNAUTHORIZED = 401


@attrs.define(kw_only=True)
class Connector:
    """The options that all connections of a session share.

    ``transport`` is the latest transport. ``make`` creates the next one; without
    ``make`` the latest transport does, if it is `Repeatable`. ``prepare`` is called
    with each transport before it connects.
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
    _spare: Transport | None = attrs.field(default=None, init=False)

    @property
    def has_next(self) -> bool:
        """Whether another connection is possible and wanted."""
        if self.backoff is None:
            return False
        if self.make is None and self._spare is None:
            self._spare = self._repeat()
        return self.make is not None or self._spare is not None

    def next(self) -> Transport | None:
        """The transport for the next connection; None if none is possible."""
        if self.make is not None:
            following: Transport | None = self.make()
        else:
            following, self._spare = self._spare or self._repeat(), None
        if following is not None:
            self.transport = following
        return following

    def _repeat(self) -> Transport | None:
        transport = self.transport
        return transport.again() if isinstance(transport, Repeatable) else None

    async def connect(
        self, transport: Transport, session: Mapping[str, Any], timeout: float
    ) -> Transport:
        """Connect this transport, or the next one with a new key after a 401.

        ``timeout`` (seconds) includes fetching the key. An ephemeral key may expire
        before it is used, so after a 401, a key source that renews supplies another
        key. Raises a `ConnectError`; the transport is then closed.
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
        """Fetch a key for this transport; close the transport if that fails."""
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
        """Make the first connection within ``timeout`` seconds.

        Repeats the attempt at most twice if the service is busy. Raises a
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


def is_retryable(error: DuologueError) -> bool:
    """Whether a later attempt may succeed."""
    if isinstance(error, SignallingError):
        return is_worth_repeating(error.status)
    return isinstance(error, ConnectError | ConnectTimeout)
