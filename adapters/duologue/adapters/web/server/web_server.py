"""The application on a port of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from starlette.applications import Starlette

from duologue.transports.errors import MissingExtra

from .request_guard import is_loopback_host

try:
    from duologue.local.server.listener import PortError, authority, listen, running
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "to serve the page needs uvicorn: pip install 'duologue[web]'"
    ) from missing

__all__ = ["ServingError", "check_open", "serving"]

#: Bytes of one message of a page.
_MESSAGE_LIMIT = 1 << 20


class ServingError(PortError):
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
    with listen(host, port, error=ServingError) as listener:
        serves = running(
            app, listener, error=ServingError, largest=_MESSAGE_LIMIT, lifespan="on"
        )
        async with serves:
            try:
                yield f"http://{authority(listener)}/"
            finally:
                await app.state.hub.aclose()
