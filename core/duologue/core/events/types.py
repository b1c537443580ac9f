"""Enums: event types, local facts, session kinds and statuses."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LocalEventType", "RealtimeEventType", "SessionKind", "SessionStatus"]


class RealtimeEventType(StrEnum):
    """Every event type of the GA protocol and of translation sessions.

    Source: the API reference "Realtime", client and server events. Translation sessions
    share four of the types.
    """

    # Sent by a client.
    CONVERSATION_ITEM_CREATE = "conversation.item.create"
    CONVERSATION_ITEM_DELETE = "conversation.item.delete"
    CONVERSATION_ITEM_RETRIEVE = "conversation.item.retrieve"
    CONVERSATION_ITEM_TRUNCATE = "conversation.item.truncate"
    INPUT_AUDIO_BUFFER_APPEND = "input_audio_buffer.append"
    INPUT_AUDIO_BUFFER_CLEAR = "input_audio_buffer.clear"
    INPUT_AUDIO_BUFFER_COMMIT = "input_audio_buffer.commit"
    OUTPUT_AUDIO_BUFFER_CLEAR = "output_audio_buffer.clear"
    RESPONSE_CANCEL = "response.cancel"
    RESPONSE_CREATE = "response.create"
    SESSION_UPDATE = "session.update"
    # Sent by a service.
    CONVERSATION_CREATED = "conversation.created"
    CONVERSATION_ITEM_ADDED = "conversation.item.added"
    CONVERSATION_ITEM_CREATED = "conversation.item.created"
    CONVERSATION_ITEM_DELETED = "conversation.item.deleted"
    CONVERSATION_ITEM_DONE = "conversation.item.done"
    CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_COMPLETED = (
        "conversation.item.input_audio_transcription.completed"
    )
    CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_DELTA = (
        "conversation.item.input_audio_transcription.delta"
    )
    CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_FAILED = (
        "conversation.item.input_audio_transcription.failed"
    )
    CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_SEGMENT = (
        "conversation.item.input_audio_transcription.segment"
    )
    CONVERSATION_ITEM_RETRIEVED = "conversation.item.retrieved"
    CONVERSATION_ITEM_TRUNCATED = "conversation.item.truncated"
    ERROR = "error"
    INPUT_AUDIO_BUFFER_CLEARED = "input_audio_buffer.cleared"
    INPUT_AUDIO_BUFFER_COMMITTED = "input_audio_buffer.committed"
    INPUT_AUDIO_BUFFER_DTMF_EVENT_RECEIVED = "input_audio_buffer.dtmf_event_received"
    INPUT_AUDIO_BUFFER_SPEECH_STARTED = "input_audio_buffer.speech_started"
    INPUT_AUDIO_BUFFER_SPEECH_STOPPED = "input_audio_buffer.speech_stopped"
    INPUT_AUDIO_BUFFER_TIMEOUT_TRIGGERED = "input_audio_buffer.timeout_triggered"
    MCP_LIST_TOOLS_COMPLETED = "mcp_list_tools.completed"
    MCP_LIST_TOOLS_FAILED = "mcp_list_tools.failed"
    MCP_LIST_TOOLS_IN_PROGRESS = "mcp_list_tools.in_progress"
    OUTPUT_AUDIO_BUFFER_CLEARED = "output_audio_buffer.cleared"
    OUTPUT_AUDIO_BUFFER_STARTED = "output_audio_buffer.started"
    OUTPUT_AUDIO_BUFFER_STOPPED = "output_audio_buffer.stopped"
    RATE_LIMITS_UPDATED = "rate_limits.updated"
    RESPONSE_CONTENT_PART_ADDED = "response.content_part.added"
    RESPONSE_CONTENT_PART_DONE = "response.content_part.done"
    RESPONSE_CREATED = "response.created"
    RESPONSE_DONE = "response.done"
    RESPONSE_FUNCTION_CALL_ARGUMENTS_DELTA = "response.function_call_arguments.delta"
    RESPONSE_FUNCTION_CALL_ARGUMENTS_DONE = "response.function_call_arguments.done"
    RESPONSE_MCP_CALL_COMPLETED = "response.mcp_call.completed"
    RESPONSE_MCP_CALL_FAILED = "response.mcp_call.failed"
    RESPONSE_MCP_CALL_IN_PROGRESS = "response.mcp_call.in_progress"
    RESPONSE_MCP_CALL_ARGUMENTS_DELTA = "response.mcp_call_arguments.delta"
    RESPONSE_MCP_CALL_ARGUMENTS_DONE = "response.mcp_call_arguments.done"
    RESPONSE_OUTPUT_AUDIO_DELTA = "response.output_audio.delta"
    RESPONSE_OUTPUT_AUDIO_DONE = "response.output_audio.done"
    RESPONSE_OUTPUT_AUDIO_TRANSCRIPT_DELTA = "response.output_audio_transcript.delta"
    RESPONSE_OUTPUT_AUDIO_TRANSCRIPT_DONE = "response.output_audio_transcript.done"
    RESPONSE_OUTPUT_ITEM_ADDED = "response.output_item.added"
    RESPONSE_OUTPUT_ITEM_DONE = "response.output_item.done"
    RESPONSE_OUTPUT_TEXT_DELTA = "response.output_text.delta"
    RESPONSE_OUTPUT_TEXT_DONE = "response.output_text.done"
    SESSION_CREATED = "session.created"
    SESSION_UPDATED = "session.updated"
    # Translation sessions.
    SESSION_CLOSE = "session.close"
    SESSION_INPUT_AUDIO_BUFFER_APPEND = "session.input_audio_buffer.append"
    SESSION_CLOSED = "session.closed"
    SESSION_INPUT_TRANSCRIPT_DELTA = "session.input_transcript.delta"
    SESSION_OUTPUT_AUDIO_DELTA = "session.output_audio.delta"
    SESSION_OUTPUT_TRANSCRIPT_DELTA = "session.output_transcript.delta"


class LocalEventType(StrEnum):
    """Local facts of a session: recorded in the same log, never sent or received."""

    #: A connection attempt begins, in the epoch of its record.
    CONNECTING = "duologue.connecting"
    #: The connection is open.
    CONNECTED = "duologue.connected"
    #: An attempt to connect has failed.
    CONNECT_FAILED = "duologue.connect_failed"
    #: The connection has ended, expected or not.
    DISCONNECTED = "duologue.disconnected"
    #: The successor of the connection carries the session from here on.
    SWITCHED = "duologue.switched"
    #: The user has heard an audio part up to a position.
    PLAYED = "duologue.played"
    #: The microphone was muted or unmuted.
    MUTED = "duologue.muted"
    #: The speaker's volume was set.
    VOLUME = "duologue.volume"
    #: The user cleared the transcripts shown so far.
    CLEARED = "duologue.cleared"
    #: The application requested a client event.
    REQUESTED = "duologue.requested"
    #: The application interrupted the assistant.
    INTERRUPTED = "duologue.interrupted"
    #: A local tool started.
    TOOL_STARTED = "duologue.tool_started"
    #: A local tool finished.
    TOOL_FINISHED = "duologue.tool_finished"
    #: Time has passed.
    TICK = "duologue.tick"
    #: Records are missing here.
    GAP = "duologue.gap"
    #: The session is to be closed.
    CLOSING = "duologue.closing"
    #: The session is closed.
    CLOSED = "duologue.closed"
    #: The session is removed from the state.
    FORGOTTEN = "duologue.forgotten"


class SessionKind(StrEnum):
    """The kind of a session: fixed on connecting; determines the event types."""

    #: A conversation with a model.
    REALTIME = "realtime"
    #: Audio in, text out, no replies.
    TRANSCRIPTION = "transcription"
    #: Audio in one language, audio and text in another.
    TRANSLATION = "translation"


class SessionStatus(StrEnum):
    """The status of a session's connection."""

    #: Not connected yet.
    CONNECTING = "connecting"
    #: Connected.
    OPEN = "open"
    #: The connection was lost; the next attempt follows.
    RECONNECTING = "reconnecting"
    #: Closed as intended.
    CLOSED = "closed"
    #: Ended by a failure.
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether the session has ended: closed or failed."""
        return self in (SessionStatus.CLOSED, SessionStatus.FAILED)
