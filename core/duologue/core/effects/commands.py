"""Commands: what the driver of a session must do, and the client events to send.

A command is data. `Send` holds a client event; the functions below build one of each
type, with reproducible ids. The service fills in omitted fields.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

import attrs
import msgspec
from msgspec import UNSET, UnsetType

from .. import events
from ..config import SessionConfig
from ..events.base import ClientEvent, Event, Malformed, Unknown
from ..events.types import SessionKind
from ..reducer.playback import is_played
from ..reducer.requests.sent_events import is_out_of_band
from ..state.model import Session
from ..wire.codec import decode
from ..wire.legacy import retired_in, with_replacements

__all__ = [
    "Command",
    "Connect",
    "Disconnect",
    "FlushAudio",
    "Reconnect",
    "RunTool",
    "Send",
    "SwitchTo",
    "WakeAt",
    "append_audio",
    "append_translation_audio",
    "approve",
    "cancel_response",
    "clear_audio",
    "clear_output",
    "client_event",
    "close_translation",
    "command_id",
    "commit_audio",
    "create_item",
    "create_response",
    "delete_item",
    "identified",
    "interrupt",
    "is_queued",
    "retrieve_item",
    "send_text",
    "send_tool_output",
    "truncate",
    "update_session",
    "update_translation",
    "with_ids",
]

_E = TypeVar("_E", bound=ClientEvent | Unknown)


@attrs.frozen
class Send:
    """Send a client event on a session."""

    session: str
    event: ClientEvent | Unknown

    @property
    def is_last(self) -> bool:
        """Whether to send it after all queued events: a response answers them."""
        return isinstance(self.event, events.ResponseCreate)


@attrs.frozen
class Connect:
    """Connect a session in this epoch.

    First record its ``fact``, then its result: ``connected`` or `failed`. A
    ``successor`` is connected while the current connection is open. ``timeout`` is in
    seconds, key included. ``new_key``: the last key was refused. ``policy`` is set for
    the first attempt of a live session only.
    """

    session: str
    reason: str | None = None
    epoch: int = 0
    attempt: int = 1
    successor: bool = False
    timeout: float = 15.0
    new_key: bool = False
    policy: events.ConnectPolicy | None = None

    @property
    def fact(self) -> events.Connecting:
        """The fact that the attempt begins."""
        return events.Connecting(
            attempt=self.attempt,
            successor=self.successor,
            new_key=self.new_key,
            reason=self.reason,
            policy=self.policy,
        )

    @property
    def connected(self) -> events.Connected:
        """The fact that the attempt succeeded."""
        return events.Connected(attempt=self.attempt, successor=self.successor)

    def failed(self, reason: str, **result: Any) -> events.ConnectFailed:
        """The fact that the attempt failed.

        ``result`` are other fields of `duologue.core.events.ConnectFailed`.
        """
        return events.ConnectFailed(
            attempt=self.attempt, successor=self.successor, reason=reason, **result
        )


#: The name of `Connect` in version 0.1.
Reconnect = Connect


@attrs.frozen
class Disconnect:
    """Close the connection of this epoch, or end the attempt to connect it.

    Record its ``fact``: at once for an attempt or for a successor that is not used, and
    after its last frame for a connection that carried the session. ``expected``: the
    connection is not needed any more; otherwise the session has failed.
    """

    session: str
    epoch: int
    reason: str | None = None
    expected: bool = True

    @property
    def fact(self) -> events.Disconnected:
        """The fact that the connection, or the attempt, has ended."""
        return events.Disconnected(reason=self.reason, expected=self.expected)


@attrs.frozen
class SwitchTo:
    """Use the successor, the connection of this epoch, from now on.

    Record its ``fact`` in this epoch at once; then send and play on this connection.
    """

    session: str
    epoch: int

    @property
    def fact(self) -> events.Switched:
        """The fact that the successor is used."""
        return events.Switched()


@attrs.frozen
class WakeAt:
    """Record a `duologue.tick` at this time, in place of the one requested before.

    ``at`` is in seconds since the Unix epoch, a time in the past means now; None means
    that no tick is needed.
    """

    session: str
    at: float | None


@attrs.frozen
class RunTool:
    """Run the tool of a function call, once.

    `select_call` gives the call. Record `duologue.tool_started` at once and
    `duologue.tool_finished` at the end, with this ``call_id``. Then send the output
    (`send_tool_output`), with that of the call: they differ if the service has used the
    ``call_id`` for two calls.
    """

    session: str
    call_id: str


@attrs.frozen
class FlushAudio:
    """Discard received audio that has not been played yet."""

    session: str


#: A result of `react`.
Command = Send | Connect | Disconnect | SwitchTo | WakeAt | RunTool | FlushAudio


def is_queued(event: Event) -> bool:
    """Whether to queue an event: true for a ``response.create`` in the conversation."""
    return isinstance(event, events.ResponseCreate) and not is_out_of_band(event)


def command_id(session: str, seq: int, n: int) -> str:
    """The ``event_id`` of the n-th command that follows from record ``seq``.

    At most 512 characters, the limit of the service.
    """
    return f"{session[:400]}.{seq}.{n}"


def identified(event: _E, event_id: str) -> _E:
    """The event with this id; unchanged if it has one."""
    if event.event_id is not None:
        return event
    if isinstance(event, Unknown):
        fields = {**event.fields, "event_id": event_id}
        return msgspec.structs.replace(event, event_id=event_id, fields=fields)
    return msgspec.structs.replace(event, event_id=event_id)


def with_ids(event: _E, event_id: str) -> _E:
    """The event with this id, and a new item with an id derived from it."""
    if isinstance(event, events.ConversationItemCreate) and not (
        event.item.id or isinstance(event.item, events.UnknownItem)
    ):
        # At most 32 characters (API page, ``conversation.item.create``).
        digest = hashlib.blake2b(event_id.encode(), digest_size=13).hexdigest()
        item = msgspec.structs.replace(event.item, id=f"item_{digest}")
        event = msgspec.structs.replace(event, item=item)
    return identified(event, event_id)


def client_event(
    event: Event | Mapping[str, Any], kind: SessionKind = SessionKind.REALTIME
) -> ClientEvent | Unknown:
    """The event to send in a session of this kind, from an event or its JSON values.

    JSON values with a field that is not in the catalogue are sent unchanged, as an
    `Unknown`. Raises ValueError for anything but a client event.
    """
    values = None if isinstance(event, Event) else event
    if not isinstance(event, Event):
        event = decode(msgspec.json.encode(event), kind=kind)
    if isinstance(event, Malformed):
        raise ValueError(f"not an event: {event.reason}")
    if not isinstance(event, ClientEvent | Unknown):
        raise ValueError(f"{event.type} is not a client event")
    if values is None or isinstance(event, Unknown) or not _has_more(values, event):
        return event
    return Unknown(name=event.type, event_id=event.event_id, fields=dict(values))


def _has_more(values: object, known: object) -> bool:
    """Whether JSON values have a field that the decoded event does not have."""
    if isinstance(values, Mapping) and isinstance(known, msgspec.Struct):
        names = dict(
            zip(known.__struct_encode_fields__, known.__struct_fields__, strict=True)
        )
        return any(
            _has_more(value, getattr(known, names[name]))
            if name in names
            else name != known.__struct_config__.tag_field
            for name, value in cast(Mapping[str, object], values).items()
        )
    if isinstance(values, list | tuple) and isinstance(known, list | tuple):
        # The decoder cuts a list that is too long.
        pairs = zip(cast(list[object], values), cast(list[object], known), strict=False)
        return any(_has_more(value, made) for value, made in pairs)
    return False


# The session.


def update_session(
    session: SessionConfig | events.AnySessionConfig | Mapping[str, Any],
) -> events.SessionUpdate:
    """Change the given fields of the configuration.

    After the first audio of the assistant, the voice cannot change. Raises ValueError
    for an invalid configuration.
    """
    if isinstance(session, SessionConfig):
        session = session.to_session()
    if isinstance(session, Mapping):
        return _configured(events.SessionUpdate, {"type": "realtime", **session})
    return events.SessionUpdate(session=session)


def _configured(wanted: type[_E], session: Mapping[str, Any]) -> _E:
    """The event for a configuration as JSON values. Raises ValueError.

    An unknown key is an error, because the service refuses the whole configuration.
    """
    if (retired := retired_in(session)) is not None:
        raise ValueError(retired)
    frame = msgspec.json.encode({"type": "session.update", "session": session})
    try:
        event = msgspec.json.decode(frame, type=wanted)
    except msgspec.ValidationError as error:
        raise ValueError(f"invalid configuration: {error}") from None
    config: Any = getattr(event, "session", None)
    known = {"type"} | {field.encode_name for field in msgspec.structs.fields(config)}
    if unknown := sorted(session.keys() - known):
        raise ValueError(
            f"invalid configuration: no such field: {with_replacements(unknown)}"
        )
    return event


# Input audio.


def append_audio(audio: bytes) -> events.InputAudioBufferAppend:
    """Append audio of the microphone, in the input format of the session."""
    return events.InputAudioBufferAppend(audio=base64.b64encode(audio).decode())


def commit_audio() -> events.InputAudioBufferCommit:
    """End the turn of the user: for push-to-talk, without turn detection."""
    return events.InputAudioBufferCommit()


def clear_audio() -> events.InputAudioBufferClear:
    """Discard the audio that was not committed yet."""
    return events.InputAudioBufferClear()


# The conversation.


def create_item(
    item: events.AnyItem, *, previous_item_id: str | UnsetType = UNSET
) -> events.ConversationItemCreate:
    """Add an item to the conversation, after ``previous_item_id``.

    ``"root"`` is the beginning; the default is the end.
    """
    return events.ConversationItemCreate(item=item, previous_item_id=previous_item_id)


def send_text(
    text: str, *, item_id: str | None = None, role: str = "user"
) -> events.ConversationItemCreate:
    """Add a text message of the user, or of another role such as ``system``."""
    content = (events.InputTextPart(text=text),)
    return create_item(events.MessageItem(id=item_id, role=role, content=content))


def send_tool_output(
    call_id: str, output: str, *, item_id: str | None = None
) -> events.ConversationItemCreate:
    """Send the output of a call; after the last one `react` requests a response."""
    return create_item(
        events.FunctionCallOutputItem(id=item_id, call_id=call_id, output=output)
    )


def approve(
    request_id: str,
    approve: bool = True,
    *,
    reason: str | None = None,
    item_id: str | None = None,
) -> events.ConversationItemCreate:
    """Answer an ``mcp_approval_request``: whether the MCP tool may be called.

    ``request_id`` is the id of the request; the id of the answer is derived from it
    unless you pass ``item_id``.
    """
    return create_item(
        events.McpApprovalResponseItem(
            id=item_id or f"ok_{request_id}"[:32],
            approval_request_id=request_id,
            approve=approve,
            reason=reason,
        )
    )


def delete_item(item_id: str) -> events.ConversationItemDelete:
    """Delete an item of the conversation."""
    return events.ConversationItemDelete(item_id=item_id)


def retrieve_item(item_id: str) -> events.ConversationItemRetrieve:
    """Request the item as the service has it, audio included."""
    return events.ConversationItemRetrieve(item_id=item_id)


def truncate(
    item_id: str, audio_end_ms: int, *, content_index: int = 0
) -> events.ConversationItemTruncate:
    """Report how many ms of an item's audio the user heard."""
    return events.ConversationItemTruncate(
        item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms
    )


