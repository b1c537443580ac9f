"""``duologue talk``: conversations by microphone, WAV file or keyboard."""

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
    ProviderName,
    Record,
    Voice,
    check_distinct,
    check_exclusive,
    check_service,
)

__all__ = ["talk"]

#: The most sessions of one run.
_MOST_SESSIONS = 100


class _Carrier(StrEnum):
    """`Carrier` as typer needs it for an option with choices."""

    webrtc = "webrtc"
    websocket = "websocket"


def talk(
    wav: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Argument(help="A WAV file to play as the microphone.", readable=False),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Type lines instead of speaking.")
    ] = False,
    mic: Annotated[
        bool, typer.Option("--mic", help="Use the microphone and the speaker.")
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
        typer.Option(help="Cancel the echo of the speaker."),
    ] = True,
    sessions: Annotated[
        int,
        typer.Option(min=1, max=_MOST_SESSIONS, help="The number of conversations."),
    ] = 1,
    transport: Annotated[
        _Carrier, typer.Option(help="The transport of the session.")
    ] = _Carrier.webrtc,
    tools: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="MODULE:OBJECT",
            help="A function that the model may call, or a list of functions.",
        ),
    ] = None,
    local: Local = False,
    base_url: BaseUrl = None,
    provider: ProviderName = None,
    model: Model = None,
    voice: Voice = None,
    instructions: Instructions = None,
    silence_ms: Annotated[
        int, typer.Option(min=0, help="The silence in ms that ends your turn.")
    ] = 500,
    transcribe: Annotated[bool, typer.Option(help="Transcribe your speech.")] = True,
    language: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Your language, such as en; by default it is detected."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="WAV", help="Write the assistant's audio to this file."),
    ] = None,
    record: Record = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds to wait for the connection (at most 15), and for the reply "
            "to end after the silence that ends your turn.",
        ),
    ] = 30.0,
    json: Json = False,
) -> None:
    """Talk to the service: speak, play a WAV file as the microphone, or type."""
    check_service(local=local, base_url=base_url, provider=provider)
    from ..talk.talk_options import DeviceOptions, TalkOptions, numbered_path
    from ..talk.talk_runner import run

    if wav is None and not text and not mic:
        raise typer.BadParameter("give a WAV file, --mic to speak or --text to type")
    check_exclusive({"a WAV file": wav is not None, "--text": text, "--mic": mic})
    if not mic and (input_device or output_device):
        raise typer.BadParameter("--input-device and --output-device need --mic")
    if mic and sessions > 1 and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.BadParameter(
            "--mic with --sessions needs a terminal, to select a session"
        )
    files: dict[str, Path | None] = {"the WAV file": wav}
    for number in range(1, sessions + 1):
        which = f" of session {number}" if sessions > 1 else ""
        for name, path in (("--output", output), ("--record", record)):
            files[f"{name}{which}"] = path and numbered_path(path, number, sessions)
    check_distinct(files)
    run(
        TalkOptions(
            wav=wav,
            mic=DeviceOptions(input=input_device, output=output_device, aec=aec)
            if mic
            else None,
            sessions=sessions,
            carrier=transport.value,
            tools=tools,
            local=local,
            base_url=base_url,
            provider=provider,
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
