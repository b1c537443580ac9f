"""Levels in dBFS, compared with values that follow from the definition."""

from __future__ import annotations

import math
from array import array

import pytest

from duologue.adapters.audio import FLOOR_DBFS, Level, Meter, measure


def tone(ms: int, amplitude: float) -> bytes:
    """A sine of 500 Hz: whole periods, so its RMS is exact."""
    return array(
        "h",
        (
            round(amplitude * math.sin(2 * math.pi * 500 * n / 24_000))
            for n in range(24 * ms)
        ),
    ).tobytes()


@pytest.mark.parametrize(
    ("pcm", "level"),
    [
        pytest.param(b"", Level(FLOOR_DBFS, FLOOR_DBFS), id="nothing"),
        pytest.param(bytes(480), Level(FLOOR_DBFS, FLOOR_DBFS), id="silence"),
        pytest.param(tone(10, 32767), Level(0.0, -3.0), id="a sine at full scale"),
        pytest.param(tone(10, 3276.8), Level(-20.0, -23.0), id="a tenth of it"),
        pytest.param(b"\x00\x80" * 240, Level(0.0, 0.0), id="the lowest sample"),
        pytest.param(b"\x01\x00" * 240, Level(-90.3, -90.3), id="the smallest one"),
        pytest.param(b"\x00\x40\x07", Level(-6.0, -6.0), id="half a sample more"),
    ],
)
def test_peak_and_rms_are_relative_to_full_scale(pcm: bytes, level: Level) -> None:
    assert measure(pcm) == level


def test_a_meter_shows_its_window_and_keeps_the_highest_peak() -> None:
    """Audio older than the window does not count; the highest peak stays."""
    meter = Meter(window_ms=50)
    assert meter.level == Level()
    for _ in range(5):
        meter.add(tone(10, 3276.8))
    loud = meter.level
    for _ in range(5):
        meter.add(bytes(480))
    assert (loud, meter.level) == (Level(-20.0, -23.0), Level())
    assert meter.loudest_dbfs == -20.0


def test_a_window_is_measured_as_a_whole() -> None:
    """Half silence halves the energy, which is 3 dB; the peak stays."""
    meter = Meter(window_ms=20)
    meter.add(tone(10, 3276.8))
    meter.add(bytes(480))
    assert meter.level == Level(-20.0, -26.0)
