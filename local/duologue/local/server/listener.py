"""Serves an ASGI application on a port; the only module that imports uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Any, Literal

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from duologue.transports.errors import DuologueError

__all__ = ["Http", "ListenError", "authority", "listen", "running"]

_LAST_PORT = 65_535
#: Seconds between pings over WebSocket, and to wait for each pong.
_PING = 20.0
#: Seconds that a connection may stay open without a request.
_HEAD_PATIENCE = 10.0
#: Seconds that active requests may still take when the server stops.
_GRACE = 2


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a log record is about the server; invalid UTF-8 is a client's error."""
    return not (record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError))


#: uvicorn's log of connections, without the clients' errors.
_connections = logging.getLogger(f"{__name__}.connections")
_connections.setLevel(logging.ERROR)
_connections.addFilter(_is_ours)


class ListenError(DuologueError):
    """The server cannot listen at this address; the message gives the reason."""


class Http(H11Protocol):
    """Aborts a connection that does not complete a request in time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout for the first request."""
        super().connection_made(transport)
        self._look_later()

    def _look_later(self) -> None:
        # None before the first request, although its declared type excludes it.
        before: RequestResponseCycle | None = self.cycle
        self.loop.call_later(_HEAD_PATIENCE, self._look, before)

    def _look(self, before: RequestResponseCycle | None) -> None:
        """Abort the connection if no request began since the last check."""
        transport = self.transport
        if transport.is_closing() or transport.get_protocol() is not self:
            return
        idle = before is None or before.response_complete
        if idle and self.cycle is before:
            transport.abort()
        else:
            self._look_later()


class _WebSocket(WebSocketsSansIOProtocol):
    """Can abort a connection whose client does not read.

    Closing a transport with unsent bytes would wait for the client forever.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = self.conn.logger = _connections

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # Otherwise uvicorn would log that the upgrade got no response.
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(_GRACE, self.transport.abort)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        # uvicorn sets the scope only if it accepted the request.
        scope: Any = vars(self).get("scope")
        if scope is not None:
            scope["extensions"]["duologue.abort"] = self.transport.abort


class _Server(uvicorn.Server):
    """A server that leaves signal handling to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def listen(host: str, port: int, *, error: type[ListenError]) -> socket.socket:
    """A listening socket; ``port`` 0 takes a free one. Raises ``error``."""
    if not 0 <= port <= _LAST_PORT:
        # getaddrinfo would reduce it modulo 65536.
        raise error(f"cannot listen on {host}:{port}: there is no such port")
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except (OSError, UnicodeError, OverflowError) as why:
        raise error(f"cannot listen on {host}:{port}: {_reason(why)}") from why
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as why:
        listener.close()
        raise error(f"cannot listen on {host}:{port}: {_reason(why)}") from why
    return listener


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
        return str(error) if error.errno is None else os.strerror(error.errno)
    return str(error)


def authority(listener: socket.socket) -> str:
    """The address as in a URL: ``127.0.0.1:8000``, ``[::1]:8000``."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.asynccontextmanager
async def running(
    app: Any,
    listener: socket.socket,
    *,
    error: type[ListenError],
    largest: int,
    lifespan: Literal["on", "off"],
    http: type[Http] = Http,
    name: str | None = None,
) -> AsyncGenerator[None]:
    """Serve the application while the context is entered.

    ``largest`` is the limit of a WebSocket message in bytes, ``name`` the value of the
    header ``Server``. Raises ``error`` if the server does not start.
    """
    config = uvicorn.Config(
        app,
        headers=[("Server", name)] if name else [],
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan=lifespan,
        http=http,
        ws=_WebSocket,
        ws_max_size=largest,
        ws_ping_interval=_PING,
        ws_ping_timeout=_PING,
        # Compression costs more than it saves here, and a small compressed message
        # could expand to a huge one.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        if task.done():
            task.result()
            raise error("the server stopped while it was starting")
        yield
    finally:
        server.should_exit = True
        await task
