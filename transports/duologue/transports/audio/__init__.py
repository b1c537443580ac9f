"""Audio: sources, sinks, WAV files, and the mixer of a transport."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sources_and_sinks import (
        BufferSink,
        CallbackSink,
        CallbackSource,
        QueueSource,
        SilenceSource,
        WavSink,
        WavSource,
    )
    from .trim import TrimmedSink

__all__ = [
    "BufferSink",
    "CallbackSink",
    "CallbackSource",
    "QueueSource",
    "SilenceSource",
    "TrimmedSink",
    "WavSink",
    "WavSource",
]

_HOMES = {
    "BufferSink": "sources_and_sinks",
    "CallbackSink": "sources_and_sinks",
    "CallbackSource": "sources_and_sinks",
    "QueueSource": "sources_and_sinks",
    "SilenceSource": "sources_and_sinks",
    "TrimmedSink": "trim",
    "WavSink": "sources_and_sinks",
    "WavSource": "sources_and_sinks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
