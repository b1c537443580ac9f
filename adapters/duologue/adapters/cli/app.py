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
    mic: Annotated[
        bool, typer.Option("--mic", help="Speak: microphone and speaker.")
    ] = False,
    input_device: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="DEVICE", help="The microphone: see `duologue devices`."),
    ] = None,
    output_device: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="DEVICE", help="The speaker: see `duologue devices`."),
    ] = None,
    aec: Annotated[
        bool,
        typer.Option(help="Take the speaker's sound out of the microphone's."),
    ] = True,
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
    """Hold a conversation: speak, play a WAV file as the microphone, or type."""
    if local:
        # First, so that what is missing is asked for by the extra that brings it all.
        from duologue.local import LocalService  # noqa: F401
    from .mic import Devices
    from .talk import Options, run

    _check_input({"a WAV file": wav is not None, "--text": text, "--mic": mic})
    if not mic and (input_device or output_device):
        raise typer.BadParameter("--input-device and --output-device need --mic")
    if local and base_url is not None:
        raise typer.BadParameter("--local and --base-url exclude each other")
    if base_url is not None:
        _check_url(base_url)
    _check_distinct({"the WAV file": wav, "--output": output, "--record": record})
    run(
        Options(
            wav=wav,
            mic=Devices(input=input_device, output=output_device, aec=aec)
            if mic
            else None,
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


def _check_input(given: dict[str, bool]) -> None:
    """One way to say something, no more."""
    names = [name for name, there in given.items() if there]
    if not names:
        raise typer.BadParameter("give a WAV file, --mic to speak or --text to type")
    if len(names) > 1:
        raise typer.BadParameter(f"{names[0]} and {names[1]} exclude each other")


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


@app.command()
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
    json: _Json = False,
) -> None:
    """Serve the local Realtime service until Ctrl-C.

    Prints its base URL, alone on a line of standard output, when it is ready.
    Replies are scripted, not a language model, unless --mind-url names one.
    """
    from .serve import Elsewhere, Options, run

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


@app.command()
def replay(
    log: Annotated[Path, typer.Argument(help="The log; - is standard input.")],
    json: _Json = False,
) -> None:
    """Fold a recorded log and show the conversation in it."""
    from .replay import run

    run(log, json=json)


@app.command()
def devices(json: _Json = False) -> None:
    """List the microphones and speakers of this machine."""
    from .devices import run

    run(json=json)
