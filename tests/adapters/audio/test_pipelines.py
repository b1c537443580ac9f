"""The audio path between a device and a transport."""

from __future__ import annotations

from duologue.adapters.audio import Level
from duologue.adapters.audio.pipelines import (
    BLOCK_BYTES,
    CapturePipeline,
    PlaybackPipeline,
)

LOUD = b"\x00\x40"


class Halving:
    """A processor that halves the microphone and records the speaker."""

    def __init__(self) -> None:
        self.rendered: list[bytes] = []

    def capture(self, pcm: bytes) -> bytes:
        assert len(pcm) == BLOCK_BYTES
        return pcm.replace(LOUD, b"\x00\x20")

    def render(self, pcm: bytes) -> None:
        self.rendered.append(pcm)


def test_recorded_audio_is_processed_in_blocks_of_10_ms() -> None:
    """The device may deliver pieces of any size."""
    capture = CapturePipeline(Halving())
    capture.read(0)
    recorded = LOUD * 24 * 50
    for start in range(0, len(recorded), 334):
        capture.push(recorded[start : start + 334])
    assert capture.read(24 * 50) == b"\x00\x20" * 24 * 50
    assert capture.meter.level == Level(-12.0, -12.0)


def test_unread_audio_is_not_sent_late() -> None:
    """Before a transport connects, and after 200 ms without a read."""
    capture = CapturePipeline()
    for _ in range(100):
        capture.push(b"\x01\x40" * 240)
    before = capture.buffer.buffered_ms
    capture.read(0)
    for _ in range(10):
        capture.push(LOUD * 240)
    kept = capture.buffer.buffered_ms
    for _ in range(50):
        capture.push(LOUD * 240)
    assert (before, kept, capture.buffer.buffered_ms) == (10, 110, 10)


def test_the_processor_gets_every_played_block() -> None:
    """The echo canceller needs silence as well."""
    processor = Halving()
    playback = PlaybackPipeline(processor)
    silence = playback.pull()
    playback.buffer.push(LOUD * 24 * 60)
    played = [playback.pull() for _ in range(6)]
    assert silence == bytes(BLOCK_BYTES)
    assert played == [LOUD * 240] * 6
    assert processor.rendered == [silence, *played]
    assert playback.meter.level == Level(-6.0, -6.7)  # 10 of 70 ms are silent


def test_the_end_of_a_reply_is_padded_with_silence() -> None:
    playback = PlaybackPipeline()
    playback.buffer.push(LOUD * 24 * 65)
    blocks = [playback.pull() for _ in range(8)]
    assert blocks[6:] == [(LOUD * 120).ljust(BLOCK_BYTES, b"\0"), bytes(BLOCK_BYTES)]
    assert playback.buffer.underruns == 0
