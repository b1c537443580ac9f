"""The local service on a port."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from ..components import Parts, built_in
from ..engine.audio_buffers import MOST_FRAME
from ..engine.settings import EngineOptions
from ..faults.injector import NO_FAULTS, Faults
from ..interfaces import SynthesiserError
from .calls import Calls
from .capacity import Capacity
from .http_app import application
from .http_errors import HttpError, ScriptedFailures
from .keys import Keys
from .listener import Http, ListenError, authority, listen, running
from .origin_guard import OriginGuard
from .session_factory import SessionFactory
from .session_runner import wall_clock
from .websocket import WebSocketApp

__all__ = ["LocalService", "ServiceError"]

#: The value of the header ``Server``.
_NAME = "duologue-local"
_log = logging.getLogger(__name__)


class ServiceError(ListenError):
    """The service cannot start; the message gives the reason and the remedy."""


class LocalService:
    """The local Realtime service; it runs while its context is entered.

    ``port`` 0 selects a free port. Without ``key`` every key is accepted; an empty key
    raises `ServiceError`. Without ``parts`` the service uses, and closes, the parts of
    `built_in`. ``max_listening`` is the maximum number of sessions that it listens to
    at a time; the default depends on the number of cores. ``allow_origins`` are page
    origins with full access (see `origin_guard`); an invalid one raises `ServiceError`.
    ``fail`` contains HTTP statuses for the next requests; 200 lets a request succeed.
    ``faults`` are injected into the sessions.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str | None = None,
        *,
        parts: Parts | None = None,
        options: EngineOptions | None = None,
        max_listening: int | None = None,
        allow_origins: Iterable[str] = (),
        fail: Iterable[int] = (),
        faults: Faults = NO_FAULTS,
    ) -> None:
        if key is not None and not key.strip():
            raise ServiceError(
                "the key is empty, so no client could use the service: set a key, or "
                "leave it out to accept any key"
            )
        self._faults = faults
        self._failures = ScriptedFailures(fail)
        self._capacity = Capacity(max_listening)
        self._origins = tuple(map(_origin, allow_origins))
        self._host = host
        self._port = port
        self._key = key
        self._own_parts = parts is None
        self._parts = parts
        self._options = options
        self._exit = contextlib.AsyncExitStack()
        self._base_url = ""

    @property
    def base_url(self) -> str:
        """``http://HOST:PORT/v1`` while the service runs; empty before."""
        return self._base_url

    @property
    def voice(self) -> str:
        """The name of the voice, for messages to the user."""
        voice = None if self._parts is None else self._parts.voice
        return "none" if voice is None else voice.name

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(
                listen(self._host, self._port, error=ServiceError)
            )
            parts = self._parts = _found(self._parts)
            if self._own_parts:
                stack.push_async_callback(parts.close)
            options = self._options or EngineOptions(label=parts.mind.label)
            host = listener.getsockname()[0]
            loopback = ipaddress.ip_address(host).is_loopback
            if not loopback and self._key is None:
                _log.warning(
                    "duologue local: started without a key: any client that reaches %s "
                    "can use this service",
                    host,
                )
            sessions = SessionFactory(
                parts, options, capacity=self._capacity, faults=self._faults
            )
            calls = Calls(sessions, loopback=loopback)
            stack.push_async_callback(calls.close)
            keys = Keys(self._key, wall_clock())
            websocket = WebSocketApp(calls, keys, sessions, self._failures)
            app = OriginGuard(
                application(calls, keys, websocket, self._failures),
                keys,
                loopback=loopback,
                hosts=() if loopback else (self._host, socket.gethostname()),
                origins=self._origins,
            )
            serves = running(
                app,
                listener,
                error=ServiceError,
                largest=MOST_FRAME,
                lifespan="off",
                http=_Http,
                name=_NAME,
            )
            await stack.enter_async_context(serves)
            self._base_url = f"http://{authority(listener)}/v1"
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()


def _origin(given: str) -> str:
    """An origin as a browser sends it. Raises `ServiceError` if it is invalid."""
    try:
        parts = urlsplit(given.strip().rstrip("/"))
        whole = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if given == "null" or (whole and not (parts.path or parts.query or parts.fragment)):
        return given.strip()
    raise ServiceError(
        f"{given!r} is not the origin of a page: expected a scheme and a host, like "
        "http://localhost:3000"
    )


def _found(parts: Parts | None) -> Parts:
    try:
        return built_in() if parts is None else parts
    except SynthesiserError as error:
        raise ServiceError(str(error)) from error


class _Http(Http):
    """Answers invalid HTTP with an error in the service's shape."""

    def send_400_response(self, msg: str) -> None:
        """Answer unless a response has begun, then close the connection."""
        # None before the first request, although its declared type excludes it.
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            body = HttpError(400, msg).body
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\n"
                b"Server: %s\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: %d\r\n"
                b"Connection: close\r\n\r\n%s" % (_NAME.encode(), len(body), body)
            )
        self.transport.close()
