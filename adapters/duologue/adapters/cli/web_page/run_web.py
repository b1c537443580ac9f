"""``duologue web``: the page, until it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import webbrowser
from typing import Any

import attrs
import msgspec

from duologue.transports.errors import DuologueError

from ..shared.import_object import imported
from ..shared.service import reached

__all__ = ["Options", "run"]

#: How the page calls the local service.
_LOCAL = "local service (scripted, not a language model)"


@attrs.frozen(kw_only=True)
class Options:
    """What the command line asks for."""

    local: bool
    base_url: str | None
    host: str
    port: int
    open: bool
    direct: bool
    auth: str | None
    allow_origins: tuple[str, ...]
    json: bool


def run(options: Options) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises a `DuologueError` if it cannot."""
    from duologue.adapters.web.server.web_server import check_host

    has_origins = bool(options.allow_origins)
    authenticated = options.auth is not None
    check_host(options.host, authenticated=authenticated, has_origins=has_origins)
    asyncio.run(_serve(options))


async def _serve(options: Options) -> None:
    from duologue.adapters.web import create_app
    from duologue.adapters.web.server.web_server import serving

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    authenticate = None if options.auth is None else _authenticate(options.auth)
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            reached(local=options.local, base_url=options.base_url)
        )
        app = create_app(
            base_url=service.base_url,
            credentials=service.credentials,
            authenticate=authenticate,
            allow_origins=options.allow_origins,
            direct=options.direct,
            service=_LOCAL if options.local else None,
        )
        serves = serving(app, host=options.host, port=options.port)
        url = await stack.enter_async_context(serves)
        ready = {"url": url, "base_url": service.base_url}
        print(msgspec.json.encode(ready).decode() if options.json else url, flush=True)
        if options.open:
            await asyncio.to_thread(webbrowser.open, url)
        print("duologue web: Ctrl-C ends it", file=sys.stderr, flush=True)
        await stop.wait()


def _authenticate(name: str) -> Any:
    """The function that ``module:callable`` names. Raises a `DuologueError`."""
    found = imported("--auth", name)
    if not callable(found):
        raise DuologueError(f"--auth {name}: it is not callable")
    return found
