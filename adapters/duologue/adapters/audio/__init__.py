"""Microphone and speaker: a source and a sink of sound for any transport."""

from __future__ import annotations

from .device_errors import DeviceError
from .devices import Device, find_device, list_devices
from .levels import FLOOR_DBFS, Level, Meter, measure
from .microphone import Microphone
from .processing import Processing, can_process
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
