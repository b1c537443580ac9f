"""Microphone and speaker of ``talk --mic``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from duologue.adapters.audio import (
    DeviceError,
    Microphone,
    Processing,
    Speaker,
    can_process,
    find_device,
    list_devices,
)

from .talk_options import DeviceOptions

__all__ = ["AudioDevices"]

#: Seconds between two checks for a failed device.
_INTERVAL = 0.25
#: Below this peak a microphone is muted or not connected.
_SILENT_DBFS = -60.0


class AudioDevices:
    """An open microphone and speaker; ``log`` gets messages about them.

    Raises `DeviceError`.
    """

    def __init__(self, options: DeviceOptions, log: Callable[[str], None]) -> None:
        self._log = log
        self._stopped = asyncio.Event()
        self._processing = None
        # livekit's threads can abort a process that ends right after their start, so an
        # unknown device must be found first.
        devices = list_devices()
        find_device(devices, _index_or_name(options.input), "input")
        find_device(devices, _index_or_name(options.output), "output")
        if options.aec and can_process():
            self._processing = Processing()
        elif options.aec:
            self._log("no echo cancellation: use headphones, or install duologue[aec]")
        self.microphone = Microphone(
            _index_or_name(options.input), processing=self._processing
        )
        try:
            self.speaker = Speaker(
                _index_or_name(options.output), processing=self._processing
            )
        except Exception:
            self.microphone.close()
            raise
        self._log(f"microphone: {self.microphone.device.name}")
        self._log(f"speaker: {self.speaker.device.name}")

    async def until_stopped(self) -> None:
        """Wait for Ctrl-C. Raises `DeviceError` if a device fails.

        A second Ctrl-C interrupts the command as usual.
        """
        loop = asyncio.get_running_loop()
        self._log("speak; press Ctrl-C to stop")
        loop.add_signal_handler(signal.SIGINT, self._stopped.set)
        try:
            while not self._stopped.is_set():
                if failure := self.microphone.failure or self.speaker.failure:
                    raise DeviceError(str(failure))
                try:
                    await asyncio.wait_for(self._stopped.wait(), _INTERVAL)
                except TimeoutError:
                    continue
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def close(self) -> None:
        """Release both devices, and warn if the microphone was silent."""
        self.microphone.close()
        self.speaker.close()
        if self.microphone.loudest_dbfs < _SILENT_DBFS:
            self._log("the microphone gave only silence: is it muted?")

    def figures(self) -> dict[str, Any]:
        """The values for ``--json``."""
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


def _index_or_name(wanted: str | None) -> int | str | None:
    return int(wanted) if wanted is not None and wanted.isdecimal() else wanted
