"""What happens to sound between a device and the seam."""

from __future__ import annotations

from duologue.adapters.audio import Level
from duologue.adapters.audio.pipelines import BLOCK_BYTES, Capture, Playout

LOUD = b"\x00\x40"


class Halving:
    """Stands in for audio processing: halves what is said, keeps what is heard."""

    def __init__(self) -> None:
        self.rendered: list[bytes] = []

    def capture(self, pcm: bytes) -> bytes:
        assert len(pcm) == BLOCK_BYTES
        return pcm.replace(LOUD, b"\x00\x20")

    def render(self, pcm: bytes) -> None:
        self.rendered.append(pcm)


def test_what_is_recorded_is_processed_in_blocks_of_10_ms() -> None:
    """Whatever the pieces in which the device gives it."""
    capture = Capture(Halving())
    capture.read(0)
    recorded = LOUD * 24 * 50
    for start in range(0, len(recorded), 334):
        capture.take(recorded[start : start + 334])
    assert capture.read(24 * 50) == b"\x00\x20" * 24 * 50
    assert capture.meter.level == Level(-12.0, -12.0)


def test_what_nobody_read_is_not_said_late() -> None:
    """Before a transport is connected, and in a pause of 200 ms or more."""
    capture = Capture()
    for _ in range(100):
        capture.take(b"\x01\x40" * 240)
    before = capture.buffer.buffered_ms
    capture.read(0)
    for _ in range(10):
        capture.take(LOUD * 240)
    kept = capture.buffer.buffered_ms
    for _ in range(50):
        capture.take(LOUD * 240)
    assert (before, kept, capture.buffer.buffered_ms) == (10, 110, 10)


def test_what_is_played_is_what_the_processor_hears() -> None:
    """Silence included: the echo canceller needs every block."""
    processor = Halving()
    playout = Playout(processor)
    silence = playout.give()
    playout.buffer.push(LOUD * 24 * 60)
    played = [playout.give() for _ in range(6)]
    assert silence == bytes(BLOCK_BYTES)
    assert played == [LOUD * 240] * 6
    assert processor.rendered == [silence, *played]
    assert playout.meter.level == Level(-6.0, -6.7)  # 10 of 70 ms are silent


def test_the_end_of_a_reply_is_filled_up_with_silence() -> None:
    playout = Playout()
    playout.buffer.push(LOUD * 24 * 65)
    blocks = [playout.give() for _ in range(8)]
    assert blocks[6:] == [(LOUD * 120).ljust(BLOCK_BYTES, b"\0"), bytes(BLOCK_BYTES)]
    assert playout.buffer.underruns == 0
