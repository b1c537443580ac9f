"""The service's half of the protocol, offline: a real ear and voice, scripted replies.

::

    async with LocalService() as service:
        print(service.base_url)

`LocalService` speaks HTTP and WebRTC on a port; ``duologue.local.memory.memory`` is
the same engine in the client's own process. The names here are loaded when they are
asked for, so that what is not installed is missed only where it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from duologue.transports.errors import MissingExtra

if TYPE_CHECKING:
    from .engine import Engine, Options
    from .fault_file import FaultsError, load_faults
    from .faults import Faults
    from .mind import ScriptedMind
    from .parts import Parts, built_in
    from .scenario import ScenarioError, load_scenario
    from .serve import LocalService, ServiceError
    from .session import SessionRunner

__all__ = [
    "Engine",
    "Faults",
    "FaultsError",
    "LocalService",
    "Options",
    "Parts",
    "ScenarioError",
    "ScriptedMind",
    "ServiceError",
    "SessionRunner",
    "built_in",
    "load_faults",
    "load_scenario",
]

_HOMES = {
    "Engine": "engine",
    "Faults": "faults",
    "FaultsError": "fault_file",
    "LocalService": "serve",
    "Options": "engine",
    "Parts": "parts",
    "ScenarioError": "scenario",
    "ScriptedMind": "mind",
    "ServiceError": "serve",
    "SessionRunner": "session",
    "built_in": "parts",
    "load_faults": "fault_file",
    "load_scenario": "scenario",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f".{home}", __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("duologue"):
            raise
        raise MissingExtra(
            f"the local service needs {error.name}: pip install 'duologue[local]'"
        ) from error
    except MissingExtra as error:
        # Of the transports, whose extra alone would not do.
        raise MissingExtra(
            "the local service needs pip install 'duologue[local]'"
        ) from error
    return getattr(module, name)
