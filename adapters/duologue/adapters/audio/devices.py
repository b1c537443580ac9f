"""Sound devices, and how to select one by index or name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from duologue.transports.errors import MediaError

__all__ = ["Device", "DeviceError", "Direction", "find_device"]

Direction = Literal["input", "output"]
_NAMES = {"input": "microphone", "output": "speaker"}


class DeviceError(MediaError):
    """The device does not exist or cannot be used, or PortAudio is not installed."""


@attrs.frozen(kw_only=True)
class Device:
    """A device as PortAudio reports it. ``rate`` is its default sample rate in Hz."""

    index: int
    name: str
    api: str
    input_channels: int
    output_channels: int
    rate: int
    default_input: bool = False
    default_output: bool = False

    def channels(self, direction: Direction) -> int:
        """The number of channels in this direction; 0 if it has none."""
        return self.input_channels if direction == "input" else self.output_channels

    def is_default(self, direction: Direction) -> bool:
        """Whether this is the system's default device for the direction."""
        return self.default_input if direction == "input" else self.default_output


def find_device(
    devices: Sequence[Device], wanted: int | str | None, direction: Direction
) -> Device:
    """Return the device with this index, this name, or this part of a name.

    None selects the default device. Case is ignored. Raises `DeviceError` if no
    device matches, or if several do.
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
        raise DeviceError(f"more than one {name} matches {wanted!r}: {names}")
    raise DeviceError(f"there is no {name} {wanted!r}; there are: {names}")


def _matching(devices: Sequence[Device], wanted: int | str) -> list[Device]:
    if isinstance(wanted, int):
        return [device for device in devices if device.index == wanted]
    name = wanted.casefold()
    exact = [device for device in devices if device.name.casefold() == name]
    return exact or [device for device in devices if name in device.name.casefold()]
