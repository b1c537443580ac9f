"""The sound inside a transport: both sides, turned down or listened to."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from ..contract import FRAME_SAMPLES, AudioSink, AudioSource

__all__ = ["FRAME_BYTES", "Sound"]

#: Bytes of a frame of PCM16 mono.
FRAME_BYTES = FRAME_SAMPLES * 2

Tap = Callable[[bytes], None]


def _nobody(pcm: bytes) -> None:
    """Nobody listens."""


class Sound:
    """A source and a sink, either of which may be missing.

    Connections that follow each other share one. While two of them stand, the first
    that read the source has it alone, until it calls `release`.
    """

    def __init__(self, source: AudioSource | None, sink: AudioSink | None) -> None:
        self.source = source
        self.sink = sink
        self._muted = False
        self._volume = 1.0
        self._said: Tap = _nobody
        self._heard: Tap = _nobody
        self._reader: object = None

    @property
    def speaks(self) -> bool:
        """Whether there is anything to send."""
        return self.source is not None

    @property
    def is_heard(self) -> bool:
        """Whether anyone wants what comes."""
        return self.sink is not None or self._heard is not _nobody

    def tap(self, said: Tap, heard: Tap) -> None:
        """See `seam.Tappable`."""
        self._said, self._heard = said, heard

    def set_muted(self, muted: bool) -> None:
        """See `seam.Audible`."""
        self._muted = muted

    def set_volume(self, volume: float) -> None:
        """See `seam.Audible`. Raises ValueError for what is not from 0 to 1."""
        if not 0 <= volume <= 1:
            raise ValueError(f"volume is {volume!r}, it must be from 0 to 1")
        self._volume = volume

    def read(self, reader: object) -> bytes:
        """The next frame to send: silence where the source has none, and if muted.

        The source is read all the same: what was said meanwhile is not said later.
        Silence too where another ``reader`` has the source.
        """
        if self._reader is None:
            self._reader = reader
        if reader is not self._reader:
            return bytes(FRAME_BYTES)
        pcm = b"" if self.source is None else self.source.read(FRAME_SAMPLES)
        if self._muted:
            pcm = b""
        pcm = pcm[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
        self._said(pcm)
        return pcm

    def release(self, reader: object) -> None:
        """This one reads no more: the source is the next one's."""
        if self._reader is reader:
            self._reader = None

    def write(self, pcm: bytes) -> None:
        """Pass on what is heard."""
        self._heard(pcm)
        if self.sink is not None:
            self.sink.write(pcm if self._volume == 1 else _scaled(pcm, self._volume))

    def flush(self) -> None:
        """Drop what the sink took and did not play."""
        if self.sink is not None:
            self.sink.flush()


def _scaled(pcm: bytes, volume: float) -> bytes:
    samples = array("h", pcm[: len(pcm) & ~1])
    return array("h", (int(sample * volume) for sample in samples)).tobytes()
