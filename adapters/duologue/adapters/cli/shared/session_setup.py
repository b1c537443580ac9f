"""Configuration and transport of a session, from the options of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duologue.core import Session, SessionConfig
from duologue.transports import AudioSink, AudioSource, Transport, record

from .options import Carrier

__all__ = ["configure", "is_closed", "make_transport"]


def configure(**given: Any) -> SessionConfig:
    """A configuration with these fields; None keeps the default.

    Without a model, the client adds that of the environment or of the provider.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    return SessionConfig(**fields)


def make_transport(
    carrier: Carrier,
    source: AudioSource | None,
    sink: AudioSink | None,
    log: Path | None,
) -> Transport:
    """Return a transport; with ``log`` it records to that file.

    Raises `MissingExtra` if its libraries are not installed.
    """
    # Each import needs an extra, so only the requested one runs.
    transport: Transport
    if carrier == "webrtc":
        from duologue.transports import webrtc

        transport = webrtc(source=source, sink=sink)
    else:
        from duologue.transports import websocket

        transport = websocket(source=source, sink=sink)
    return transport if log is None else record(transport, log)


def is_closed(session: Session) -> bool:
    """Whether the session has ended, on purpose or not."""
    return session.connection.status.is_over
