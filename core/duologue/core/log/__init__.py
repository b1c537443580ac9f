"""The log: records, the lines of a log file, and snapshots of the state."""

from __future__ import annotations

from . import lines, record
from .lines import *
from .record import *

__all__: list[str] = []
__all__ += lines.__all__
__all__ += record.__all__
