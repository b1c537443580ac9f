"""Audio: sources, sinks, WAV files, and the mixer of a transport."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sinks import BufferSink, CallbackSink, TrimmedSink, WavSink
    from .sources import CallbackSource, QueueSource, SilenceSource, WavSource

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
    "BufferSink": "sinks",
    "CallbackSink": "sinks",
    "CallbackSource": "sources",
    "QueueSource": "sources",
    "SilenceSource": "sources",
    "TrimmedSink": "sinks",
    "WavSink": "sinks",
    "WavSource": "sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
