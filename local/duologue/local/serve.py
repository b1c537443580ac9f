"""The service on a port: the one module that knows uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncGenerator, Generator, Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)

from duologue.transports.errors import DuologueError

from .calls import Calls
from .engine import Options
from .faults import NO_FAULTS, Faults
from .guard import Guard
from .http_errors import Failures, HttpError
from .intake import MOST_FRAME
from .keys import Keys
from .listening import Listeners
from .parts import Parts, built_in
from .ports import VoiceError
from .server import application
from .session import wall_clock
from .sessions import Sessions
from .websocket import WebSocketFace

__all__ = ["LocalService", "ServiceError"]

_LAST_PORT = 65_535
#: Seconds between pings over WebSocket, and for the answer to one.
_PING = 20.0
#: Seconds that a connection may stay open without a request.
_HEAD_PATIENCE = 10.0
_log = logging.getLogger(__name__)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a line of the log is about us; bad UTF-8 is the client's mistake."""
    return not (record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError))


#: What uvicorn says about connections, without what clients did wrong: they are told.
_connections = _log.getChild("connections")
_connections.setLevel(logging.ERROR)
_connections.addFilter(_is_ours)
#: Seconds that requests under way get at the end.
_GRACE = 2


class ServiceError(DuologueError):
    """The service cannot run here; the message says why and what to do."""


class LocalService:
    """The local Realtime service, running while its context is entered.

    ``port`` 0 takes a free one. Without ``key`` every key is accepted; an empty one
    raises `ServiceError`. Without ``parts`` the service brings its own ear and voice,
    and closes them.
    ``max_listening`` sessions are listened to at once, by default as many as the cores
    allow. ``allow_origins`` are those of pages that may do anything (see `guard`); what
    is none raises `ServiceError`. ``fail`` is what the next requests are answered with:
    HTTP statuses, of which 200 lets one through. ``faults`` is what goes wrong in the
    sessions.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str | None = None,
        *,
        parts: Parts | None = None,
        options: Options | None = None,
        max_listening: int | None = None,
        allow_origins: Iterable[str] = (),
        fail: Iterable[int] = (),
        faults: Faults = NO_FAULTS,
    ) -> None:
        if key is not None and not key.strip():
            raise ServiceError(
                "the key is empty, so nobody could use the service: give one, or leave "
                "it out to take any key"
            )
        self._faults = faults
        self._failures = Failures(fail)
        self._listeners = Listeners(max_listening)
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
        """``http://HOST:PORT/v1``, once the service runs."""
        return self._base_url

    @property
    def voice(self) -> str:
        """Which voice speaks, for messages to people."""
        voice = None if self._parts is None else self._parts.voice
        return "none" if voice is None else voice.name

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(_listen(self._host, self._port))
            parts = self._parts = _found(self._parts)
            if self._own_parts:
                stack.push_async_callback(parts.close)
            options = self._options or Options(label=parts.mind.label)
            host, port = listener.getsockname()[:2]
            loopback = ipaddress.ip_address(host).is_loopback
            if not loopback and self._key is None:
                _log.warning(
                    "duologue local: started without a key: anybody who reaches %s "
                    "can use this service",
                    host,
                )
            sessions = Sessions(
                parts, options, listeners=self._listeners, faults=self._faults
            )
            calls = Calls(sessions, loopback=loopback)
            stack.push_async_callback(calls.close)
            keys = Keys(self._key, wall_clock())
            face = WebSocketFace(calls, keys, sessions, self._failures)
            app = Guard(
                application(calls, keys, face, self._failures),
                keys,
                loopback=loopback,
                hosts=() if loopback else (self._host, socket.gethostname()),
                origins=self._origins,
            )
            server = _Server(_config(app))
            await stack.enter_async_context(_running(server, listener))
            shown = f"[{host}]" if ":" in host else host
            self._base_url = f"http://{shown}:{port}/v1"
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
    """An origin as a browser sends it. Raises `ServiceError` for what is none."""
    try:
        parts = urlsplit(given.strip().rstrip("/"))
        whole = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if given == "null" or (whole and not (parts.path or parts.query or parts.fragment)):
        return given.strip()
    raise ServiceError(
        f"{given!r} is not the origin of a page: it is a scheme and a host, like "
        "http://localhost:3000"
    )


def _found(parts: Parts | None) -> Parts:
    try:
        return built_in() if parts is None else parts
    except VoiceError as error:
        raise ServiceError(str(error)) from error


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `ServiceError` naming the address."""
    if not 0 <= port <= _LAST_PORT:
        # getaddrinfo would take it modulo 65536.
        raise ServiceError(f"cannot listen on {host}:{port}: there is no such port")
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except (OSError, UnicodeError, OverflowError) as error:
        raise _cannot(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _cannot(host, port, error) from error
    return listener


def _cannot(host: str, port: int, error: Exception) -> ServiceError:
    number = getattr(error, "errno", None)
    known = isinstance(number, int) and not isinstance(error, socket.gaierror)
    why = os.strerror(number) if known else str(error)  # type: ignore[arg-type]
    return ServiceError(f"cannot listen on {host}:{port}: {why}")


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        headers=[("Server", "duologue-local")],
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="off",
        http=_Http,
        ws=_WebSocket,
        ws_max_size=MOST_FRAME,
        ws_ping_interval=_PING,
        ws_ping_timeout=_PING,
        # It costs more than it saves here, and would unpack what a client packed.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_GRACE,
    )


class _Http(H11Protocol):
    """Cuts a connection on which no request comes to its end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _connections

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the service's shape."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            body = HttpError(400, msg).body
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\n"
                b"Server: duologue-local\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: %d\r\n"
                b"Connection: close\r\n\r\n%s" % (len(body), body)
            )
        self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_later()

    def _look_later(self) -> None:
        # None before the first request, whatever its type says.
        before: RequestResponseCycle | None = self.cycle
        self.loop.call_later(_HEAD_PATIENCE, self._look, before)

    def _look(self, before: RequestResponseCycle | None) -> None:
        """Cut it if nothing was asked in all this time."""
        transport = self.transport
        if transport.is_closing() or transport.get_protocol() is not self:
            return
        idle = before is None or before.response_complete
        if idle and self.cycle is before:
            transport.abort()
        else:
            self._look_later()


class _WebSocket(WebSocketsSansIOProtocol):
    """Cuts a connection whose far side does not read, or lets the application do so.

    A transport that is closed while bytes wait in it would wait for ever.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = self.conn.logger = _connections

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # Refused in words: uvicorn would log that nothing was answered.
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(_GRACE, self.transport.abort)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            scope: Any = self.scope
            scope["extensions"]["duologue.abort"] = self.transport.abort


class _Server(uvicorn.Server):
    """A server that leaves the signals to the program it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def _running(
    server: uvicorn.Server, listener: socket.socket
) -> AsyncGenerator[None]:
    """The server in a task, from its start to its end."""
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        if task.done():
            task.result()
            raise ServiceError("the server ended as soon as it began")
        yield
    finally:
        server.should_exit = True
        await task
