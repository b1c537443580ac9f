"""The sound devices of this machine, and how one is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from .device_errors import DeviceError

__all__ = ["Device", "Direction", "find_device", "list_devices"]

#: Which way sound goes through a device.
Direction = Literal["input", "output"]
_NAMES = {"input": "microphone", "output": "speaker"}


@attrs.frozen(kw_only=True)
class Device:
    """A device as PortAudio sees it. ``rate`` is the one it prefers, in Hz."""

    index: int
    name: str
    api: str
    input_channels: int
    output_channels: int
    rate: int
    default_input: bool = False
    default_output: bool = False

    def channels(self, direction: Direction) -> int:
        """How many channels it has that way."""
        return self.input_channels if direction == "input" else self.output_channels

    def is_default(self, direction: Direction) -> bool:
        """Whether it is taken where none is named."""
        return self.default_input if direction == "input" else self.default_output


def list_devices() -> tuple[Device, ...]:
    """All devices of this machine, in PortAudio's order; none where there are none.

    PortAudio looks once in a process: what is plugged in later is not seen. Raises
    `DeviceError` where PortAudio is not installed, `MissingExtra` without sounddevice.
    """
    from .portaudio import query

    return query()


def find_device(
    devices: Sequence[Device], wanted: int | str | None, direction: Direction
) -> Device:
    """The device of that index, of that name, or with that as a part of its name.

    None takes the default one. Case does not count. Raises `DeviceError` where there
    is none, or where several names have that part.
    """
    able = [device for device in devices if device.channels(direction)]
    name = _NAMES[direction]
    if not able:
        raise DeviceError(f"there is no {name} on this machine")
    if wanted is None:
        return next((d for d in able if d.is_default(direction)), able[0])
    found = _matching(able, wanted)
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{d.index} {d.name!r}" for d in found or able)
    if found:
        raise DeviceError(f"{wanted!r} is the name of more than one {name}: {names}")
    raise DeviceError(f"there is no {name} {wanted!r}; there are: {names}")


def _matching(devices: Sequence[Device], wanted: int | str) -> list[Device]:
    if isinstance(wanted, int):
        return [device for device in devices if device.index == wanted]
    name = wanted.casefold()
    exact = [device for device in devices if device.name.casefold() == name]
    return exact or [device for device in devices if name in device.name.casefold()]
