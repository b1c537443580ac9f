"""Devices are selected by index, name or part of a name."""

from __future__ import annotations

import pytest

from duologue.adapters.audio import Device, DeviceError, find_device
from duologue.adapters.audio.devices import Direction


def device(index: int, name: str, **more: object) -> Device:
    given = {"input_channels": 1, "output_channels": 2, **more}
    return Device(index=index, name=name, api="ALSA", rate=48_000, **given)  # type: ignore[arg-type]


CARD = device(0, "HDA Intel: ALC295 (hw:0,0)", input_channels=2)
SCREEN = device(1, "HDA Intel: HDMI 0 (hw:0,3)", input_channels=0)
HEADSET = device(2, "USB Headset", input_channels=1, default_input=True)
LONG = device(3, "USB Headset: Audio (hw:1,0)")
ALL = (CARD, SCREEN, HEADSET, LONG)


@pytest.mark.parametrize(
    ("wanted", "direction", "found"),
    [
        pytest.param(None, "input", HEADSET, id="the default"),
        pytest.param(None, "output", CARD, id="the first where none is the default"),
        pytest.param(3, "input", LONG, id="an index"),
        pytest.param("usb headset", "input", HEADSET, id="a name, whatever its case"),
        pytest.param("alc295", "output", CARD, id="a part of one name"),
        pytest.param("intel", "input", CARD, id="the one of two that can"),
    ],
)
def test_a_device_is_found(
    wanted: int | str | None, direction: Direction, found: Device
) -> None:
    assert find_device(ALL, wanted, direction) == found


@pytest.mark.parametrize(
    ("devices", "wanted", "message"),
    [
        pytest.param((), None, "there is no microphone on this machine", id="none"),
        pytest.param(
            (SCREEN,), 1, "there is no microphone on this machine", id="no input device"
        ),
        pytest.param(
            ALL[:3],
            "webcam",
            "there is no microphone 'webcam'; there are: "
            "0 'HDA Intel: ALC295 (hw:0,0)', 2 'USB Headset'",
            id="no such name",
        ),
        pytest.param(
            ALL[2:],
            "headset",
            "more than one microphone matches 'headset': "
            "2 'USB Headset', 3 'USB Headset: Audio (hw:1,0)'",
            id="several",
        ),
        pytest.param(
            ALL[:2],
            1,
            "there is no microphone 1; there are: 0 'HDA Intel: ALC295 (hw:0,0)'",
            id="an output device",
        ),
    ],
)
def test_the_error_names_the_devices_that_exist(
    devices: tuple[Device, ...], wanted: int | str | None, message: str
) -> None:
    with pytest.raises(DeviceError) as raised:
        find_device(devices, wanted, "input")
    assert str(raised.value) == message