# Responses.


def create_response(
    *,
    instructions: str | UnsetType = UNSET,
    output_modalities: Iterable[str] | UnsetType = UNSET,
    out_of_band: bool = False,
    input: Iterable[events.AnyItem] | UnsetType = UNSET,
    tool_choice: Any = UNSET,
    max_output_tokens: int | str | UnsetType = UNSET,
    metadata: Mapping[str, str] | UnsetType = UNSET,
) -> events.ResponseCreate:
    """Request a response; the options apply to this response only.

    An ``out_of_band`` response is not added to the conversation; ``input`` replaces the
    conversation as its context. The response repeats ``metadata``.
    """
    params = events.ResponseCreateParams(
        instructions=instructions,
        output_modalities=_tuple(output_modalities),
        conversation="none" if out_of_band else UNSET,
        input=_tuple(input),
        tool_choice=tool_choice,
        max_output_tokens=max_output_tokens,
        metadata=metadata if metadata is UNSET else dict(metadata),
    )
    plain = params == events.ResponseCreateParams()
    return events.ResponseCreate(response=UNSET if plain else params)


_T = TypeVar("_T")


def _tuple(values: Iterable[_T] | UnsetType) -> tuple[_T, ...] | UnsetType:
    return values if isinstance(values, UnsetType) else tuple(values)


