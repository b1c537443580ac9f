"""Commands that ask a service: their options."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional, cast

import typer

from ..shared.options import (
    BaseUrl,
    Instructions,
    Json,
    Local,
    Model,
    Record,
    Voice,
    check_distinct,
    check_service,
)

if TYPE_CHECKING:
    from ..shared.one_turn import Carrier

__all__ = ["doctor", "say", "token"]

_Transport = Annotated[
    str,
    typer.Option(
        metavar="webrtc|websocket",
        help="How the session is carried.",
    ),
]


def say(
    text: Annotated[
        str, typer.Argument(help="What to say; - reads it from standard input.")
    ],
    local: Local = False,
    base_url: BaseUrl = None,
    transport: _Transport = "websocket",
    model: Model = None,
    voice: Voice = None,
    instructions: Instructions = None,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="Have the reply written, not spoken.")
    ] = False,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(
            metavar="WAV", help="Write the reply's sound to this file, as it is played."
        ),
    ] = None,
    record: Record = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds to wait for the connection (at most 15), and for the reply.",
        ),
    ] = 30.0,
    json: Json = False,
) -> None:
    """Hold one turn: text in, the text of the reply out.

    The exit status is 0 for a whole reply, 1 for a turn that failed,
    2 for input that cannot be said.
    """
    check_service(local=local, base_url=base_url)
    carrier = _carrier(transport)
    if text_only and output is not None:
        raise typer.BadParameter("--text-only has no sound for --output")
    check_distinct({"--output": output, "--record": record})
    words = _words(text)
    from ..shared.one_turn import Ask
    from .say import run

    ask = Ask(
        text=words,
        carrier=carrier,
        modalities=("text",) if text_only else ("audio",),
        model=model,
        voice=voice,
        instructions=instructions,
        output=output,
        record=record,
        timeout=timeout,
    )
    run(ask, local=local, base_url=base_url, json=json)


def _words(text: str) -> str:
    """What is to be said. Raises BadParameter where there is nothing, or no text."""
    try:
        if text == "-":
            text = sys.stdin.buffer.read().decode()
        text.encode()
    except UnicodeError:
        raise typer.BadParameter("the text is not UTF-8") from None
    if not text.strip():
        raise typer.BadParameter("there is nothing to say: the text is empty")
    return text.strip()


def _carrier(transport: str) -> Carrier:
    if transport not in ("webrtc", "websocket"):
        raise typer.BadParameter(
            f"--transport {transport!r}: it is webrtc or websocket"
        )
    return cast("Carrier", transport)


def token(
    base_url: BaseUrl = None,
    expires_after: Annotated[
        int,
        typer.Option(
            min=10, max=7200, metavar="S", help="Seconds until no session begins by it."
        ),
    ] = 600,
    model: Model = None,
    voice: Voice = None,
    instructions: Instructions = None,
    json: Json = False,
) -> None:
    """Mint an ephemeral key and print it alone.

    The API key of OPENAI_API_KEY mints it. The configuration goes with the
    key: sessions that it starts have it.
    """
    check_service(local=False, base_url=base_url)
    from .token import Options, run

    run(
        Options(
            base_url=base_url,
            expires_after=expires_after,
            model=model,
            voice=voice,
            instructions=instructions,
            json=json,
        )
    )


def doctor(
    base_url: BaseUrl = None,
    reach: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--reach/--no-reach",
            help="Ask the service whether it answers. Without either it is asked where "
            "there is a key for it, or where it is on this machine.",
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Hold one turn with the service, at the cost of one."
        ),
    ] = False,
    transport: _Transport = "websocket",
    model: Model = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="LOG", help="Write the log of --live to this file."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what works on this machine, what does not, and what to do.

    Each line begins with ok, warn or fail. The exit status is 1 where one
    fails. No key is shown.
    """
    # It runs without the libraries that look at a URL too.
    with contextlib.suppress(ImportError):
        check_service(local=False, base_url=base_url)
    carrier = _carrier(transport)
    if record is not None and not live:
        raise typer.BadParameter("--record needs --live")
    if live and reach is False:
        raise typer.BadParameter("--live and --no-reach exclude each other")
    from ..doctor.check_report import Options, run

    run(
        Options(
            base_url=base_url,
            reach=reach,
            live=live,
            carrier=carrier,
            model=model,
            record=record,
            json=json,
        )
    )
