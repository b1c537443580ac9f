"""Live sessions over any transport, folded into one store."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self, cast

import attrs

from duologue.core import Session, Store
from duologue.core.config import SessionConfig
from duologue.core.effects.backoff import Backoff
from duologue.core.models import REALTIME

from ..clock import Clock, SystemClock, new_id
from ..contract import Transport
from ..errors import NotConnected
from ..http.credentials import Credentials, KeySource
from .connector import Connector, MakeTransport
from .live_session import LiveSession
from .tools import Spec, Tool

__all__ = ["DEFAULT_BASE_URL", "Client", "LiveSession"]

#: The real service.
DEFAULT_BASE_URL = "https://api.openai.com/v1"

_log = logging.getLogger("duologue")


class Client:
    """Runs sessions; an async context manager that closes them all at its end.

    ``credentials`` default to ``OPENAI_API_KEY``, ``base_url`` to ``OPENAI_BASE_URL``
    and then to the real service. ``backoff`` says how a lost connection is tried
    again, None that it is not. ``clock``, ``ids`` and ``chance`` (numbers from 0 to
    1) can be handed in for tests.
    """

    def __init__(
        self,
        *,
        credentials: KeySource | None = None,
        base_url: str | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        ids: Callable[[], str] | None = None,
        backoff: Backoff | None = Backoff(),  # noqa: B008 - frozen
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.credentials = credentials or Credentials.from_environment()
        url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
        self.base_url = url.rstrip("/")
        self.store = store or Store()
        self._clock = clock or SystemClock()
        self._ids = ids or new_id
        self._backoff = backoff
        self._chance = chance
        self._sessions: dict[str, LiveSession] = {}
        self._closed = False

    @property
    def sessions(self) -> Mapping[str, LiveSession]:
        """The sessions of this client by id, closed ones too until forgotten."""
        return MappingProxyType(self._sessions)

    def get_session(self, session_id: str) -> LiveSession:
        """The session of this id. Raises KeyError."""
        return self._sessions[session_id]

    async def start_session(
        self,
        config: SessionConfig | None = None,
        *,
        id: str | None = None,
        transport: Transport | MakeTransport | None = None,
        tools: Iterable[Tool | Spec | Callable[..., Any]] = (),
        timeout: float = 15.0,
    ) -> LiveSession:
        """Connect a new session; returns when frames go both ways.

        ``transport`` defaults to WebRTC without microphone and speaker; a function
        that makes one is called for each connection (if it gives a `record`, the log
        of the first one has the whole session). ``tools`` are run when the model
        calls them, beside those that ``config`` tells of. ``timeout`` in seconds is
        for all of the connecting; a transport that does not keep it is given up a
        second later. Raises a `ConnectError`, with the session left in the store as
        ``failed``; ValueError for an id in use, `NotConnected` once the client is
        closed, or the session while it connects.
        """
        if self._closed:
            raise NotConnected("this client is closed")
        if transport is None:
            from ..drivers.webrtc.webrtc_transport import webrtc

            transport = webrtc()
        made, make = _split(transport)
        # A recording has the time of its session, and goes on by itself.
        clock: Clock | None = getattr(made, "clock", None)
        session_id = id or self._id_for(made)
        if session_id in self._sessions:
            raise ValueError(f"a session {session_id!r} exists already")
        connector = Connector(
            transport=made,
            make=make if clock is None else None,
            base_url=self.base_url,
            keys=self.credentials,
            timeout=timeout,
            backoff=self._backoff,
            chance=self._chance,
        )
        session = LiveSession(session_id, self.store, clock or self._clock, connector)
        configuration = session._configure(default_config(config), tools)
        self._sessions[session_id] = session
        await session._open(configuration)
        return session

    def _id_for(self, transport: Transport | None) -> str:
        """An id that nobody has: that of a recording, or a new one."""
        recorded: str | None = getattr(transport, "session_id", None)
        return recorded if recorded and recorded not in self._sessions else self._ids()

    async def close_session(self, session_id: str) -> Session:
        """Close a session, take it out of the state, and return its last value.

        Those who call at the same time get the same. Raises KeyError.
        """
        session = self._sessions[session_id]
        await session.close()
        if self._sessions.get(session_id) is session:
            del self._sessions[session_id]
        session._forget()
        return session.state

    async def close(self) -> None:
        """Close all sessions at once. Their state stays in the store."""
        self._closed = True
        closing = (session.close() for session in list(self._sessions.values()))
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if result is not None and not isinstance(result, asyncio.CancelledError):
                _log.error("a session was not closed well", exc_info=result)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _split(
    transport: Transport | MakeTransport,
) -> tuple[Transport, MakeTransport | None]:
    """A first transport, and what makes more of them where that was given."""
    if callable(transport) and not hasattr(transport, "connect"):
        return transport(), transport
    return cast(Transport, transport), None


def default_config(config: SessionConfig | None = None) -> SessionConfig:
    """A configuration with its model.

    That which it names, that of ``DUOLOGUE_MODEL``, or that of the table of models.
    """
    config = config or SessionConfig()
    if config.model is not None:
        return config
    model = os.environ.get("DUOLOGUE_MODEL") or REALTIME
    return attrs.evolve(config, model=model)
