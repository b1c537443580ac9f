"""A WAV file of both sides in real time."""

from __future__ import annotations

import wave
from array import array
from pathlib import Path

import pytest

from duologue.transports.drivers.recording.stereo_wav import StereoWav


class Clock:
    """A clock that a test sets, in seconds."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def ms(count: int, value: int) -> bytes:
    return array("h", [value] * 24 * count).tobytes()


def sides(path: Path) -> tuple[list[int], list[int]]:
    """One sample for each ms, left and right."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (
            2,
            2,
            24_000,
        )
        samples = array("h", file.readframes(file.getnframes()))
    return list(samples[0::48]), list(samples[1::48])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wav(tmp_path: Path, clock: Clock) -> StereoWav:
    wav = StereoWav(tmp_path / "both.wav", clock=clock)
    wav.start()
    return wav


def test_each_side_stands_where_it_sounded(
    wav: StereoWav, clock: Clock, tmp_path: Path
) -> None:
    """Continuous user audio, and a reply after 400 ms for 40 ms."""
    for number in range(50):
        clock.at = 100 + number * 0.02
        wav.write_left(ms(20, 1))
        if number in (20, 21):
            wav.write_right(ms(20, 2))
    wav.close()
    wav.close()
    left, right = sides(tmp_path / "both.wav")
    assert left == [1] * 1000
    began = right.index(2)
    assert right == [0] * began + [2] * 40 + [0] * (1000 - began - 40)
    assert abs(began - 400) <= 60


def test_two_that_speak_at_once_are_both_whole(
    wav: StereoWav, clock: Clock, tmp_path: Path
) -> None:
    for number in range(20):
        clock.at = 100 + number * 0.02
        wav.write_right(ms(20, 2))
        wav.write_left(ms(20, 1))
    wav.close()
    assert sides(tmp_path / "both.wav") == ([1] * 400, [2] * 400)


def test_a_killed_process_leaves_a_file_that_plays(
    wav: StereoWav, clock: Clock, tmp_path: Path
) -> None:
    """The header counts everything but the last second."""
    for number in range(60):
        clock.at = 100 + number * 0.02
        wav.write_left(ms(20, 1))
        wav.write_right(ms(20, 2))
    left, right = sides(tmp_path / "both.wav")
    assert len(left) >= 1000
    assert set(left) == {1}
    assert set(right) == {2}
    assert (tmp_path / "both.wav").stat().st_mode & 0o777 == 0o600
    wav.close()


def test_nothing_is_written_before_it_starts(tmp_path: Path) -> None:
    """An existing file stays until the session is connected."""
    path = tmp_path / "both.wav"
    path.write_bytes(b"precious")
    wav = StereoWav(path)
    wav.write_left(ms(20, 1))
    wav.close()
    assert path.read_bytes() == b"precious"


def test_a_file_that_cannot_be_written_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With one warning; the session continues."""
    wav = StereoWav(tmp_path / "none" / "both.wav")
    wav.start()
    wav.start()
    wav.write_left(ms(20, 1))
    wav.close()
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/none/both.wav cannot be written and is closed: "
        "No such file or directory"
    ]
