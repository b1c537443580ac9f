"""``duologue devices``: the microphones and speakers of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..shared.options import Json

if TYPE_CHECKING:
    from rich.text import Text

    from duologue.adapters.audio import Device

__all__ = ["devices"]


def devices(json: Json = False) -> None:
    """List the microphones and speakers of this machine."""
    import attrs
    from rich.console import Console

    from duologue.adapters.audio import can_process, list_devices

    from ..shared.control_characters import json_line

    found = list_devices()
    if json:
        listed = [attrs.asdict(device) for device in found]
        line = {"devices": listed, "echo_cancellation": can_process()}
        print(json_line(line), end="")
        return
    console = Console(highlight=False, soft_wrap=True)
    for device in found:
        console.print(_line(device))
    if not any(device.input_channels for device in found):
        console.print("there is no microphone on this machine")
    if not any(device.output_channels for device in found):
        console.print("there is no speaker on this machine")
    if not can_process():
        console.print("no echo cancellation: pip install 'duologue[aec]'", markup=False)


def _line(device: Device) -> Text:
    from rich.text import Text

    from ..shared.control_characters import single_line

    line = Text(f"{device.index:>3} ", style="dim")
    line.append(single_line(device.name), style="not dim")
    line.append(f"  {single_line(device.api)}, {device.rate} Hz", style="dim")
    for channels, default, name in (
        (device.input_channels, device.default_input, "microphone"),
        (device.output_channels, device.default_output, "speaker"),
    ):
        if channels:
            mark = " (default)" if default else ""
            line.append(f", {name}{mark}", style="not dim bold" if default else "dim")
    return line
