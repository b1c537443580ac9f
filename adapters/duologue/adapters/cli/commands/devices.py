"""``duologue devices``: what there is to speak into and to hear from."""

from __future__ import annotations

import attrs
import msgspec
from rich.console import Console
from rich.text import Text

from duologue.adapters.audio import Device, can_process, list_devices

from ..shared.session_report import clean

__all__ = ["run"]


def run(*, json: bool) -> None:
    """Print the devices. Raises `DeviceError` where PortAudio is missing."""
    devices = list_devices()
    if json:
        found = [attrs.asdict(device) for device in devices]
        line = {"devices": found, "echo_cancellation": can_process()}
        print(msgspec.json.encode(line).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    for device in devices:
        console.print(_line(device))
    for direction, name in (("input", "microphone"), ("output", "speaker")):
        if not any(getattr(device, f"{direction}_channels") for device in devices):
            console.print(f"there is no {name} on this machine")
    if not can_process():
        console.print("no echo cancellation: pip install 'duologue[aec]'", markup=False)


def _line(device: Device) -> Text:
    line = Text(f"{device.index:>3} ", style="dim")
    line.append(clean(device.name), style="not dim")
    line.append(f"  {clean(device.api)}, {device.rate} Hz", style="dim")
    for channels, default, name in (
        (device.input_channels, device.default_input, "microphone"),
        (device.output_channels, device.default_output, "speaker"),
    ):
        if channels:
            mark = " (default)" if default else ""
            line.append(f", {name}{mark}", style="not dim bold" if default else "dim")
    return line
