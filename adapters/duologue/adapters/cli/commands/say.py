"""``duologue say``: one typed turn, for scripts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..shared.options import (
    BaseUrl,
    Instructions,
    Json,
    Local,
    Model,
    ProviderName,
    Record,
    Transport,
    Voice,
    check_carrier,
    check_distinct,
    check_service,
)

if TYPE_CHECKING:
    from ..shared.one_turn import TurnRequest, TurnResult

__all__ = ["say"]


def say(
    text: Annotated[
        str, typer.Argument(help="The text to send; - reads it from standard input.")
    ],
    local: Local = False,
    base_url: BaseUrl = None,
    provider: ProviderName = None,
    transport: Transport = "websocket",
    model: Model = None,
    voice: Voice = None,
    instructions: Instructions = None,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="Request a reply in text, not in audio.")
    ] = False,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(
            metavar="WAV",
            help="Write the audio of the reply to this file, in real time.",
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
    """Send a text and print the text of the reply.

    The exit status is 0 for a complete reply, 1 if the turn failed, and 2 for a text
    that cannot be sent.
    """
    check_service(local=local, base_url=base_url, provider=provider)
    carrier = check_carrier(transport)
    if text_only and output is not None:
        raise typer.BadParameter("--output needs audio, which --text-only excludes")
    check_distinct({"--output": output, "--record": record})
    text = _read(text)
    from duologue.core.errors import DuologueError

    from ..shared.control_characters import json_line, strip_controls
    from ..shared.one_turn import TurnRequest

    request = TurnRequest(
        text=text,
        carrier=carrier,
        modalities=("text",) if text_only else ("audio",),
        model=model,
        voice=voice,
        instructions=instructions,
        output=output,
        record=record,
        timeout=timeout,
    )
    service = {"local": local, "base_url": base_url, "provider": provider}
    turn = asyncio.run(_run(request, service))
    if json:
        sys.stdout.buffer.write(json_line(_as_json(turn)).encode())
    else:
        if turn.reply:
            print(strip_controls(turn.reply))
        if note := _note(turn):
            print(f"duologue say: the reply is {strip_controls(note)}", file=sys.stderr)
    sys.stdout.flush()
    if turn.failure is not None:
        raise DuologueError(strip_controls(turn.failure))


def _read(text: str) -> str:
    """The text to send. Raises BadParameter if it is empty or not UTF-8."""
    try:
        if text == "-":
            text = sys.stdin.buffer.read().decode()
        text.encode()
    except UnicodeError:
        raise typer.BadParameter("the text is not UTF-8") from None
    if not text.strip():
        raise typer.BadParameter("the text is empty")
    return text.strip()


async def _run(request: TurnRequest, options: dict[str, Any]) -> TurnResult:
    from ..shared.one_turn import run_turn
    from ..shared.service import open_service

    async with open_service(**options) as service:
        return await run_turn(request, service)


def _note(turn: TurnResult) -> str | None:
    """The service's note on its reply, such as that it is scripted."""
    from duologue.core import select_metadata

    for item_id in turn.session.conversation.order:
        if note := select_metadata(turn.session, item_id).get("duologue"):
            return note
    return None


def _as_json(turn: TurnResult) -> dict[str, Any]:
    """The turn as JSON values; ids and texts are unchanged."""
    from duologue.core import summary

    from ..shared.session_report import model_name

    values = summary(turn.session)
    lines = {line["role"]: line for line in values["transcript"]}
    response = values["responses"][-1] if values["responses"] else {}
    times = values["turns"][-1] if values["turns"] else {}
    status = "completed" if turn.failure is None else response.get("status")
    return {
        "status": "failed" if status in (None, "in_progress") else status,
        "failure": turn.failure,
        "text": turn.reply,
        "item_id": lines.get("assistant", {}).get("item_id"),
        "response_id": response.get("id"),
        "user_item_id": lines.get("user", {}).get("item_id"),
        "model": model_name(turn.session),
        "note": _note(turn),
        "connect_ms": turn.connect_ms,
        "first_text_ms": times.get("first_text_ms"),
        "first_audio_ms": times.get("first_audio_ms"),
        "reply_ms": turn.reply_ms,
        "usage": values["usage"],
        "cost": values["cost"],
        "problems": values["problems"],
    }
