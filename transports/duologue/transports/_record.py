"""A transport that also writes everything that happens into a log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from duologue.core.record import Record

from .logfile import LogWriter
from .seam import Target, Transport

__all__ = ["Recording", "record"]


def record(transport: Transport, path: str | Path) -> Recording:
    """``transport``, with every record of its session written to ``path``.

    The log holds what was received, what was sent and the local facts, so its fold
    is the live state. Audio is left out. Raises OSError where the file cannot be
    made.
    """
    return Recording(transport, LogWriter(path))


class Recording:
    """Passes everything on; the client hands it the records by `log`."""

    def __init__(self, transport: Transport, writer: LogWriter) -> None:
        self.transport = transport
        self._writer = writer

    def log(self, record: Record) -> None:
        """Write one record. Raises OSError."""
        self._writer.write(record)

    def end_log(self) -> None:
        """No more records will come."""
        self._writer.close()

    def flush_audio(self) -> None:
        """Pass on that received audio must not be played."""
        flush = getattr(self.transport, "flush_audio", None)
        if flush is not None:
            flush()

    async def connect(self, target: Target) -> None:
        """Connect the transport inside."""
        await self.transport.connect(target)

    async def send(self, frame: str) -> None:
        """Send on the transport inside."""
        await self.transport.send(frame)

    def frames(self) -> AsyncIterator[str | bytes]:
        """The frames of the transport inside."""
        return self.transport.frames()

    async def close(self) -> None:
        """Close the transport inside; the log stays open for what follows."""
        await self.transport.close()
