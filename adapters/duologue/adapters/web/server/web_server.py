"""The server of the page: runs the application under uvicorn, on its own port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from starlette.applications import Starlette

from duologue.transports.errors import MissingExtra

from .request_guard import is_loopback_host

try:
    from duologue.local.server.listener import ListenError, authority, listen, running
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "serving the page needs uvicorn: pip install 'duologue[web]'"
    ) from missing

__all__ = ["ServingError", "check_host", "serving"]

#: The most bytes in one WebSocket message of a page.
_MAX_MESSAGE = 1 << 20


class ServingError(ListenError):
    """The page cannot be served at this address. The message says why."""


def check_host(host: str, *, authenticated: bool, has_origins: bool) -> None:
    """Check that a server beyond loopback has authentication and an allowed origin.

    Without authentication, anyone could use the service at the owner's expense.
    Raises `ServingError`.
    """
    if is_loopback_host(f"[{host}]" if ":" in host else host):
        return
    if not authenticated:
        raise ServingError(
            f"{host} can be reached from other machines, so --auth module:callable is "
            "required to authenticate users"
        )
    if not has_origins:
        raise ServingError(
            f"{host} can be reached from other machines, so --allow-origin "
            "https://name.example is required: the origin that browsers use"
        )


@contextlib.asynccontextmanager
async def serving(
    app: Starlette, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """Serve the application in this context; yield its URL, with a slash at the end.

    ``port`` 0 takes a free port. Raises `ServingError`. At the end, calls are hung up
    before the feeds close, so that pages receive the end of their calls.
    """
    with listen(host, port, error=ServingError) as listener:
        serves = running(
            app, listener, error=ServingError, largest=_MAX_MESSAGE, lifespan="on"
        )
        async with serves:
            try:
                yield f"http://{authority(listener)}/"
            finally:
                await app.state.registry.aclose()
