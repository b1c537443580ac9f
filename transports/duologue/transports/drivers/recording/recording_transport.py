"""A transport around another one that writes a log of the session."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from duologue.core import events
from duologue.core.log.record import Record

from ...clock import Clock
from ...contract import (
    Audible,
    Flushable,
    Following,
    Rejoining,
    Repeatable,
    Report,
    Reporting,
    Tappable,
    Target,
    Timed,
    Transport,
)
from ...errors import LogError
from .log_file import LogWriter
from .stereo_wav import StereoWav

__all__ = ["Recording", "record"]


def record(
    transport: Transport, path: str | Path, *, audio: str | Path | None = None
) -> Recording:
    """Wrap ``transport`` to write every record of its session to ``path``.

    The log contains received frames, sent events and local facts, but no audio; folding
    it gives the state of the live session. With ``audio``, both directions are also
    written to that file, a stereo WAV in real time: the user on the left channel, the
    reply on the right. Existing files are replaced when the session is connected; a
    failed attempt does not change them.

    Raises `LogError` if a file cannot be written, ValueError for ``audio`` with a
    transport that carries no audio.
    """
    path = Path(path)
    if audio is not None and not isinstance(transport, Tappable):
        raise ValueError("this transport carries no audio to record")
    replaces = _has_content(path)
    if audio is not None:
        _has_content(Path(audio))
    recording = Recording(transport, path, replaces=replaces)
    if audio is not None and isinstance(transport, Tappable):
        recording.wav = StereoWav(Path(audio))
        transport.tap(recording.wav.write_left, recording.wav.write_right)
    return recording


def _has_content(path: Path) -> bool:
    """Whether the file has content. Raises `LogError` if it cannot be written."""
    try:
        with path.open("ab") as file:
            return file.tell() > 0
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}") from None


class Recording:
    """Delegates to another transport; the client passes the records to `log`."""

    def __init__(self, transport: Transport, path: Path, *, replaces: bool) -> None:
        self.transport = transport
        self.wav: StereoWav | None = None
        self._path = path
        self._replaces = replaces
        self._waiting: deque[Record] = deque()
        self._writer: LogWriter | None = None

    def log(self, record: Record) -> None:
        """Write one record, or keep it until the session connects and replaces the log.

        Raises OSError if the record was not written; you can then pass it again.
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
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
        if self.wav is not None:
            self.wav.close()

    @property
    def clock(self) -> Clock | None:
        """The clock of the inner transport, if it has one."""
        return self.transport.clock if isinstance(self.transport, Timed) else None

    @property
    def session_id(self) -> str | None:
        """The session id of the inner transport, if it is a recording."""
        return self.transport.session_id if isinstance(self.transport, Timed) else None

    @property
    def rejoins(self) -> bool:
        """See `contract.Rejoining`."""
        return isinstance(self.transport, Rejoining) and self.transport.rejoins

    def requested(self) -> None:
        """See `contract.Following`."""
        if isinstance(self.transport, Following):
            self.transport.requested()

    def chance(self) -> float | None:
        """A number from 0 to 1, of the inner transport: see `contract.Following`."""
        inner = self.transport
        return inner.chance() if isinstance(inner, Following) else None

    def report_to(self, report: Report) -> None:
        """See `contract.Reporting`."""
        if isinstance(self.transport, Reporting):
            self.transport.report_to(report)

    def tap(
        self, said: Callable[[bytes], None], heard: Callable[[bytes], None]
    ) -> None:
        """See `contract.Tappable`. Raises ValueError if there is no audio to copy."""
        if self.wav is not None or not isinstance(self.transport, Tappable):
            raise ValueError("this transport carries no audio, or it is recorded")
        self.transport.tap(said, heard)

    def set_muted(self, muted: bool) -> None:
        """Mute the inner transport, if it carries audio."""
        if isinstance(self.transport, Audible):
            self.transport.set_muted(muted)

    def set_volume(self, volume: float) -> None:
        """Set the volume of the inner transport, from 0 to 1."""
        if isinstance(self.transport, Audible):
            self.transport.set_volume(volume)

    def flush_audio(self) -> None:
        """Drop received audio of the inner transport that was not played yet."""
        if isinstance(self.transport, Flushable):
            self.transport.flush_audio()

    def again(self) -> Transport | None:
        """A new inner transport, without a log; None if the inner one cannot reconnect.

        The first recording writes the log of the whole session.
        """
        inner = self.transport
        return inner.again() if isinstance(inner, Repeatable) else None

    async def connect(self, target: Target) -> None:
        """Connect the inner transport."""
        await self.transport.connect(target)

    async def send(self, frame: str) -> None:
        """Send on the inner transport."""
        await self.transport.send(frame)

    def frames(self) -> AsyncIterator[str | bytes]:
        """The frames of the inner transport."""
        return self.transport.frames()

    async def close(self) -> None:
        """Close the inner transport; the log stays open for the next connection."""
        await self.transport.close()
