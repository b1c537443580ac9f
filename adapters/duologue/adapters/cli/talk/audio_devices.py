"""``duologue talk --mic``: the devices of a conversation, and its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import attrs

from duologue.adapters.audio import (
    DeviceError,
    Microphone,
    Processing,
    Speaker,
    can_process,
)

__all__ = ["Devices", "Headset"]

#: Seconds between two looks at whether the devices are still there.
_LOOK = 0.25
#: A microphone whose loudest sample is below this is muted or not plugged in.
_SILENT_DBFS = -60.0


@attrs.frozen(kw_only=True)
class Devices:
    """What the command line asked for: an index, a name or a part of it, or None."""

    input: str | None
    output: str | None
    aec: bool


class Headset:
    """Microphone and speaker of a talk; ``note`` gets what there is to say of them.

    Raises `DeviceError`.
    """

    def __init__(self, devices: Devices, note: Callable[[str], None]) -> None:
        self._note = note
        self._done = asyncio.Event()
        self._processing = None
        if devices.aec and can_process():
            self._processing = Processing()
        elif devices.aec:
            self._note("no echo cancellation: use headphones, or install duologue[aec]")
        self.microphone = Microphone(_named(devices.input), processing=self._processing)
        try:
            self.speaker = Speaker(_named(devices.output), processing=self._processing)
        except Exception:
            self.microphone.close()
            raise
        self._note(f"microphone: {self.microphone.device.name}")
        self._note(f"speaker: {self.speaker.device.name}")

    async def until_stopped(self) -> None:
        """Until Ctrl-C. Raises `DeviceError` when a device goes away.

        The second Ctrl-C ends the command, as it does elsewhere.
        """
        loop = asyncio.get_running_loop()
        self._note("speak; Ctrl-C ends it")
        loop.add_signal_handler(signal.SIGINT, self._done.set)
        try:
            while not self._done.is_set():
                self._check()
                try:
                    await asyncio.wait_for(self._done.wait(), _LOOK)
                except TimeoutError:
                    continue
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _check(self) -> None:
        if failure := self.microphone.failure or self.speaker.failure:
            raise DeviceError(str(failure))

    def close(self) -> None:
        """Give both devices back, and say if the microphone gave nothing."""
        self.microphone.close()
        self.speaker.close()
        if self.microphone.loudest_dbfs < _SILENT_DBFS:
            self._note("the microphone gave only silence: is it muted?")

    def figures(self) -> dict[str, Any]:
        """What ``--json`` says of them."""
        return {
            "input": self.microphone.device.name,
            "output": self.speaker.device.name,
            "echo_cancellation": self._processing is not None,
            "loudest_dbfs": self.microphone.loudest_dbfs,
            "input_underruns": self.microphone.underruns,
            "input_overruns": self.microphone.overruns,
            "output_underruns": self.speaker.underruns,
            "output_xruns": self.speaker.xruns,
            "output_dropped_ms": self.speaker.dropped_ms,
        }


def _named(wanted: str | None) -> int | str | None:
    """A number is an index."""
    return int(wanted) if wanted is not None and wanted.isdecimal() else wanted
