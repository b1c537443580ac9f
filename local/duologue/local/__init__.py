"""The service's half of the protocol, offline: a real ear and voice, scripted replies.

::

    async with LocalService() as service:
        print(service.base_url)

`LocalService` speaks HTTP and WebRTC on a port; ``duologue.local.in_process.memory`` is
the same engine in the client's own process. The names here are loaded when they are
asked for, so that what is not installed is missed only where it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from duologue.core.old_paths import redirect
from duologue.transports.errors import MissingExtra

if TYPE_CHECKING:
    from .components import Parts, built_in
    from .engine.engine import Engine, Options
    from .faults.fault_file import FaultsError, load_faults
    from .faults.injector import Faults
    from .replies.scenario import ScenarioError, load_scenario
    from .replies.script import ScriptedMind
    from .server.service import LocalService, ServiceError
    from .server.session_runner import SessionRunner

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

redirect(
    __name__,
    {
        "calls": "server.calls",
        "closed_set": "speech.closed_set",
        "conversation": "engine.conversation",
        "counting": "replies.numbers",
        "detector_silero": "speech.vad_silero",
        "ear_sphinx": "speech.asr_sphinx",
        "ear_url": "speech.asr_http",
        "event_schema": "schema.client_events",
        "expiry": "engine.expiry",
        "fault_file": "faults.fault_file",
        "g711": "speech.g711",
        "guard": "server.origin_guard",
        "guessing": "replies.slots",
        "http_errors": "server.http_errors",
        "idle": "engine.idle_timeout",
        "intake": "engine.input_buffer",
        "item_schema": "schema.conversation_items",
        "jobs": "engine.effects",
        "keys": "server.keys",
        "listening": "server.capacity",
        "memory": "in_process",
        "mind": "replies.script",
        "mind_url": "replies.llm_http",
        "options": "engine.options",
        "outbox": "engine.outbox",
        "outputs": "engine.output_items",
        "parts": "components",
        "planning": "engine.response_plan",
        "playout": "engine.output_buffer",
        "port": "server.listener",
        "ports": "speech.interfaces",
        "reach": "replies.reach",
        "reply": "engine.reply",
        "requests": "engine.client_requests",
        "responses": "engine.responses",
        "scenario": "replies.scenario",
        "serve": "server.service",
        "server": "server.http_app",
        "session": "server.session_runner",
        "sessions": "server.sessions",
        "settings": "engine.settings",
        "shapes": "schema.checks",
        "templates": "replies.templates",
        "transcripts": "engine.transcription",
        "turns": "engine.turns",
        "unheard": "server.deferred_decoder",
        "usage": "engine.usage",
        "voice": "speech.tts",
        "voice_cache": "speech.tts_cache",
        "voice_espeak": "speech.tts_espeak",
        "voice_flite": "speech.tts_flite",
        "voice_url": "speech.tts_http",
        "websocket": "server.websocket",
        "yaml_file": "yaml_file",
    },
)

_HOMES = {
    "Engine": "engine.engine",
    "Faults": "faults.injector",
    "FaultsError": "faults.fault_file",
    "LocalService": "server.service",
    "Options": "engine.options",
    "Parts": "components",
    "ScenarioError": "replies.scenario",
    "ScriptedMind": "replies.script",
    "ServiceError": "server.service",
    "SessionRunner": "server.session_runner",
    "built_in": "components",
    "load_faults": "faults.fault_file",
    "load_scenario": "replies.scenario",
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
