"""The end of a turn, with a detector that reports silence late."""

from __future__ import annotations

import attrs
import pytest

from duologue.local.engine.turn_detection import SpeechStopped, TurnDetector, TurnRule
from duologue.local.speech.tts_stream import Trim

RULE = TurnRule(
    threshold=0.5,
    prefix_ms=300,
    silence_ms=320,
    create_response=True,
    interrupt_response=True,
)
#: Chunks of 32 ms at 16 kHz.
LOUD, SOFT, QUIET = (
    b"\x00\x20" * 512,
    b"\x00\x04" * 512,
    b"\x08\x00" * 512,
)


@attrs.define
class Lagging:
    """A detector that reports speech for some chunks after the last loud one."""

    lag: int
    left: int = 0
    chunk_bytes: int = 1024

    def __call__(self, pcm16k: bytes) -> float:
        self.left = self.lag if pcm16k != QUIET else self.left - 1
        return 0.9 if self.left >= 0 else 0.0

    def reset(self) -> None:
        self.left = 0


def ends(lag: int, *chunks: bytes) -> list[int]:
    """The number of chunks at the end of each turn."""
    detector = TurnDetector(Lagging(lag, left=-1), lambda pcm: pcm)
    return [
        number
        for number, chunk in enumerate(chunks, 1)
        for found in detector.process(chunk, RULE)
        if isinstance(found, SpeechStopped)
    ]


@pytest.mark.parametrize("lag", [0, 2, 4])
def test_silence_counts_from_where_it_was_faint(lag: int) -> None:
    """Ten chunks of silence end the turn, however late the detector reports it."""
    assert ends(lag, *[LOUD] * 10, *[QUIET] * 20) == [20]


def test_a_memory_of_more_than_a_moment_is_believed() -> None:
    """Longer reports may be soft speech: at most four chunks count back."""
    assert ends(8, *[LOUD] * 10, *[QUIET] * 30) == [24]


def test_soft_sound_is_not_silence() -> None:
    """At -18 dB only the detector's report ends the turn."""
    assert ends(0, *[LOUD] * 10, *[SOFT] * 20, *[QUIET] * 20) == [40]


def test_a_pause_is_forgotten_when_speech_goes_on() -> None:
    chunks = [*[LOUD] * 10, *[QUIET] * 9, *[LOUD] * 5, *[QUIET] * 20]
    assert ends(2, *chunks) == [34]


@pytest.mark.parametrize("size", [2, 50, 400, 10_000])
def test_a_voice_begins_8_ms_before_its_first_sound(size: int) -> None:
    """For any split of the audio; silence inside is kept."""
    soft, loud = b"\x10\x00" * 1000, b"\x00\x10" * 300
    pcm = soft + loud + soft + loud
    trim = Trim(16_000)
    pieces = [trim(pcm[at : at + size * 2]) for at in range(0, len(pcm), size * 2)]
    assert b"".join(pieces) == soft[: 8 * 16 * 2] + loud + soft + loud
