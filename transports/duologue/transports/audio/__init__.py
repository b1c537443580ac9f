"""Audio: sources, sinks, WAV files, and the mixer of a transport."""

from __future__ import annotations

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
