"""Sound to Opus packets and back: the only module here that imports PyAV."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

from .errors import MissingExtra
from .seam import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE

try:
    import av
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra("WebRTC needs av: pip install 'duologue[webrtc]'") from missing

__all__ = ["CATCH_UP", "Listener", "Pacer", "Packet", "Speaker"]

#: Frames that a stall may be made up for at once; beyond it they are skipped.
CATCH_UP = 5

_FRAME_BYTES = FRAME_SAMPLES * 2
_FRAME_SECONDS = FRAME_MS / 1000
_TIME_BASE = Fraction(1, SAMPLE_RATE)

_log = logging.getLogger(__name__)

#: Generic for checkers only: at run time PyAV 18 refuses the brackets.
Packet: TypeAlias = "av.Packet[av.AudioStream]"


class Speaker:
    """What ``next_audio`` gives, as one Opus packet each 20 ms, encoded in line.

    A receiver sees opus/48000/2 whatever is inside (RFC 7587 section 4.1). A source
    that raises is logged and replaced by silence.
    """

    def __init__(self, next_audio: Callable[[], bytes] | None) -> None:
        self._next_audio = next_audio
        self._pacer = Pacer()
        self._codec = av.CodecContext.create("libopus", "w")
        self._codec.sample_rate = SAMPLE_RATE
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self._codec.bit_rate = 32_000
        self._codec.time_base = _TIME_BASE
        # Complexity 1: a frame costs half to two thirds of the default.
        self._codec.options = {"application": "voip", "compression_level": "1"}

    async def next(self) -> Packet:
        """Wait until the next packet is due and give it."""
        index = await self._pacer.next()
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(self._read())
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = _TIME_BASE
        frame.pts = index * FRAME_SAMPLES
        [packet] = self._codec.encode(frame)
        # The encoder's own stamp is less by its delay: it would start below zero.
        packet.pts = frame.pts
        packet.time_base = _TIME_BASE
        return packet

    def _read(self) -> bytes:
        try:
            pcm = self._next_audio() if self._next_audio is not None else b""
        except Exception:
            _log.exception("the source of audio failed: silence from here on")
            self._next_audio = None
            pcm = b""
        return pcm[:_FRAME_BYTES].ljust(_FRAME_BYTES, b"\0")


class Listener:
    """Hands decoded frames (48 kHz stereo) to ``on_audio`` as PCM16 mono.

    A receiver that raises is logged and gets no more; without one nothing is done.
    """

    def __init__(self, on_audio: Callable[[bytes], None] | None) -> None:
        self._on_audio = on_audio
        self._resampler = av.AudioResampler(
            format="s16", layout="mono", rate=SAMPLE_RATE
        )

    def hear(self, frame: object) -> None:
        """Take one frame; what is not sound (a video track) is dropped."""
        if self._on_audio is None or not isinstance(frame, av.AudioFrame):
            return
        try:
            for part in self._resampler.resample(frame):
                self._on_audio(bytes(part.planes[0])[: part.samples * 2])
        except Exception:
            _log.exception("the receiver of audio failed and gets no more")
            self._on_audio = None


class Pacer:
    """Says when the next frame is due, by the monotonic clock."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._index = -1

    async def next(self) -> int:
        """Wait for the next frame's time and give its number.

        Counted from the first frame, so nothing drifts. After a stall of more than
        `CATCH_UP` frames the numbers jump ahead, which leaves a gap in the time
        stamps instead of a burst on the wire.
        """
        self._index += 1
        now = time.monotonic()
        if self._started is None:
            self._started = now
        wait = self._started + self._index * _FRAME_SECONDS - now
        if wait > 0:
            await asyncio.sleep(wait)
        elif wait < -CATCH_UP * _FRAME_SECONDS:
            self._index += int(-wait / _FRAME_SECONDS)
        return self._index
