"""The effect of WebRTC's audio processing on speech and on its echo."""

from __future__ import annotations

import importlib.util
import os
import sys
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from duologue.adapters.audio import Processing, can_process, measure
from duologue.transports.errors import MissingExtra

BLOCK = 480
EXAMPLES = Path(__file__).parents[3] / "examples"

needs_livekit = pytest.mark.skipif(
    importlib.util.find_spec("livekit") is None and os.environ.get("CI") != "true",
    reason="livekit is not installed",
)


def speech(name: str) -> bytes:
    with wave.open(str(EXAMPLES / name), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        return file.readframes(file.getnframes())


def blocks(pcm: bytes) -> Iterator[bytes]:
    for at in range(0, len(pcm) - BLOCK + 1, BLOCK):
        yield pcm[at : at + BLOCK]


def mixed(one: bytes, other: bytes) -> bytes:
    pairs = zip(array("h", one), array("h", other), strict=True)
    return array("h", (max(-32768, min(32767, a + b)) for a, b in pairs)).tobytes()


def echo(pcm: bytes, delay_ms: int = 80) -> bytes:
    """The echo of a speaker in a microphone: delayed and attenuated."""
    softer = array("h", (sample // 3 for sample in array("h", pcm))).tobytes()
    return (bytes(delay_ms * 48) + softer)[: len(pcm)]


def processed(far: bytes, near: bytes, processing: Processing) -> bytes:
    """The processed microphone while ``far`` is played."""
    processing.add_delay(80)
    clean = bytearray()
    for played, recorded in zip(blocks(far), blocks(near), strict=True):
        processing.render(played)
        clean += processing.capture(recorded)
    assert processing.failures == 0
    return bytes(clean)


@needs_livekit
def test_the_echo_of_a_reply_is_removed() -> None:
    """It is attenuated by at least 30 dB."""
    far = speech("count.wav")
    near = echo(far)
    clean = processed(far, near, Processing(gain_control=False))
    assert measure(near).rms_dbfs > -40
    assert measure(clean).rms_dbfs < measure(near).rms_dbfs - 30


@needs_livekit
def test_without_it_the_echo_stays() -> None:
    """Control: without the canceller nothing removes the echo."""
    far = speech("count.wav")
    near = echo(far)
    kept = processed(
        far,
        near,
        Processing(
            echo_cancellation=False, noise_suppression=False, gain_control=False
        ),
    )
    assert measure(kept).rms_dbfs == pytest.approx(measure(near).rms_dbfs, abs=1)


@needs_livekit
def test_speech_is_kept() -> None:
    """Speech keeps its level while nothing is played."""
    question = speech("question.wav")
    near = question * 3
    clean = processed(bytes(len(near)), near, Processing(gain_control=False))
    last = clean[-len(question) :]
    assert measure(last).rms_dbfs == pytest.approx(measure(question).rms_dbfs, abs=2)


@needs_livekit
def test_speech_over_a_reply_is_kept() -> None:
    """Barge-in: the echo is removed and the speech is not."""
    question = speech("question.wav")
    far = speech("count.wav") * 2
    said = question.rjust(len(far), b"\0")
    clean = processed(far, mixed(said, echo(far)), Processing(gain_control=False))
    last = clean[-len(question) :]
    assert measure(last).rms_dbfs == pytest.approx(measure(question).rms_dbfs, abs=6)


@needs_livekit
def test_a_block_of_another_length_is_passed_through_and_counted() -> None:
    """Audio continues if its processing fails."""
    processing = Processing()
    odd = b"\x00\x40" * 100
    assert processing.capture(odd) == odd
    assert processing.failures == 1


def test_without_livekit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("livekit")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "livekit.rtc", None)
    with pytest.raises(MissingExtra, match=r"pip install 'duologue\[aec\]'"):
        Processing()


def test_it_is_known_whether_it_is_installed() -> None:
    assert can_process() is (importlib.util.find_spec("livekit") is not None)
