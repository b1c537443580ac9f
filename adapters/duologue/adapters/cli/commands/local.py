"""``duologue local``: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from ..shared.options import Json

__all__ = ["local"]

_PartUrl = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="URL",
        help="A service with OpenAI's API that stands in for the ear (what is said), "
        "the voice or the mind (what is answered), up to /v1.",
    ),
]
_PartModel = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="MODEL", help="The model of it."),
]


def local(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 0,
    key: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            envvar="DUOLOGUE_LOCAL_KEY",
            help="The one API key that is taken; without it any is.",
        ),
    ] = None,
    scenario: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="What is answered to what (YAML)."),
    ] = None,
    faults: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="What goes wrong in the sessions (YAML)."),
    ] = None,
    ear_url: _PartUrl = None,
    ear_model: _PartModel = None,
    voice_url: _PartUrl = None,
    voice_model: _PartModel = None,
    mind_url: _PartUrl = None,
    mind_model: _PartModel = None,
    allow_origin: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="ORIGIN",
            help="Pages of this origin (http://localhost:3000) may do anything; "
            "repeat it for more.",
        ),
    ] = None,
    max_listening: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=0,
            metavar="N",
            help="Listen to this many sessions at once; by default to 10 for each "
            "core. One more gets 429.",
        ),
    ] = None,
    session_seconds: Annotated[
        float, typer.Option(min=1, help="How long a session may last.")
    ] = 3600,
    fail: Annotated[
        Optional[list[int]],  # noqa: UP045
        typer.Option(
            min=200,
            max=599,
            metavar="STATUS",
            help="Answer the next request so; repeat it for those that follow. 200 "
            "lets one through.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Serve the local Realtime service until Ctrl-C.

    Prints its base URL, alone on a line of standard output, when it is ready.
    Replies are scripted, not a language model, unless --mind-url names one.
    """
    from ..local_service.run_local import Elsewhere, Options, run

    elsewhere = Elsewhere(
        ear_url=ear_url,
        ear_model=ear_model,
        voice_url=voice_url,
        voice_model=voice_model,
        mind_url=mind_url,
        mind_model=mind_model,
    )
    run(
        Options(
            host=host,
            port=port,
            key=key,
            scenario=scenario,
            faults=faults,
            elsewhere=elsewhere,
            allow_origins=tuple(allow_origin or ()),
            max_listening=max_listening,
            session_seconds=session_seconds,
            fail=tuple(fail or ()),
            json=json,
        )
    )
