"""The work of other packages on a frame: the openai SDK and openai-agents.

Each function returns one that processes the bytes of frames. The speed differs between
versions, so the rows name the installed one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

__all__ = [
    "Work",
    "agents_full_path",
    "agents_validation",
    "attempt",
    "openai_parse",
    "version",
]

Work = Callable[[Sequence[bytes]], object]


def version(package: str) -> str | None:
    """The installed version of a package, None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def attempt(build: Callable[[], Work], frames: Sequence[bytes]) -> Work | str:
    """The result of ``build``, tried on ``frames``; or the reason why it fails."""
    try:
        work = build()
        work(frames)
    except ImportError:
        return "not installed"
    except Exception as error:
        # Their versions do not fit together; it is not our error.
        return f"does not run: {type(error).__name__}"
    return work


def openai_parse() -> Work:
    """The openai SDK: bytes to a typed event by ``parse_event``."""
    from openai.resources.realtime.realtime import RealtimeConnection

    connection: Any = object.__new__(RealtimeConnection)
    parse = connection.parse_event

    def work(frames: Sequence[bytes]) -> None:
        for frame in frames:
            parse(frame)

    return work


def agents_validation() -> Work:
    """openai-agents: bytes to a typed event by ``json`` and its discriminated union."""
    from agents.realtime import openai_realtime

    validate = openai_realtime.get_server_event_type_adapter().validate_python

    def work(frames: Sequence[bytes]) -> None:
        for frame in frames:
            event = json.loads(frame)
            if event.get("previous_item_id", "") is None:
                # As its own handler does: its types do not allow null.
                event["previous_item_id"] = ""
            validate(event)

    return work


def agents_full_path(item_ids: Sequence[str]) -> Work:
    """openai-agents: bytes to a new history, in a session with these items.

    Every call starts from the same items. Only the receiving path is measured: the
    events that it would send are dropped.
    """
    from agents.realtime import RealtimeAgent
    from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
    from agents.realtime.session import RealtimeSession

    model: Any = OpenAIRealtimeWebSocketModel()
    model._send_raw_message = _drop
    history = _history(item_ids)
    loop = asyncio.new_event_loop()

    async def hear(frames: Sequence[bytes]) -> None:
        session: Any = RealtimeSession(model, RealtimeAgent(name="bench"), None)
        session._history = history
        model.add_listener(session)
        for frame in frames:
            await model._handle_ws_event(json.loads(frame))
        # The tasks that it started get their turn too.
        await asyncio.sleep(0)
        model.remove_listener(session)
        if session._stored_exception or session._history is history:
            raise RuntimeError("openai-agents refused the stream")

    return lambda frames: loop.run_until_complete(hear(frames))


def _history(item_ids: Sequence[str]) -> list[Any]:
    """A history of items, alternating between the user and the assistant."""
    from agents.realtime.items import (
        AssistantAudio,
        AssistantMessageItem,
        InputAudio,
        UserMessageItem,
    )

    return [
        AssistantMessageItem(
            item_id=item_id,
            content=[AssistantAudio(transcript="Twice a day.")],
            status="completed",
        )
        if at % 2
        else UserMessageItem(item_id=item_id, content=[InputAudio(transcript="When?")])
        for at, item_id in enumerate(item_ids)
    ]


async def _drop(message: Any) -> None:
    """Send nothing."""
