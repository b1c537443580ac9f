"""Conversion for devices that do not accept PCM16 mono at 24 kHz."""

from __future__ import annotations

import math
from array import array

import pytest

from duologue.adapters.audio import measure
from duologue.adapters.audio.resampler import Resampler

OURS = (24_000, 1)


def tone(rate: int, ms: int, channels: int = 1) -> bytes:
    """A sine of 500 Hz at a quarter of full scale, the same in all channels."""
    count = rate * ms // 1000
    one = [round(8192 * math.sin(2 * math.pi * 500 * n / rate)) for n in range(count)]
    return array("h", (s for s in one for _ in range(channels))).tobytes()


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_keeps_its_length_and_level(rate: int, channels: int) -> None:
    """In both directions, block by block, with a delay below 10 ms."""
    to_ours = Resampler((rate, channels), OURS)
    to_device = Resampler(OURS, (rate, channels))
    step = rate // 100 * channels * 2
    recorded = tone(rate, 1_000, channels)
    ours = b"".join(
        to_ours.convert(recorded[at : at + step])
        for at in range(0, len(recorded), step)
    )
    theirs = b"".join(to_device.convert(tone(24_000, 10)) for _ in range(100))

    assert 990 <= len(ours) / 48 <= 1_000
    assert 990 <= len(theirs) / (rate * channels * 2 / 1000) <= 1_000
    middle = ours[4_800:-4_800]
    for pcm in (middle, theirs[4_800:-4_800]):
        assert measure(pcm).peak_dbfs == pytest.approx(-12.0, abs=0.2)
        assert measure(pcm).rms_dbfs == pytest.approx(-15.0, abs=0.2)
    crossings = sum(
        a < 0 <= b
        for a, b in zip(*(array("h", middle)[n:] for n in (0, 1)), strict=False)
    )
    assert crossings == pytest.approx(500 * len(middle) / 48_000, abs=2)


def test_channels_are_averaged_and_copied() -> None:
    left_only = array("h", [1000, 0, -1000, 0]).tobytes()
    mono = Resampler((24_000, 2), OURS).convert(left_only)
    assert mono == array("h", [500, -500]).tobytes()
    stereo = Resampler(OURS, (24_000, 2)).convert(mono)
    assert stereo == array("h", [500, 500, -500, -500]).tobytes()
