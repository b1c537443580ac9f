"""The audio of a transport: mute, volume, and taps for both directions."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from ..contract import FRAME_SAMPLES, AudioSink, AudioSource

__all__ = ["FRAME_BYTES", "Mixer"]

#: Bytes of a frame of PCM16 mono.
FRAME_BYTES = FRAME_SAMPLES * 2

Tap = Callable[[bytes], None]


def _no_tap(pcm: bytes) -> None:
    """The default tap."""


class Mixer:
    """A source and a sink, both optional, with mute, volume and taps.

    Successive connections of a session share one mixer. While two connections are open,
    the first to read the source keeps it until it calls `release`.
    """

    def __init__(self, source: AudioSource | None, sink: AudioSink | None) -> None:
        self.source = source
        self.sink = sink
        self._muted = False
        self._volume = 1.0
        self._sent_tap: Tap = _no_tap
        self._received_tap: Tap = _no_tap
        self._reader: object = None

    @property
    def has_source(self) -> bool:
        """Whether there is a source."""
        return self.source is not None

    @property
    def has_output(self) -> bool:
        """Whether received audio has a sink or a tap."""
        return self.sink is not None or self._received_tap is not _no_tap

    def tap(self, said: Tap, heard: Tap) -> None:
        """See `contract.Tappable`."""
        self._sent_tap, self._received_tap = said, heard

    def set_muted(self, muted: bool) -> None:
        """See `contract.Audible`."""
        self._muted = muted

    def set_volume(self, volume: float) -> None:
        """Set the volume, from 0 to 1. Raises ValueError for any other."""
        if not 0 <= volume <= 1:
            raise ValueError(f"volume is {volume!r}, it must be from 0 to 1")
        self._volume = volume

    def read(self, reader: object) -> bytes:
        """The next frame to send: silence if muted or if the source has none.

        The audio of a muted source is read and discarded. ``reader`` is a connection:
        the first one has the source until it calls `release`; any other gets silence.
        """
        if self._reader is None:
            self._reader = reader
        if reader is not self._reader:
            return bytes(FRAME_BYTES)
        pcm = b"" if self.source is None else self.source.read(FRAME_SAMPLES)
        if self._muted:
            pcm = b""
        pcm = pcm[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
        self._sent_tap(pcm)
        return pcm

    def release(self, reader: object) -> None:
        """Free the source for another reader."""
        if self._reader is reader:
            self._reader = None

    def write(self, pcm: bytes) -> None:
        """Pass received audio to the tap and the sink."""
        self._received_tap(pcm)
        if self.sink is not None:
            self.sink.write(pcm if self._volume == 1 else _scaled(pcm, self._volume))

    def flush(self) -> None:
        """Flush the sink."""
        if self.sink is not None:
            self.sink.flush()


def _scaled(pcm: bytes, volume: float) -> bytes:
    samples = array("h", pcm[: len(pcm) & ~1])
    return array("h", (int(sample * volume) for sample in samples)).tobytes()
