"""The application on a port of its own: the one module here that knows uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Any

from starlette.applications import Starlette

from duologue.transports.errors import DuologueError, MissingExtra

from .guard import is_loopback_host

try:
    import uvicorn
    from uvicorn.protocols.websockets.websockets_sansio_impl import (
        WebSocketsSansIOProtocol,
    )
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "to serve the page needs uvicorn: pip install 'duologue[web]'"
    ) from missing

__all__ = ["ServingError", "check_open", "serving"]

#: Bytes of one message of a page.
_MESSAGE_LIMIT = 1 << 20
#: Seconds between pings, and for the answer to one.
_PING = 20.0
#: Seconds that requests under way get at the end.
_GRACE = 2


class ServingError(DuologueError):
    """The page cannot be served here; the message says why and what to do."""


def check_open(host: str, *, authenticated: bool, named: bool) -> None:
    """Refuse to serve others without knowing who they are. Raises `ServingError`.

    Whoever reached the page could talk at the expense of the key. ``named`` says
    whether there is an origin by which they may reach it.
    """
    if is_loopback_host(f"[{host}]" if ":" in host else host):
        return
    if not authenticated:
        raise ServingError(
            f"{host} can be reached from other machines: that needs --auth "
            "module:callable, which says who asks"
        )
    if not named:
        raise ServingError(
            f"{host} can be reached from other machines: that needs --allow-origin "
            "https://name.example, by which they reach it"
        )


@contextlib.asynccontextmanager
async def serving(
    app: Starlette, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """Serve it while the context is entered; gives its URL, with a slash at the end.

    ``port`` 0 takes a free one. Raises `ServingError`. At the end the calls are hung up
    before the pages are let go, so that they learn of it.
    """
    with _listen(host, port) as listener:
        server = _Server(_config(app))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started and not task.done():
                await asyncio.sleep(0.005)
            if task.done():
                task.result()
                raise ServingError("the server ended as soon as it began")
            name, number = listener.getsockname()[:2]
            yield (
                f"http://[{name}]:{number}/"
                if ":" in name
                else (f"http://{name}:{number}/")
            )
        finally:
            await app.state.hub.aclose()
            server.should_exit = True
            await task


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        known = isinstance(number, int) and number > 0
        why = os.strerror(number) if known and number else str(error)
        raise ServingError(f"cannot listen on {host}:{port}: {why}") from None
    listener.setblocking(False)
    return listener


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="on",
        ws=_WebSocket,
        ws_max_size=_MESSAGE_LIMIT,
        ws_ping_interval=_PING,
        ws_ping_timeout=_PING,
        # It would unpack what a page packed, and costs more than it saves.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_GRACE,
    )


class _WebSocket(WebSocketsSansIOProtocol):
    """Cuts a connection whose far side does not read.

    A transport that is closed while bytes wait in it would wait for ever.
    """

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
