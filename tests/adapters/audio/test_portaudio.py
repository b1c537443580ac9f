"""Callbacks never raise; a supported format is chosen; a missing library is named."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from duologue.adapters.audio import Device, DeviceError, list_devices
from duologue.adapters.audio.portaudio import (
    DeviceStream,
    _input_callback,
    _output_callback,
    formats,
)
from duologue.transports.errors import MissingExtra

OURS = (24_000, 1)
FINE = SimpleNamespace(input_overflow=False, output_underflow=False)
LATE = SimpleNamespace(input_overflow=True, output_underflow=True)
CARD = Device(
    index=0,
    name="card",
    api="ALSA",
    input_channels=1,
    output_channels=2,
    rate=44_100,
)


def test_the_transports_format_is_tried_first() -> None:
    """Then the device's own format: sound cards on Linux accept no other."""
    assert formats(CARD, "input") == [(24_000, 1), (44_100, 1), (48_000, 1)]
    assert formats(CARD, "output") == [
        *((24_000, 1), (24_000, 2), (44_100, 1), (44_100, 2)),
        *((48_000, 1), (48_000, 2)),
    ]


def test_recorded_audio_is_pushed_and_overruns_are_counted() -> None:
    stream = DeviceStream(CARD)
    taken: list[bytes] = []
    callback = _input_callback(stream, taken.append, OURS)
    callback(memoryview(b"\1\2"), 1, None, FINE)
    callback(memoryview(b"\3\4"), 1, None, LATE)
    assert (taken, stream.xruns, stream.failure) == ([b"\1\2", b"\3\4"], 1, None)


def test_the_output_has_the_size_that_the_device_requests() -> None:
    """Audio comes in blocks of 10 ms; the device may request any number of samples."""
    stream = DeviceStream(CARD)
    given = iter(bytes([n]) * 480 for n in range(1, 9))
    callback = _output_callback(stream, lambda: next(given), OURS)
    played = bytearray()
    for size, status in ((300, FINE), (600, LATE), (480, FINE)):
        data = bytearray(size)
        callback(data, size // 2, None, status)
        played += data
    assert played == b"".join(bytes([n]) * 480 for n in (1, 2, 3))[:1_380]
    assert (stream.xruns, stream.failure) == (1, None)


@pytest.mark.parametrize("make", [_input_callback, _output_callback])
def test_an_error_in_a_callback_stops_the_audio_and_is_kept(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An error raised into PortAudio would be printed for every block."""
    stream = DeviceStream(CARD)

    def broken(*pcm: bytes) -> bytes:
        calls.append(pcm)
        raise ValueError("no such block")

    calls: list[Any] = []
    callback = make(stream, broken, OURS)
    data = bytearray(b"\7" * 480)
    for _ in range(3):
        callback(data, 240, None, FINE)
    assert isinstance(stream.failure, DeviceError)
    assert str(stream.failure) == "card: no such block"
    assert (len(calls), len(caplog.records)) == (1, 1)


def test_a_device_that_stops_by_itself_has_failed() -> None:
    """A device that was closed has not."""

    class Running:
        latency = 0.04

        def start(self) -> None: ...

        def close(self) -> None: ...

    lost, closed = DeviceStream(CARD), DeviceStream(CARD)
    for stream in (lost, closed):
        stream.run(Running())
    closed.close()
    for stream in (lost, closed):
        stream.ended()
    assert (str(lost.failure), closed.failure) == ("card: the device is gone", None)
    assert lost.latency_ms == 40


def test_without_sounddevice_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"pip install 'duologue\[audio\]'"):
        list_devices()
