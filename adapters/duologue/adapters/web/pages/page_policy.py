"""The rules for a page: the fields of a session that it may set; no tools.

Only the server sets tools, prompts and most models, because tools run with its rights
or send the conversation elsewhere, and models differ in price. Requests to the server
are checked against an allow-list. A browser can also send events on its own data
channel, so `has_foreign_tools` checks the service's events for tools that the browser
added.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs
import msgspec

from duologue.core import Record, Session, SessionConfig, events

from .refusals import Refused

__all__ = ["changes_of", "has_foreign_tools", "with_changes"]

_TRANSCRIPTION = ("audio", "input", "transcription")
#: Allowed paths in the GA session object, with the field of `SessionConfig` for each.
_ALLOWED = {
    ("instructions",): "instructions",
    ("output_modalities",): "output_modalities",
    ("audio", "input", "turn_detection"): "turn_detection",
    _TRANSCRIPTION: "transcription",
    ("audio", "input", "noise_reduction"): "noise_reduction",
    ("audio", "output", "voice"): "voice",
}
_OBJECTS = {path[:end] for path in _ALLOWED for end in range(1, len(path))}
#: The most characters in the instructions.
_MAX_INSTRUCTIONS = 32_768
#: The fields that identify a tool.
_TOOL_IDENTITY = (
    *("type", "name", "server_label", "server_url", "connector_id", "tunnel_id"),
)
_MCP_ITEMS = (
    *(events.McpListToolsItem, events.McpCallItem, events.McpApprovalRequestItem),
)


def changes_of(
    session: Mapping[str, Any],
    *,
    models: Collection[str] = (),
    transcription_models: Collection[str] = (),
) -> dict[str, Any]:
    """The fields of `SessionConfig` that a session object changes.

    ``models`` and ``transcription_models`` are the allowed names. Raises `Refused` for
    a field or a model that is not allowed.
    """
    changes: dict[str, Any] = {}
    for path, value in _fields(session, ()):
        if path == ("type",) and value == "realtime":
            continue
        if path == ("model",) and value in models:
            changes["model"] = value
        elif path in _ALLOWED:
            changes[_ALLOWED[path]] = value
        else:
            raise _not_allowed(path)
    transcription = changes.get("transcription")
    if isinstance(transcription, Mapping):
        model = transcription.get("model")
        if model is not None and model not in transcription_models:
            raise _not_allowed((*_TRANSCRIPTION, "model"))
    if len(str(changes.get("instructions", ""))) > _MAX_INSTRUCTIONS:
        message = f"the instructions are longer than {_MAX_INSTRUCTIONS} characters"
        raise Refused(422, "too_long", message, param="session.instructions")
    return changes


def _not_allowed(path: tuple[str, ...]) -> Refused:
    name = f"session.{'.'.join(path)}"
    return Refused(422, "not_allowed", f"a page may not set {name}", param=name)


def _fields(
    value: Mapping[str, Any], path: tuple[str, ...]
) -> list[tuple[tuple[str, ...], Any]]:
    """The fields of an object by path, nested objects of `_OBJECTS` flattened."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, inner in value.items():
        here = (*path, name)
        if here in _OBJECTS and isinstance(inner, Mapping):
            found += _fields(inner, here)
        else:
            found.append((here, inner))
    return found


def with_changes(config: SessionConfig, changes: Mapping[str, Any]) -> SessionConfig:
    """The configuration with these changes. Raises `Refused` for invalid values."""
    if isinstance(changes.get("output_modalities"), list):
        changes = {**changes, "output_modalities": tuple(changes["output_modalities"])}
    try:
        result = attrs.evolve(config, **changes)
        result.to_session()
    except (TypeError, ValueError) as error:
        raise Refused(422, "not_a_configuration", str(error), param="session") from None
    return result


def has_foreign_tools(record: Record, session: Session) -> bool:
    """Whether a record shows tools in the call that the server did not configure.

    The service confirms the tools of an update of the session. It does not confirm
    the tools of a single response: only items of their MCP servers show them.
    """
    match record.event:
        case events.SessionUpdated():
            ours = {_tool_key(tool) for tool in _requested_tools(session)}
            # Read from the frame: the typed event omits tools of unknown types.
            confirmed = msgspec.json.decode(record.frame).get("session")
            return any(_tool_key(tool) not in ours for tool in _tools_of(confirmed))
        case (
            events.ConversationItemAdded(item=item)
            | events.ConversationItemCreated(item=item)
            | events.ConversationItemDone(item=item)
            | events.ConversationItemRetrieved(item=item)
            | events.ResponseOutputItemAdded(item=item)
            | events.ResponseOutputItemDone(item=item)
        ) if record.dir == "in" and isinstance(item, _MCP_ITEMS):
            return item.server_label not in [
                tool.get("server_label")
                for tool in _requested_tools(session)
                if isinstance(tool, dict) and tool.get("type") == "mcp"
            ]
    return False


def _requested_tools(session: Session) -> list[Any]:
    requested = session.connection.requested
    return [] if requested is None else _tools_of(msgspec.json.decode(requested))


def _tools_of(session: Any) -> list[Any]:
    """The tools of a session object; a value that is no list counts as one tool."""
    tools = session.get("tools") if isinstance(session, dict) else None
    return tools if isinstance(tools, list) else [tools] if tools else []


def _tool_key(tool: Any) -> bytes:
    """A hashable identity of a tool, whatever JSON value it is."""
    if isinstance(tool, dict):
        tool = [tool.get(name) for name in _TOOL_IDENTITY]
    return msgspec.json.encode(tool, order="deterministic")
