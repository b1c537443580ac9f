"""Live sessions and the transports that carry them.

Names are loaded when they are first used, so that a part whose extra is not
installed is missed only by those who want it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import memory
from .credentials import (
    Credentials,
    EphemeralKeys,
    KeySource,
    Secret,
    TokenEndpoint,
)
from .errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DuologueError,
    LogError,
    MediaError,
    MissingExtra,
    NotConnected,
    ReplayDrift,
    ServiceUnreachable,
    SignallingError,
)
from .seam import AudioSink, AudioSource, Target, Transport

if TYPE_CHECKING:
    from ._ice import IceServer
    from ._record import record
    from ._replay import replay
    from ._statistics import Statistics
    from ._trim import TrimmedSink
    from ._webrtc import webrtc
    from ._websocket import websocket
    from .audio import (
        BufferSink,
        CallbackSink,
        CallbackSource,
        QueueSource,
        SilenceSource,
        WavSink,
        WavSource,
    )
    from .client import Client
    from .logfile import read_log_file
    from .session import LiveSession
    from .tools import Tool, tool

_LAZY = {
    "BufferSink": "audio",
    "CallbackSink": "audio",
    "CallbackSource": "audio",
    "Client": "client",
    "IceServer": "_ice",
    "LiveSession": "session",
    "QueueSource": "audio",
    "SilenceSource": "audio",
    "Statistics": "_statistics",
    "Tool": "tools",
    "TrimmedSink": "_trim",
    "WavSink": "audio",
    "WavSource": "audio",
    "read_log_file": "logfile",
    "record": "_record",
    "replay": "_replay",
    "tool": "tools",
    "webrtc": "_webrtc",
    "websocket": "_websocket",
}

__all__ = [
    "AudioSink",
    "AudioSource",
    "AuthenticationError",
    "BufferSink",
    "CallbackSink",
    "CallbackSource",
    "Client",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "Credentials",
    "DuologueError",
    "EphemeralKeys",
    "IceServer",
    "KeySource",
    "LiveSession",
    "LogError",
    "MediaError",
    "MissingExtra",
    "NotConnected",
    "QueueSource",
    "ReplayDrift",
    "Secret",
    "ServiceUnreachable",
    "SignallingError",
    "SilenceSource",
    "Statistics",
    "Target",
    "TokenEndpoint",
    "Tool",
    "Transport",
    "TrimmedSink",
    "WavSink",
    "WavSource",
    "memory",
    "read_log_file",
    "record",
    "replay",
    "tool",
    "webrtc",
    "websocket",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value
