"""The audio path between a device and a transport, without the device."""

from __future__ import annotations

from typing import Protocol

from duologue.transports.contract import BYTES_PER_MS, SAMPLE_RATE

from .jitter_buffer import JitterBuffer
from .levels import Meter

__all__ = [
    "BLOCK_BYTES",
    "BLOCK_SAMPLES",
    "AudioProcessor",
    "CapturePipeline",
    "PlaybackPipeline",
]

#: Devices and audio processing work on blocks of 10 ms.
BLOCK_SAMPLES = SAMPLE_RATE // 100
BLOCK_BYTES = 10 * BYTES_PER_MS
#: After this many blocks (200 ms) without a `read`, older audio is dropped.
_MOST_UNREAD = 20


class AudioProcessor(Protocol):
    """Removes the speaker's echo from the microphone, 10 ms at a time."""

    def capture(self, pcm: bytes) -> bytes:
        """Return a block of the microphone, cleaned."""

    def render(self, pcm: bytes) -> None:
        """Take a block that the speaker is about to play."""


class CapturePipeline:
    """From microphone to transport: processes, measures and buffers blocks of 10 ms.

    A transport reads nothing before it is connected. After 200 ms without a `read`
    only the newest block is kept, so that stale speech is not sent late.
    """

    def __init__(self, processor: AudioProcessor | None = None) -> None:
        self.meter = Meter()
        self.buffer = JitterBuffer(fill_ms=40, high_ms=120, limit_ms=200)
        self._processor = processor
        self._partial = bytearray()
        self._unread = _MOST_UNREAD

    def read(self, samples: int) -> bytes:
        """See `AudioSource`."""
        self._unread = 0
        return self.buffer.pull(samples)

    def push(self, pcm: bytes) -> None:
        """Take recorded audio in pieces of any size."""
        self._partial += pcm
        while len(self._partial) >= BLOCK_BYTES:
            block = bytes(self._partial[:BLOCK_BYTES])
            del self._partial[:BLOCK_BYTES]
            if self._processor is not None:
                block = self._processor.capture(block)
            self.meter.add(block)
            if self._unread >= _MOST_UNREAD:
                self.buffer.clear()
            self._unread += 1
            self.buffer.push(block)


class PlaybackPipeline:
    """From transport to speaker: buffers and measures audio, calls the processor."""

    def __init__(self, processor: AudioProcessor | None = None) -> None:
        self.meter = Meter()
        self.buffer = JitterBuffer(fill_ms=60, high_ms=300, limit_ms=2_000)
        self._processor = processor

    def pull(self) -> bytes:
        """Return the next 10 ms to play, padded with silence."""
        block = self.buffer.pull(BLOCK_SAMPLES).ljust(BLOCK_BYTES, b"\0")
        if self._processor is not None:
            self._processor.render(block)
        self.meter.add(block)
        return block
