"""What a call gives while it connects: an answer to an offer, or a key."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from duologue.transports.errors import ConnectError, DuologueError, NotConnected

from ..pages.refusals import Refused, of_service

__all__ = ["outcome"]

_T = TypeVar("_T")


async def outcome(
    wanted: asyncio.Future[_T], calling: asyncio.Task[DuologueError | None]
) -> _T:
    """What is wanted of a call, unless the call ends before it gives that.

    A call that is cancelled before its first step, or that fails before its transport
    connects, gives nothing for ever. Raises `Refused`.
    """
    either: set[asyncio.Future[Any]] = {wanted, calling}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    try:
        if wanted.done():
            return wanted.result()
        error = None if calling.cancelled() else calling.result()
        raise error or ConnectError("the call was given up")
    except NotConnected:
        raise Refused(503, "closing", "the server is shutting down") from None
    except ConnectError as error:
        raise of_service(error) from None
