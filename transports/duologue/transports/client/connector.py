"""Makes the connections of one session, each with a new transport and key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from duologue.core.effects.commands import Connect
from duologue.core.events import ConnectFailed

from ..contract import KeySource, Repeatable, Target, Transport
from ..errors import ConnectError, ConnectTimeout, DuologueError, SignallingError
from ..http.providers import Provider

__all__ = ["Connector", "MakeTransport"]

#: Makes an unused transport.
MakeTransport = Callable[[], Transport]

#: Seconds after which a transport that ignores its timeout is cancelled.
_LATE = 1.0
#: The shortest timeout of a transport, in seconds, even after a slow key.
_SHORTEST = 0.1


@attrs.define(kw_only=True)
class Connector:
    """The options that all connections of a session share.

    ``transport`` is the latest transport. ``make`` creates the next one; without
    ``make`` the latest transport does, if it is `Repeatable`. ``chance`` gives random
    numbers from 0 to 1.
    """

    transport: Transport
    make: MakeTransport | None
    base_url: str
    provider: Provider
    keys: KeySource
    chance: Callable[[], float]
    _is_used: bool = attrs.field(default=False, init=False)
    _spare: Transport | None = attrs.field(default=None, init=False)
    #: Whether the last attempt failed before it had a key.
    _has_no_key: bool = attrs.field(default=False, init=False)

    @property
    def can_repeat(self) -> bool:
        """Whether another transport can be made."""
        if self.make is None and self._spare is None:
            transport = self.transport
            again = transport.again() if isinstance(transport, Repeatable) else None
            self._spare = again
        return self.make is not None or self._spare is not None

    def _next(self) -> Transport:
        """The transport of the next attempt."""
        if self._is_used:
            if not self.can_repeat:
                raise DuologueError("this transport cannot be made again")
            spare, self._spare = self._spare, None
            made = self.make() if self.make is not None else spare
            assert made is not None
            self.transport = made
        self._is_used = True
        return self.transport

    async def connect(
        self,
        session: Mapping[str, Any],
        timeout: float,
        prepare: Callable[[Transport], None],
    ) -> Transport:
        """Make the next transport, call ``prepare`` with it, and connect it.

        ``timeout`` (seconds) includes fetching the key. Raises a `ConnectError`; the
        transport is then closed.
        """
        transport = self._next()
        try:
            async with asyncio.timeout(timeout + _LATE):
                ends = _now() + timeout
                self._has_no_key = True
                key = await self.keys.fetch(self.base_url, session, timeout)
                self._has_no_key = False
                prepare(transport)
                await transport.connect(
                    Target(
                        base_url=self.base_url,
                        credentials=key,
                        session=session,
                        timeout=max(_SHORTEST, ends - _now()),
                        provider=self.provider,
                    )
                )
        except TimeoutError:
            await transport.close()
            raise ConnectTimeout(f"no connection within {timeout:.3g} s") from None
        except BaseException:
            await transport.close()
            raise
        return transport

    def failure(self, command: Connect, error: Exception) -> ConnectFailed:
        """The fact that an attempt has failed with this error."""
        is_ours = isinstance(error, DuologueError)
        return command.failed(
            str(error) if is_ours else type(error).__name__,
            stage="key" if self._has_no_key else "connect",
            status=error.status if isinstance(error, SignallingError) else None,
            retry_after=error.retry_after if isinstance(error, ConnectError) else None,
            renews=self.keys.renews,
            can_repeat=isinstance(error, ConnectError) and self.can_repeat,
            chance=self.chance(),
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
