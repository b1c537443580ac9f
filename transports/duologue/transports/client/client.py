"""The client: live sessions over any transport, in one store."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary, WeakValueDictionary

import attrs

from duologue.core import Session, Store, encode
from duologue.core.config import SessionConfig
from duologue.core.effects.backoff import Backoff, connect_policy
from duologue.core.effects.reseed import restored_items
from duologue.core.events import AnyItem, ConversationItemCreate

from ..clock import Clock, SystemClock, new_id
from ..contract import Following, KeySource, ProviderKeySource, Timed, Transport
from ..errors import DuologueError, NotConnected
from ..http.providers import OPENAI, Provider, find_provider
from .connector import Connector, MakeTransport
from .driver import Driver
from .live_session import LiveSession
from .session_records import SessionRecords
from .tools import Spec, Tool, Toolbox

__all__ = ["DEFAULT_BASE_URL", "Client", "LiveSession"]

#: The API of OpenAI.
DEFAULT_BASE_URL = str(OPENAI.base_url)

_log = logging.getLogger("duologue")


class Client:
    """Runs sessions. Use it as an async context manager, which closes all sessions.

    ``provider`` is a `Provider` or the name of one; by default that of
    ``DUOLOGUE_PROVIDER``, or OpenAI. ``credentials`` and ``base_url`` default to the
    variables of the provider, for example ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL``,
    and the URL then to the provider's default. ``backoff`` controls reconnects; None
    disables them. ``clock``, ``ids`` and ``chance`` (random numbers from 0 to 1) can be
    replaced in tests.

    Raises ValueError for an unknown provider, `SignallingError` for a blank base URL,
    or if there is none.
    """

    def __init__(
        self,
        *,
        credentials: KeySource | None = None,
        base_url: str | None = None,
        provider: Provider | str | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        ids: Callable[[], str] | None = None,
        backoff: Backoff | None = Backoff(),  # noqa: B008 - frozen
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.provider = find_provider(provider)
        self.base_url = self.provider.find_base_url(base_url)
        self.credentials = credentials or self.provider.credentials()
        if isinstance(self.credentials, ProviderKeySource):
            self.credentials = self.credentials.bind(self.provider)
        self.store = store or Store()
        self._clock = clock or SystemClock()
        self._ids = ids or new_id
        self._backoff = backoff
        self._chance = chance
        self._sessions: dict[str, LiveSession] = {}
        self._records: dict[str, SessionRecords] = {}
        self._closed = False

    @property
    def sessions(self) -> Mapping[str, LiveSession]:
        """The sessions by id. A closed one stays here until `close_session`."""
        return MappingProxyType(self._sessions)

    def get_session(self, session_id: str) -> LiveSession:
        """The session with this id. Raises KeyError."""
        return self._sessions[session_id]

    async def start_session(
        self,
        config: SessionConfig | None = None,
        *,
        id: str | None = None,
        transport: Transport | MakeTransport | None = None,
        tools: Iterable[Tool | Spec | Callable[..., Any]] = (),
        history: Session | Iterable[AnyItem] = (),
        timeout: float = 15.0,
    ) -> LiveSession:
        """Connect a session; return when it can send and receive frames.

        ``id`` may be that of a session of the store that is not open, for example of a
        loaded snapshot. That session goes on: its next connection gets its
        configuration and its conversation. A ``config`` replaces the configuration; a
        `SessionConfig.changing` changes some fields only. A new session can begin with
        the ``history`` of another one, or with items of your own: these get new ids.

        ``transport`` defaults to WebRTC without microphone and speaker. You can also
        pass a function that makes a transport; it is called for each connection. (If it
        returns recordings, see `record`, the first one writes the log of the whole
        session.) ``tools`` are added to those of ``config`` and run when the model
        calls them. ``timeout`` (seconds) limits the whole connect; a transport that
        exceeds it is cancelled one second later. Raises a `ConnectError`, and the
        session stays in the store as ``failed``; ValueError for the id of an open
        session, and for an invalid configuration or item; `NotConnected` if the client
        is closed, or the session is closed while it connects.
        """
        if self._closed:
            raise NotConnected("this client is closed")
        if transport is None:
            from ..drivers.webrtc.webrtc_transport import webrtc

            transport = webrtc()
        made, make = _split(transport)
        recorded = made if isinstance(made, Timed) else None
        clock = recorded.clock if recorded is not None else None
        session_id = id or self._new_id(recorded)
        # A session of any client of this store.
        earlier = _records_of(self.store).get(session_id)
        if earlier is not None and earlier.is_over:
            await earlier.close()
        if session_id in _open_ids(self.store):
            raise ValueError(f"the session {session_id!r} is open")
        created = _created(history)
        connector = Connector(
            transport=made,
            # A replay makes its own next transport.
            make=make if clock is None else None,
            base_url=self.base_url,
            provider=self.provider,
            keys=self.credentials,
            chance=partial(self._chance_of, made),
        )
        records = SessionRecords(session_id, self.store, clock or self._clock, made)
        driver = Driver(records, connector)
        toolbox = Toolbox(driver.spawn, records.note, driver.put)
        if config is None and self.store.session(session_id) is not None:
            config = SessionConfig.changing()
        config = default_config(config, self.provider)
        update = toolbox.configure(config, tools).to_session()
        if earlier is not None:
            earlier.retire()
        session = LiveSession(records, driver, toolbox)
        self._sessions[session_id], self._records[session_id] = session, records
        records.close = driver.close
        _records_of(self.store)[session_id] = records
        _open_ids(self.store).add(session_id)
        driver.on_end = partial(_open_ids(self.store).discard, session_id)
        policy = connect_policy(self._backoff, timeout)
        await driver.start(policy, update)
        try:
            for event in created:
                await driver.put(event)
        except BaseException:
            # The caller never gets this session, so it could not close it.
            await session.close()
            raise
        return session

    def _chance_of(self, transport: Transport) -> float:
        """A random number, or that of the recording."""
        found = transport.chance() if isinstance(transport, Following) else None
        return self._chance() if found is None else found

    def _new_id(self, recorded: Timed | None) -> str:
        """The id of the recording, or else a new unused id."""
        found = recorded.session_id if recorded is not None else None
        return found if found and found not in self._sessions else self._ids()

    async def close_session(self, session_id: str) -> Session:
        """Close a session, remove it from the store, and return its last value.

        Concurrent calls return the same value. Raises KeyError.
        """
        session, records = self._sessions[session_id], self._records[session_id]
        await session.close()
        if self._sessions.get(session_id) is session:
            del self._sessions[session_id], self._records[session_id]
        records.forget()
        return session.state

    async def close(self) -> None:
        """Close all sessions concurrently. Their state stays in the store."""
        self._closed = True
        closing = (session.close() for session in list(self._sessions.values()))
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if result is not None and not isinstance(result, asyncio.CancelledError):
                _log.error("closing a session failed", exc_info=result)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


#: The ids of the sessions that the clients of a store run.
_OPEN: WeakKeyDictionary[Store, set[str]] = WeakKeyDictionary()


def _open_ids(store: Store) -> set[str]:
    return _OPEN.setdefault(store, set())


#: The latest records of each session of a store, by the session's id.
_RECORDS: WeakKeyDictionary[Store, WeakValueDictionary[str, SessionRecords]] = (
    WeakKeyDictionary()
)


def _records_of(store: Store) -> WeakValueDictionary[str, SessionRecords]:
    return _RECORDS.setdefault(store, WeakValueDictionary())


def _created(history: Session | Iterable[AnyItem]) -> list[ConversationItemCreate]:
    """The events that create the items. Raises ValueError, with the item's index."""
    created: list[ConversationItemCreate] = []
    for index, event in enumerate(restored_items(history)):
        try:
            encode(event)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"history item {index} is not valid Unicode: {error.reason}"
            ) from None
        created.append(event)
    return created


def _split(
    transport: Transport | MakeTransport,
) -> tuple[Transport, MakeTransport | None]:
    """The first transport, and the function that makes transports, if one was given."""
    if callable(transport) and not isinstance(transport, Transport):
        return transport(), transport
    # An incomplete transport fails later, with the name of the missing method.
    return transport, None


def default_config(
    config: SessionConfig | None = None, provider: Provider = OPENAI
) -> SessionConfig:
    """A configuration with a model.

    The model comes from ``config``, else from the environment variable
    ``DUOLOGUE_MODEL``, else from the provider. Raises `DuologueError` if the provider
    has no default model.
    """
    config = config or SessionConfig()
    if config.model is not None:
        return config
    model = os.environ.get("DUOLOGUE_MODEL") or provider.model
    if model is None:
        raise DuologueError(
            f"the provider {provider.name} has no default model: name a model "
            "(for Azure, your deployment), or set DUOLOGUE_MODEL"
        )
    return attrs.evolve(config, model=model)
