"""Waiting for what becomes of a session, and why it did not become more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from duologue.core import Session, SessionStatus, Transcript, select_final_transcripts

from ..errors import ConnectionLost, DuologueError

if TYPE_CHECKING:
    from .live_session import LiveSession

__all__ = ["OVER", "first_of", "lines", "wait", "why_not"]

#: What a session is when nothing can change any more.
OVER = (SessionStatus.CLOSED, SessionStatus.FAILED)


async def lines(session: LiveSession) -> AsyncIterator[Transcript]:
    """See `LiveSession.transcripts`."""
    found: asyncio.Queue[Transcript | None] = asyncio.Queue()
    for line in select_final_transcripts(session.state):
        found.put_nowait(line)

    def look(status: SessionStatus) -> None:
        if status in OVER:
            found.put_nowait(None)

    stops = (session.on("transcript", found.put_nowait), session.on("status", look))
    try:
        look(session.state.connection.status)
        while (next_line := await found.get()) is not None:
            yield next_line
    finally:
        for stop in stops:
            stop()


async def wait(
    session: LiveSession, predicate: Callable[[Session], bool], timeout: float | None
) -> Session:
    """See `LiveSession.until`; ``timeout`` in seconds."""
    found: asyncio.Future[Session] = asyncio.get_running_loop().create_future()

    def look(*_: object) -> None:
        if found.done():
            return
        if predicate(session.state):
            found.set_result(session.state)
        elif session.state.connection.status in OVER:
            reason = session.state.connection.reason or "it was closed"
            found.set_exception(
                ConnectionLost(f"the session {session.id} is over: {reason}")
            )

    stop = session._store.subscribe(look, session=session.id)
    try:
        look()
        return await asyncio.wait_for(found, timeout)
    finally:
        stop()


def why_not(error: BaseException) -> str:
    """Why a session did not open."""
    if isinstance(error, asyncio.CancelledError):
        return "interrupted while connecting"
    return str(error) if isinstance(error, DuologueError) else type(error).__name__


def first_of(error: Exception) -> BaseException:
    """What a group of errors began with."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
