"""Fault injection: errors of a service and of a network, on purpose."""

from __future__ import annotations

from .fault_file import FaultsError, load_faults
from .injector import (
    NO_CLOSE_FRAME,
    NO_FAULTS,
    TRANSCRIBED,
    Cut,
    Deed,
    Delay,
    Drop,
    Duplicate,
    Errors,
    Expire,
    Fail,
    Fault,
    Faults,
    FaultyLine,
    Late,
    Mute,
    Orphan,
    Outcome,
    Reorder,
    TimedDeed,
)

__all__ = [
    "NO_CLOSE_FRAME",
    "NO_FAULTS",
    "TRANSCRIBED",
    "Cut",
    "Deed",
    "Delay",
    "Drop",
    "Duplicate",
    "Errors",
    "Expire",
    "Fail",
    "Fault",
    "Faults",
    "FaultsError",
    "FaultyLine",
    "Late",
    "Mute",
    "Orphan",
    "Outcome",
    "Reorder",
    "TimedDeed",
    "load_faults",
]
