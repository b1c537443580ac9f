"""``duologue talk``: its options."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

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

__all__ = ["talk"]


#: The most sessions that one talk holds.
_MOST = 100


class _Carrier(StrEnum):
    """What `Carrier` names, as typer wants it."""

    webrtc = "webrtc"
    websocket = "websocket"


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
    sessions: Annotated[
        int,
        typer.Option(min=1, max=_MOST, help="Hold so many conversations at once."),
    ] = 1,
    transport: Annotated[
        _Carrier, typer.Option(help="What carries events and sound.")
    ] = _Carrier.webrtc,
    tools: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="MODULE:OBJECT",
            help="A function that the model may call, or a list of them.",
        ),
    ] = None,
    local: Local = False,
    base_url: BaseUrl = None,
    model: Model = None,
    voice: Voice = None,
    instructions: Instructions = None,
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
    record: Record = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds to wait for the connection (at most 15), and for the reply "
            "to end once you have been silent for long enough.",
        ),
    ] = 30.0,
    json: Json = False,
) -> None:
    """Hold a conversation: speak, play a WAV file as the microphone, or type."""
    check_service(local=local, base_url=base_url)
    from ..talk.audio_devices import Devices
    from ..talk.talk_options import Options, numbered
    from ..talk.talk_runner import run

    _check_input({"a WAV file": wav is not None, "--text": text, "--mic": mic})
    if not mic and (input_device or output_device):
        raise typer.BadParameter("--input-device and --output-device need --mic")
    if mic and sessions > 1 and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.BadParameter(
            "--mic with --sessions needs a terminal, to say whom you speak to"
        )
    files: dict[str, Path | None] = {"the WAV file": wav}
    for number in range(1, sessions + 1):
        which = f" of session {number}" if sessions > 1 else ""
        for name, path in (("--output", output), ("--record", record)):
            files[f"{name}{which}"] = path and numbered(path, number, sessions)
    check_distinct(files)
    run(
        Options(
            wav=wav,
            mic=Devices(input=input_device, output=output_device, aec=aec)
            if mic
            else None,
            sessions=sessions,
            carrier=transport.value,
            tools=tools,
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
