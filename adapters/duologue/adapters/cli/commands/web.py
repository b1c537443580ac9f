"""``duologue web``: the web page, served until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import webbrowser
from typing import Annotated, Any, Optional

import typer

from ..shared.options import (
    BaseUrl,
    Host,
    Json,
    Local,
    Port,
    ProviderName,
    check_service,
)

__all__ = ["web"]

#: The name of the local service on the page.
_LOCAL = "local service (scripted, not a language model)"


def web(
    local: Local = False,
    base_url: BaseUrl = None,
    provider: ProviderName = None,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    open: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
    direct: Annotated[
        bool,
        typer.Option(
            "--direct",
            help="Let the browser call the service itself, with an ephemeral key.",
        ),
    ] = False,
    auth: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option(
            metavar="MODULE:CALLABLE",
            help="A function that identifies the user of a request; required if other "
            "machines can reach the page.",
        ),
    ] = None,
    allow_origin: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="URL",
            help="An origin of this page (https://voice.example), or of another page "
            "that may use the server; repeat it for more.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Serve a page for several conversations at once, until Ctrl-C.

    Prints its URL on a line of standard output when it is ready.
    """
    check_service(local=local, base_url=base_url, provider=provider)
    from duologue.adapters.web.server.web_server import check_host

    origins = tuple(allow_origin or ())
    check_host(host, authenticated=auth is not None, has_origins=bool(origins))
    options = {
        "allow_origins": origins,
        "direct": direct,
        "service": _LOCAL if local else None,
        "authenticate": None if auth is None else _authenticator(auth),
    }
    service = {"local": local, "base_url": base_url, "provider": provider}
    asyncio.run(_serve(service, options, host, port, open and not json, json))


async def _serve(
    service: dict[str, Any],
    options: dict[str, Any],
    host: str,
    port: int,
    open: bool,
    json: bool,
) -> None:
    from duologue.adapters.web import create_app
    from duologue.adapters.web.server.web_server import serving
    from duologue.transports.http.redaction import shown_url

    from ..shared.control_characters import json_line
    from ..shared.service import open_service
    from ..shared.signals import stop_event

    stop = stop_event()
    async with contextlib.AsyncExitStack() as stack:
        found = await stack.enter_async_context(open_service(**service))
        app = create_app(
            base_url=found.base_url,
            credentials=found.credentials,
            provider=found.provider,
            **options,
        )
        url = await stack.enter_async_context(serving(app, host=host, port=port))
        shown = shown_url(found.base_url)
        ready = json_line({"url": url, "base_url": shown}) if json else url
        print(ready.rstrip(), flush=True)
        if open:
            await asyncio.to_thread(webbrowser.open, url)
        print("duologue web: press Ctrl-C to stop", file=sys.stderr, flush=True)
        await stop.wait()


def _authenticator(name: str) -> Any:
    """Import the function ``module:callable``. Raises a `DuologueError`."""
    from duologue.core.errors import DuologueError

    from ..shared.import_object import import_object

    found = import_object("--auth", name)
    if not callable(found):
        raise DuologueError(f"--auth {name}: it is not callable")
    return found
