"""A transport that also writes everything that happens into a log."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from duologue.core import events
from duologue.core.log.record import Record

from ...clock import Clock
from ...contract import Audible, Report, Reporting, Tappable, Target, Transport
from ...errors import LogError
from .log_file import LogWriter
from .stereo_wav import StereoWav

__all__ = ["Recording", "record"]


def record(
    transport: Transport, path: str | Path, *, audio: str | Path | None = None
) -> Recording:
    """``transport``, with every record of its session written to ``path``.

    The log holds what was received, what was sent and the local facts, so its fold
    is the live state. Its audio is left out. With ``audio`` what was said and what was
    heard are written to that file, a stereo WAV: the user left, the reply right, each
    when it sounded. A log or WAV that is there already is replaced once the session
    is connected, not by an attempt that fails.

    Raises `LogError` where a file cannot be written, ValueError for ``audio`` of a
    transport that carries no sound itself.
    """
    path = Path(path)
    if audio is not None and not isinstance(transport, Tappable):
        raise ValueError("this transport carries no sound that could be recorded")
    replaces = _probe(path)
    if audio is not None:
        _probe(Path(audio))
    recording = Recording(transport, path, replaces=replaces)
    if audio is not None and isinstance(transport, Tappable):
        recording.wav = StereoWav(Path(audio))
        transport.tap(recording.wav.write_left, recording.wav.write_right)
    return recording


def _probe(path: Path) -> bool:
    """Whether there is something in the file. Raises `LogError` if none can be."""
    try:
        with path.open("ab") as file:
            return file.tell() > 0
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}") from None


class Recording:
    """Passes everything on; the client hands it the records by `log`."""

    def __init__(self, transport: Transport, path: Path, *, replaces: bool) -> None:
        self.transport = transport
        self.wav: StereoWav | None = None
        self._path = path
        self._replaces = replaces
        self._waiting: deque[Record] = deque()
        self._writer: LogWriter | None = None

    def log(self, record: Record) -> None:
        """Write one record, or keep it until it is known to be worth it.

        Raises OSError; then it was not taken, and can be handed in again.
        """
        if isinstance(record.event, events.Connected):
            self._replaces = False
            if self.wav is not None:
                self.wav.start()
        if self._replaces:
            self._waiting.append(record)
            return
        self._writer = self._writer or LogWriter(self._path)
        while self._waiting:
            self._writer.write(self._waiting[0])
            self._waiting.popleft()
        self._writer.write(record)

    def end_log(self) -> None:
        """No more records will come."""
        if self._writer is not None:
            self._writer.close()
        if self.wav is not None:
            self.wav.close()

    @property
    def clock(self) -> Clock | None:
        """The time of the transport inside, if it has one of its own."""
        return getattr(self.transport, "clock", None)

    @property
    def session_id(self) -> str | None:
        """The session of the transport inside, if it is a recording."""
        return getattr(self.transport, "session_id", None)

    def report_to(self, report: Report) -> None:
        """Let the transport inside report what it does by itself."""
        if isinstance(self.transport, Reporting):
            self.transport.report_to(report)

    def tap(
        self, said: Callable[[bytes], None], heard: Callable[[bytes], None]
    ) -> None:
        """Listen to the transport inside. Raises ValueError if it carries no sound."""
        if self.wav is not None or not isinstance(self.transport, Tappable):
            raise ValueError("this transport carries no sound, or it is recorded")
        self.transport.tap(said, heard)

    def set_muted(self, muted: bool) -> None:
        """Mute the transport inside; one without sound is silent."""
        if isinstance(self.transport, Audible):
            self.transport.set_muted(muted)

    def set_volume(self, volume: float) -> None:
        """Set the volume of the transport inside, from 0 to 1."""
        if isinstance(self.transport, Audible):
            self.transport.set_volume(volume)

    def flush_audio(self) -> None:
        """Pass on that received audio must not be played."""
        flush = getattr(self.transport, "flush_audio", None)
        if flush is not None:
            flush()

    @property
    def again(self) -> Callable[[], Transport] | None:
        """What makes the next transport; None where there can be no other.

        The log goes on: it belongs to the session, not to a connection.
        """
        return getattr(self.transport, "again", None)

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
