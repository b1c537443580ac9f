"""An application on a port, for the service and the page: what knows uvicorn."""

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

__all__ = ["Http", "PortError", "authority", "listen", "running"]

_LAST_PORT = 65_535
#: Seconds between pings over WebSocket, and for the answer to one.
_PING = 20.0
#: Seconds that a connection may stay open without a request.
_HEAD_PATIENCE = 10.0
#: Seconds that requests under way get at the end.
_GRACE = 2


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a line of the log is about us; bad UTF-8 is the client's mistake."""
    return not (record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError))


#: What uvicorn says about connections, without what clients did wrong: they are told.
_connections = logging.getLogger(f"{__name__}.connections")
_connections.setLevel(logging.ERROR)
_connections.addFilter(_is_ours)


class PortError(DuologueError):
    """Nothing can be served at this address; the message says why."""


class Http(H11Protocol):
    """Cuts a connection on which no request comes to its end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """From here on it has so many seconds to ask for something."""
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


def listen(host: str, port: int, *, error: type[PortError]) -> socket.socket:
    """A listening socket; ``port`` 0 takes a free one. Raises ``error``."""
    if not 0 <= port <= _LAST_PORT:
        # getaddrinfo would take it modulo 65536.
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
    number = getattr(error, "errno", None)
    if isinstance(number, int) and not isinstance(error, socket.gaierror):
        return os.strerror(number)
    return str(error)


def authority(listener: socket.socket) -> str:
    """Where it listens, as in a URL: ``127.0.0.1:8000``, ``[::1]:8000``."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.asynccontextmanager
async def running(
    app: Any,
    listener: socket.socket,
    *,
    error: type[PortError],
    largest: int,
    lifespan: Literal["on", "off"],
    http: type[Http] = Http,
    name: str | None = None,
) -> AsyncGenerator[None]:
    """The application served there while the context is entered.

    ``largest`` is the size of a WebSocket message in bytes, ``name`` what the header
    ``Server`` says. Raises ``error`` if it does not come to run.
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
        # It costs more than it saves here, and would unpack what a client packed.
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
            raise error("the server ended as soon as it began")
        yield
    finally:
        server.should_exit = True
        await task
