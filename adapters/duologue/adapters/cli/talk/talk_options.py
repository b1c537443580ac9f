"""The options of ``talk``."""

from __future__ import annotations

from pathlib import Path

import attrs

from ..shared.options import Carrier

__all__ = ["DeviceOptions", "TalkOptions", "numbered_path"]


@attrs.frozen(kw_only=True)
class DeviceOptions:
    """An index, a name or a part of a name for each device; None is the default."""

    input: str | None
    output: str | None
    aec: bool


@attrs.frozen(kw_only=True)
class TalkOptions:
    """The options of the command. Without ``wav`` and ``mic`` the user types."""

    wav: Path | None
    mic: DeviceOptions | None
    sessions: int
    carrier: Carrier
    tools: str | None
    local: bool
    base_url: str | None
    provider: str | None
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


def numbered_path(path: Path, number: int, of: int) -> Path:
    """The file of one of several sessions: ``reply-2.wav`` for ``reply.wav``."""
    return path if of == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
