"""The sessions of a talk, as the command line asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from msgspec.structs import replace

from duologue.core import SessionConfig, events, models
from duologue.core.config import TURN_DETECTION
from duologue.transports.client.client import default_config
from duologue.transports.clock import new_id

from ..shared.audio_sinks import Shared
from ..shared.one_turn import Carrier
from .audio_devices import Devices
from .talk_session import Plan, Talker

__all__ = ["Options", "numbered", "seat"]


@attrs.frozen(kw_only=True)
class Options:
    """What the command line asked for. Neither ``wav`` nor ``mic`` means typing."""

    wav: Path | None
    mic: Devices | None
    sessions: int
    carrier: Carrier
    tools: str | None
    local: bool
    base_url: str | None
    model: str | None
    voice: str | None
    instructions: str | None
    silence_ms: int
    transcribe: bool
    language: str | None
    output: Path | None
    record: Path | None
    timeout: float
    json: bool


def numbered(path: Path, number: int, of: int) -> Path:
    """The file of one session of several: ``reply-2.wav`` for ``reply.wav``."""
    return path if of == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def seat(
    options: Options, tools: Sequence[Any], headset: Callable[[int], Shared | None]
) -> Iterator[Talker]:
    """The sessions. Their ids tell that they belong together, and in which order.

    Raises a `DuologueError` for a file that cannot be read or written.
    """
    plan = Plan(
        wav=options.wav,
        config=_config(options),
        carrier=options.carrier,
        tools=tools,
        silence=options.silence_ms / 1000,
        timeout=options.timeout,
    )
    name, count = new_id(), options.sessions
    for number in range(1, count + 1):
        yield Talker(
            number,
            name if count == 1 else f"{name}-{number:03}",
            plan,
            headset=headset(number),
            output=options.output and numbered(options.output, number, count),
            log=options.record and numbered(options.record, number, count),
        )


def _config(options: Options) -> SessionConfig:
    transcription = None
    if options.transcribe:
        transcription = events.Transcription(
            model=models.TRANSCRIPTION, **_given(language=options.language)
        )
    given = _given(
        model=options.model,
        voice=options.voice,
        instructions=options.instructions,
    )
    return attrs.evolve(
        default_config(),
        transcription=transcription,
        turn_detection=replace(TURN_DETECTION, silence_duration_ms=options.silence_ms),
        **given,
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
