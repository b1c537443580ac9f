"""Microphone and speaker: an audio source and an audio sink for any transport."""

from __future__ import annotations

from .devices import Device, DeviceError, find_device
from .echo_cancellation import Processing, can_process
from .levels import FLOOR_DBFS, Level, Meter, measure
from .microphone import Microphone
from .portaudio import list_devices
from .speaker import Speaker

__all__ = [
    "FLOOR_DBFS",
    "Device",
    "DeviceError",
    "Level",
    "Meter",
    "Microphone",
    "Processing",
    "Speaker",
    "can_process",
    "find_device",
    "list_devices",
    "measure",
]
