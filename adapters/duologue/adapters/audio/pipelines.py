"""What happens to sound between a device and the seam, without the device."""

from __future__ import annotations

from typing import Protocol

from duologue.transports.contract import BYTES_PER_MS, SAMPLE_RATE

from .jitter_buffer import JitterBuffer
from .levels import Meter

__all__ = ["BLOCK_BYTES", "BLOCK_SAMPLES", "Capture", "Playout", "Processor"]

#: Devices and audio processing work on blocks of 10 ms.
BLOCK_SAMPLES = SAMPLE_RATE // 100
BLOCK_BYTES = 10 * BYTES_PER_MS
#: 200 ms.
_FORGET = 20


class Processor(Protocol):
    """Cleans what is said of what is heard; both in blocks of 10 ms."""

    def capture(self, pcm: bytes) -> bytes:
        """A block of the microphone, cleaned."""

    def render(self, pcm: bytes) -> None:
        """A block that the speaker is about to play."""


class Capture:
    """From a microphone to the seam: blocks of 10 ms, processed, metered, buffered.

    A transport that is not connected reads nothing. What is said meanwhile is not
    said late: after `_FORGET` blocks that nobody read, only the last one is kept.
    """

    def __init__(self, processor: Processor | None = None) -> None:
        self.meter = Meter()
        self.buffer = JitterBuffer(fill_ms=40, high_ms=120, limit_ms=200)
        self._processor = processor
        self._rest = bytearray()
        self._unread = _FORGET

    def read(self, samples: int) -> bytes:
        """See `AudioSource`."""
        self._unread = 0
        return self.buffer.pull(samples)

    def take(self, pcm: bytes) -> None:
        """Take what the device recorded, in pieces of any size."""
        self._rest += pcm
        while len(self._rest) >= BLOCK_BYTES:
            block = bytes(self._rest[:BLOCK_BYTES])
            del self._rest[:BLOCK_BYTES]
            if self._processor is not None:
                block = self._processor.capture(block)
            self.meter.add(block)
            if self._unread >= _FORGET:
                self.buffer.clear()
            self._unread += 1
            self.buffer.push(block)


class Playout:
    """From the seam to a speaker: buffered, metered, known to the processor."""

    def __init__(self, processor: Processor | None = None) -> None:
        self.meter = Meter()
        self.buffer = JitterBuffer(fill_ms=60, high_ms=300, limit_ms=2_000)
        self._processor = processor

    def give(self) -> bytes:
        """The next 10 ms to play; silence where there is none."""
        block = self.buffer.pull(BLOCK_SAMPLES).ljust(BLOCK_BYTES, b"\0")
        if self._processor is not None:
            self._processor.render(block)
        self.meter.add(block)
        return block
