"""``duologue web``: its options."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from ..shared.options import BaseUrl, Json, Local, check_service

__all__ = ["web"]


def web(
    local: Local = False,
    base_url: BaseUrl = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8765,
    open: Annotated[
        bool, typer.Option("--open/--no-open", help="Open a browser on the page.")
    ] = True,
    direct: Annotated[
        bool,
        typer.Option(
            "--direct",
            help="Let the browser call the service by itself, with an ephemeral key.",
        ),
    ] = False,
    auth: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option(
            metavar="MODULE:CALLABLE",
            help="What tells who asks; needed where others can reach the page.",
        ),
    ] = None,
    allow_origin: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="URL",
            help="An origin by which the page is reached from elsewhere, or a page "
            "that may use it (https://voice.example); repeat it for more.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Serve a page on which several conversations run at once, until Ctrl-C.

    Prints its URL, alone on a line of standard output, when it is ready.
    """
    check_service(local=local, base_url=base_url)

    from ..web_page.run_web import Options, run

    run(
        Options(
            local=local,
            base_url=base_url,
            host=host,
            port=port,
            open=open and not json,
            direct=direct,
            auth=auth,
            allow_origins=tuple(allow_origin or ()),
            json=json,
        )
    )
