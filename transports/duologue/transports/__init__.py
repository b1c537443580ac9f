"""Live sessions, and the transports that connect them.

Names are loaded on first use: a missing extra matters only if you use a name that
needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from duologue.core.old_paths import redirect

from .audio.sinks import BufferSink, CallbackSink, TrimmedSink, WavSink
from .audio.sources import CallbackSource, QueueSource, SilenceSource, WavSource
from .contract import AudioSink, AudioSource, KeySource, Target, Transport
from .drivers import memory
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
    ReplyError,
    ReplyTimeout,
    ServiceUnreachable,
    SignallingError,
)
from .http.credentials import Credentials, Secret
from .http.ephemeral_keys import EphemeralKeys, TokenEndpoint, TokenFunction
from .http.providers import PROVIDERS, Provider

if TYPE_CHECKING:
    from .client.client import Client
    from .client.live_session import LiveSession
    from .client.tools import Tool, tool
    from .drivers.recording.log_file import read_log_file
    from .drivers.recording.recording_transport import record
    from .drivers.replay.replay_transport import replay
    from .drivers.webrtc.ice_server import IceServer
    from .drivers.webrtc.statistics import Statistics
    from .drivers.webrtc.webrtc_transport import webrtc
    from .drivers.websocket.websocket_transport import websocket

_LAZY = {
    "Client": "client.client",
    "IceServer": "drivers.webrtc.ice_server",
    "LiveSession": "client.live_session",
    "Statistics": "drivers.webrtc.statistics",
    "Tool": "client.tools",
    "read_log_file": "drivers.recording.log_file",
    "record": "drivers.recording.recording_transport",
    "replay": "drivers.replay.replay_transport",
    "tool": "client.tools",
    "webrtc": "drivers.webrtc.webrtc_transport",
    "websocket": "drivers.websocket.websocket_transport",
}

__all__ = [
    "PROVIDERS",
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
    "Provider",
    "QueueSource",
    "ReplayDrift",
    "ReplyError",
    "ReplyTimeout",
    "Secret",
    "ServiceUnreachable",
    "SignallingError",
    "SilenceSource",
    "Statistics",
    "Target",
    "TokenEndpoint",
    "TokenFunction",
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

redirect(
    __name__,
    """
    credentials=http.ephemeral_keys emitter=client.emitter
    logfile=drivers.recording.log_file memory=drivers.memory seam=contract
    session=client.live_session signalling=http.signalling tools=client.tools
    """,
)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value
