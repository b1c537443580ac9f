"""Opus encoding and decoding. The only module of this root that imports PyAV."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from ...contract import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE
from ...errors import MissingExtra
from .packet_cache import FRAME_BYTES, CachedEncoder, PacketCache

try:
    import av
    from av.error import FFmpegError
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra("WebRTC needs av: pip install 'duologue[webrtc]'") from missing

if TYPE_CHECKING:
    from av.stream import Stream

__all__ = [
    "CATCH_UP",
    "OpusDecoder",
    "OpusReceiver",
    "OpusSender",
    "Pacer",
    "Packet",
]

#: Maximum frames that are sent at once after a stall; more frames are skipped.
CATCH_UP = 5

_FRAME_SECONDS = FRAME_MS / 1000
_TIME_BASE = Fraction(1, SAMPLE_RATE)
#: Hz; the rate of decoded Opus here (RFC 7587 section 4.1).
_OPUS_RATE = 48_000

_log = logging.getLogger(__name__)

#: Generic for type checkers only: PyAV 18 fails on the brackets at run time.
Packet: TypeAlias = "av.Packet[Stream]"


class OpusSender:
    """Encodes the audio of ``next_audio`` as one Opus packet every 20 ms.

    Any content is negotiated as opus/48000/2 (RFC 7587 section 7). If ``next_audio``
    raises, the error is logged and silence is sent from then on. If it returns None, no
    packet is sent and it is not called again until `wake`. Senders with equal audio
    share ``cache``.
    """

    def __init__(
        self,
        next_audio: Callable[[], bytes | None] | None,
        cache: PacketCache | None = None,
    ) -> None:
        self._next_audio = next_audio
        self._pacer = Pacer()
        self._awake = asyncio.Event()
        self._encoder = CachedEncoder(
            _new_encoder, PacketCache() if cache is None else cache
        )

    async def next(self) -> Packet:
        """Wait until the next packet is due; return it."""
        index = await self._pacer.next()
        while (pcm := self._read()) is None:
            self._awake.clear()
            await self._awake.wait()
            index = await self._pacer.next()
        packet: Packet = av.Packet(self._encoder.encode(pcm))
        packet.pts = index * FRAME_SAMPLES
        packet.time_base = _TIME_BASE
        return packet

    def wake(self) -> None:
        """Call ``next_audio`` again after it returned None."""
        self._awake.set()

    def _read(self) -> bytes | None:
        try:
            pcm = self._next_audio() if self._next_audio is not None else b""
        except Exception:
            _log.exception("the audio source failed; silence is sent from now on")
            self._next_audio = None
            pcm = b""
        return None if pcm is None else pcm[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0")


def _new_encoder() -> Callable[[bytes], bytes]:
    """A new encoder of 20 ms frames."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate = SAMPLE_RATE
    codec.layout = "mono"
    codec.format = "s16"
    codec.bit_rate = 32_000
    codec.time_base = _TIME_BASE
    # Complexity 1 takes half to two thirds of the default's CPU time.
    codec.options = {"application": "voip", "compression_level": "1"}
    at = 0

    def encode(pcm: bytes) -> bytes:
        nonlocal at
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(pcm)
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = _TIME_BASE
        frame.pts = at
        at += FRAME_SAMPLES
        [packet] = codec.encode(frame)
        return bytes(packet)

    return encode


class OpusDecoder:
    """Opus packets of one stream to PCM16 mono at `SAMPLE_RATE`."""

    def __init__(self) -> None:
        # FFmpeg's own decoder takes a third to two thirds of libopus's time at 48 kHz.
        self._codec = av.CodecContext.create("opus", "r")
        self._codec.sample_rate = _OPUS_RATE
        self._codec.layout = "mono"
        self._resampler = av.AudioResampler(
            format="s16", layout="mono", rate=SAMPLE_RATE
        )

    def decode(self, packet: bytes) -> bytes:
        """The audio of the next packet; empty if it is not Opus."""
        if not packet:  # an empty packet would end the stream
            return b""
        try:
            frames = self._codec.decode(av.Packet(packet))
        except FFmpegError as error:
            _log.debug("a packet is not Opus: %s", error)
            return b""
        parts = (part for frame in frames for part in self._resampler.resample(frame))
        return b"".join(bytes(part.planes[0])[: part.samples * 2] for part in parts)


class OpusReceiver:
    """Decodes packets and passes the audio to ``on_audio``.

    If ``on_audio`` raises, the error is logged and decoding stops. Without ``on_audio``
    nothing is decoded.
    """

    def __init__(self, on_audio: Callable[[bytes], None] | None) -> None:
        self._on_audio = on_audio
        self._decoder: OpusDecoder | None = None

    def receive(self, packet: bytes) -> None:
        """Decode one packet."""
        if self._on_audio is None:
            return
        if self._decoder is None:
            self._decoder = OpusDecoder()
        try:
            if pcm := self._decoder.decode(packet):
                self._on_audio(pcm)
        except Exception:
            _log.exception("the audio callback failed; no more audio is decoded")
            self._on_audio = None


class Pacer:
    """Waits until the next frame is due, by the monotonic clock."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._index = -1

    async def next(self) -> int:
        """Wait for the next frame's time; return its number.

        Times are counted from the first frame, so they do not drift. After a stall of
        more than `CATCH_UP` frames the numbers skip ahead: the time stamps have a gap,
        and no burst is sent.
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
