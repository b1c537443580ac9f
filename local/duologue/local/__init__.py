"""A Realtime service that runs offline: real speech, scripted replies.

::

    async with LocalService() as service:
        print(service.base_url)

`LocalService` serves HTTP, WebSocket and WebRTC on a port; `in_process` gives a
transport to the same service without a network. Names are imported on first use, so a
missing extra matters only to the code that needs it.
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
    from .in_process_service import in_process
    from .replies.scenario_file import ScenarioError, load_scenario
    from .replies.scripted_replies import ScriptedMind, ScriptedReplies
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
    "ScriptedReplies",
    "ServiceError",
    "SessionRunner",
    "built_in",
    "in_process",
    "load_faults",
    "load_scenario",
]

redirect(
    __name__,
    """
    calls=server.calls conversation=engine.conversation counting=replies.number_words
    detector_silero=speech.vad_silero ear_sphinx=speech.asr_sphinx
    ear_url=speech.asr_http event_schema=schema.client_events expiry=engine.timeouts
    fault_file=faults.fault_file g711=speech.g711 guard=server.origin_guard
    guessing=replies.tool_arguments http_errors=server.http_errors idle=engine.timeouts
    intake=engine.audio_buffers item_schema=schema.conversation_items
    jobs=engine.effects keys=server.keys listening=server.capacity
    memory=in_process_service mind=replies.scripted_replies mind_url=replies.llm_http
    options=engine.engine outbox=engine.outbox outputs=engine.output_items
    parts=components planning=engine.responses playout=engine.audio_buffers
    port=server.listener ports=interfaces reach=replies.scenario_file
    reply=engine.responses requests=engine.client_requests responses=engine.responses
    scenario=replies.scenario_file serve=server.service session=server.session_runner
    sessions=server.session_factory settings=engine.settings shapes=schema.checks
    templates=replies.templates transcripts=engine.transcription
    turns=engine.turn_detection unheard=server.deferred_decoder usage=engine.usage
    voice=components voice_cache=speech.tts_cache voice_espeak=speech.tts_espeak
    voice_flite=speech.tts_flite voice_url=speech.tts_http websocket=server.websocket
    """,
)

_HOMES = {
    "Engine": "engine.engine",
    "Faults": "faults.injector",
    "FaultsError": "faults.fault_file",
    "LocalService": "server.service",
    "Options": "engine.engine",
    "Parts": "components",
    "ScenarioError": "replies.scenario_file",
    "ScriptedMind": "replies.scripted_replies",
    "ScriptedReplies": "replies.scripted_replies",
    "ServiceError": "server.service",
    "SessionRunner": "server.session_runner",
    "built_in": "components",
    "in_process": "in_process_service",
    "load_faults": "faults.fault_file",
    "load_scenario": "replies.scenario_file",
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
        # An error of duologue.transports names an extra that is not enough here.
        raise MissingExtra(
            "the local service needs pip install 'duologue[local]'"
        ) from error
    return getattr(module, name)