def cancel_response(response_id: str | None = None) -> events.ResponseCancel:
    """Cancel a response; by default the one in the conversation."""
    return events.ResponseCancel(response_id=response_id)


def clear_output() -> events.OutputAudioBufferClear:
    """Stop the audio that the service is playing (WebRTC and SIP)."""
    return events.OutputAudioBufferClear()


def interrupt(session: Session) -> tuple[ClientEvent, ...]:
    """The events that stop the assistant: first its response, then its audio.

    The order matters, because clearing the audio truncates the item (API page,
    ``output_audio_buffer.clear``). Empty if the assistant is silent.
    """
    stop: list[ClientEvent] = []
    if session.responses.active is not None:
        stop.append(cancel_response())
    playing = session.response(session.activity.playing)
    if session.activity.playing is not None and not (
        playing is not None and is_played(session, playing)
    ):
        stop.append(clear_output())
    return tuple(stop)


# Translations.


def update_translation(session: Mapping[str, Any]) -> events.TranslationSessionUpdate:
    """Change the target language, the source transcription or noise reduction.

    Type and model cannot change. Raises ValueError for an invalid configuration.
    """
    if fixed := sorted(session.keys() & {"id", "type", "model", "expires_at"}):
        raise ValueError(f"cannot change in a translation: {', '.join(fixed)}")
    return _configured(events.TranslationSessionUpdate, session)


def append_translation_audio(audio: bytes) -> events.SessionInputAudioBufferAppend:
    """Append audio to translate: PCM16 mono at 24,000 Hz, silence included."""
    return events.SessionInputAudioBufferAppend(audio=base64.b64encode(audio).decode())


def close_translation() -> events.SessionClose:
    """Request the remaining output of the translation, then close the session."""
    return events.SessionClose()
