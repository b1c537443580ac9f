"""The contract of a transport, as tests that your own transport can run."""

from __future__ import annotations

from .contract_tests import TransportTests
from .harness import PATIENCE, Ending, Rig, Script, Step, default_target, follow

__all__ = [
    "PATIENCE",
    "Ending",
    "Rig",
    "Script",
    "Step",
    "TransportTests",
    "default_target",
    "follow",
]
