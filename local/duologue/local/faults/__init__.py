"""Fault injection: simulated errors of a service and of a network."""

from __future__ import annotations

from . import injector
from .fault_file import FaultsError, load_faults
from .injector import *

__all__ = ["FaultsError", "load_faults"]
__all__ += injector.__all__
