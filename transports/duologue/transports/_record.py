"""A transport that also writes everything that happens into a log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from duologue.core import events
from duologue.core.record import Record

from .errors import LogError
from .logfile import LogWriter
from .seam import Target, Transport

__all__ = ["Recording", "record"]


def record(transport: Transport, path: str | Path) -> Recording:
    """``transport``, with every record of its session written to ``path``.

    The log holds what was received, what was sent and the local facts, so its fold
    is the live state. Audio is left out. A log that is there already is replaced
    once the session is connected, not by an attempt that fails. Raises `LogError`
    where the file cannot be written.
    """
    path = Path(path)
    try:
        with path.open("ab") as file:
            replaces = file.tell() > 0
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}") from None
    return Recording(transport, path, replaces=replaces)


class Recording:
    """Passes everything on; the client hands it the records by `log`."""

    def __init__(self, transport: Transport, path: Path, *, replaces: bool) -> None:
        self.transport = transport
        self._path = path
        self._replaces = replaces
        self._waiting: list[Record] = []
        self._writer: LogWriter | None = None

    def log(self, record: Record) -> None:
        """Write one record, or keep it until it is known to be worth it.

        Raises OSError.
        """
        self._waiting.append(record)
        if not self._replaces or isinstance(record.event, events.Connected):
            self._replaces = False
            self._write()

    def _write(self) -> None:
        self._writer = self._writer or LogWriter(self._path)
        while self._waiting:
            self._writer.write(self._waiting.pop(0))

    def end_log(self) -> None:
        """No more records will come."""
        if self._writer is not None:
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
