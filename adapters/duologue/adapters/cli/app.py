"""The commands and their options; each does its work in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from duologue.core import __version__

__all__ = ["app"]

app = typer.Typer(
    name="duologue",
    help="Spoken conversations over the OpenAI Realtime API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"duologue {__version__}")
        raise typer.Exit


@app.callback()
def duologue(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print it."
        ),
    ] = False,
) -> None:
    """Spoken conversations over the OpenAI Realtime API."""


_Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, nothing else.")
]


@app.command()
def talk(
    wav: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Argument(help="A WAV file to play as the microphone.", readable=False),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Type instead, line by line.")
    ] = False,
    local: Annotated[
        bool,
        typer.Option(
            "--local", help="Start the local service (scripted replies) and use it."
        ),
    ] = False,
    base_url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="URL", help="The service to use, up to /v1."),
    ] = None,
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The model of the conversation."),
    ] = None,
    voice: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The assistant's voice."),
    ] = None,
    instructions: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What the assistant is to be."),
    ] = None,
    silence_ms: Annotated[
        int, typer.Option(min=0, help="The silence that ends a turn, in ms.")
    ] = 500,
    transcribe: Annotated[
        bool, typer.Option(help="Have what you say written down.")
    ] = True,
    language: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The language you speak (such as en); else it is detected."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="WAV", help="Write what was heard to this file."),
    ] = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="LOG", help="Write the log of the session to this file."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds to wait for the connection (at most 15), and for the reply "
            "to end once you have been silent for long enough.",
        ),
    ] = 30.0,
    json: _Json = False,
) -> None:
    """Hold a conversation: play a WAV file as the microphone, or type."""
    from .talk import Options, run

    if wav is None and not text:
        raise typer.BadParameter("give a WAV file, or --text to type")
    if wav is not None and text:
        raise typer.BadParameter("a WAV file and --text exclude each other")
    if local and base_url is not None:
        raise typer.BadParameter("--local and --base-url exclude each other")
    if base_url is not None:
        _check_url(base_url)
    _check_distinct({"the WAV file": wav, "--output": output, "--record": record})
    run(
        Options(
            wav=wav,
            local=local,
            base_url=base_url,
            model=model,
            voice=voice,
            instructions=instructions,
            silence_ms=silence_ms,
            transcribe=transcribe,
            language=language,
            output=output,
            record=record,
            timeout=timeout,
            json=json,
        )
    )


def _check_url(base_url: str) -> None:
    from duologue.transports.errors import SignallingError
    from duologue.transports.signalling import is_loopback

    try:
        is_loopback(base_url)
    except SignallingError as error:
        raise typer.BadParameter(f"--base-url {base_url!r}: {error}") from None


def _check_distinct(paths: dict[str, Path | None]) -> None:
    """Refuse to write over what is read, or two things into one file."""
    seen: dict[Path, str] = {}
    for name, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise typer.BadParameter(f"{other} and {name} are the same file: {path}")


@app.command()
def local(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 0,
    json: _Json = False,
) -> None:
    """Serve the local Realtime service until Ctrl-C.

    Prints its base URL, alone on a line of standard output, when it is ready.
    Replies are scripted, not a language model.
    """
    from .serve import run

    run(host, port, json=json)


@app.command()
def replay(
    log: Annotated[Path, typer.Argument(help="The log of a session.")],
    json: _Json = False,
) -> None:
    """Fold a recorded log and show the conversation in it."""
    from .replay import run

    run(log, json=json)
