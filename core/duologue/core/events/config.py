"""Session configuration as typed classes, with the field names of the GA protocol.

A field that is ``UNSET`` is not sent, so the service keeps its value. A field that is
``None`` is sent as null: it switches off ``turn_detection``, ``transcription`` or
``noise_reduction``. API page "Session configuration". `Event` explains ``STRICT``.
"""

from __future__ import annotations

from typing import ClassVar, Union

from msgspec import UNSET, UnsetType

from .items import AnyItem, Json, Value

__all__ = [
    "AnySessionConfig",
    "AudioConfig",
    "AudioFormat",
    "AudioInput",
    "AudioOutput",
    "FunctionTool",
    "McpToolServer",
    "NoiseReduction",
    "PromptReference",
    "RealtimeSessionConfig",
    "Reasoning",
    "ResponseCreateParams",
    "SemanticVad",
    "ServerVad",
    "Transcription",
    "TranscriptionSessionConfig",
    "TranslationAudio",
    "TranslationAudioInput",
    "TranslationAudioOutput",
    "TranslationConfig",
    "Voice",
]


class AudioFormat(Value, frozen=True, kw_only=True):
    """``audio/pcm`` (24,000 Hz), ``audio/pcmu`` or ``audio/pcma`` (8,000 Hz)."""

    type: str
    rate: int | UnsetType | None = UNSET


class NoiseReduction(Value, frozen=True, kw_only=True):
    """``near_field`` for a headset, ``far_field`` for a microphone in the room.

    Strength 0 to 1.
    """

    type: str | UnsetType | None = UNSET
    strength: float | UnsetType | None = UNSET


class Transcription(Value, frozen=True, kw_only=True):
    """The transcription of the user's audio.

    Without ``language`` the model detects it. ``languages`` and ``keywords`` are the
    expected languages and words. ``delay`` is minimal, low, medium, high or xhigh: a
    longer delay can improve the transcript. Each model supports only some fields.
    """

    model: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    languages: tuple[str, ...] | UnsetType | None = UNSET
    prompt: str | UnsetType | None = UNSET
    keywords: tuple[str, ...] | UnsetType | None = UNSET
    delay: str | UnsetType | None = UNSET


class ServerVad(Value, frozen=True, kw_only=True, tag_field="type", tag="server_vad"):
    """Turn detection by silence. ``threshold`` is 0 to 1; times are in ms.

    ``idle_timeout_ms`` is 5000 to 30000: the silence after which the service replies
    without input.
    """

    threshold: float | UnsetType | None = UNSET
    prefix_padding_ms: int | UnsetType | None = UNSET
    silence_duration_ms: int | UnsetType | None = UNSET
    idle_timeout_ms: int | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET


class SemanticVad(
    Value, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"
):
    """Turn detection by meaning. ``eagerness`` is low, medium, high or auto."""

    eagerness: str | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET


TurnDetection = Union[ServerVad, SemanticVad]  # noqa: UP007 - read at run time


class Voice(Value, frozen=True, kw_only=True):
    """A custom voice."""

    STRICT: ClassVar = Value.STRICT | {"id"}
    id: str


class AudioInput(Value, frozen=True, kw_only=True):
    """The processing of the user's audio."""

    format: AudioFormat | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET


class AudioOutput(Value, frozen=True, kw_only=True):
    """The voice of the replies. ``speed`` is 0.25 to 1.5."""

    format: AudioFormat | UnsetType | None = UNSET
    voice: str | Voice | UnsetType | None = UNSET
    speed: float | UnsetType | None = UNSET


class AudioConfig(Value, frozen=True, kw_only=True):
    """Audio in both directions."""

    input: AudioInput | UnsetType | None = UNSET
    output: AudioOutput | UnsetType | None = UNSET


class FunctionTool(Value, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A function of the client; ``parameters`` is a JSON schema."""

    STRICT: ClassVar = Value.STRICT | {"name"}
    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    parameters: Json | UnsetType = UNSET


class McpToolServer(Value, frozen=True, kw_only=True, tag_field="type", tag="mcp"):
    """An MCP server whose tools the service calls itself."""

    server_label: str
    server_url: str | UnsetType | None = UNSET
    server_description: str | UnsetType | None = UNSET
    connector_id: str | UnsetType | None = UNSET
    tunnel_id: str | UnsetType | None = UNSET
    authorization: str | UnsetType | None = UNSET
    headers: Json | UnsetType = UNSET
    allowed_tools: Json | UnsetType = UNSET
    allowed_callers: Json | UnsetType = UNSET
    require_approval: Json | UnsetType = UNSET
    defer_loading: bool | UnsetType | None = UNSET


Tool = Union[FunctionTool, McpToolServer]  # noqa: UP007 - read at run time


class PromptReference(Value, frozen=True, kw_only=True):
    """A stored prompt. The provider ends this feature on 2026-11-30."""

    STRICT: ClassVar = Value.STRICT | {"id"}
    id: str
    version: str | UnsetType | None = UNSET
    variables: Json | UnsetType = UNSET


class Reasoning(Value, frozen=True, kw_only=True):
    """The ``effort`` of a reasoning model: none, minimal, low, medium, high, xhigh."""

    effort: str | UnsetType | None = UNSET


class RealtimeSessionConfig(
    Value, frozen=True, kw_only=True, tag_field="type", tag="realtime"
):
    """The configuration of a conversation. The service adds id, object, expires_at."""

    id: str | UnsetType = UNSET
    object: str | UnsetType = UNSET
    expires_at: int | float | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    output_modalities: tuple[str, ...] | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    audio: AudioConfig | UnsetType | None = UNSET
    tools: tuple[Tool, ...] | UnsetType | None = UNSET
    tool_choice: Json | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    max_output_tokens: int | str | UnsetType | None = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET
    prompt: PromptReference | UnsetType | None = UNSET
    tracing: Json | UnsetType = UNSET
    truncation: Json | UnsetType = UNSET
    include: tuple[str, ...] | UnsetType | None = UNSET


class TranscriptionSessionConfig(
    Value, frozen=True, kw_only=True, tag_field="type", tag="transcription"
):
    """The configuration of a session that only transcribes."""

    id: str | UnsetType = UNSET
    object: str | UnsetType = UNSET
    expires_at: int | float | UnsetType | None = UNSET
    audio: AudioConfig | UnsetType | None = UNSET
    include: tuple[str, ...] | UnsetType | None = UNSET


#: The configuration of a conversation, or of a transcription session.
AnySessionConfig = Union[  # noqa: UP007 - read by msgspec at run time
    RealtimeSessionConfig, TranscriptionSessionConfig
]


class TranslationAudioInput(Value, frozen=True, kw_only=True):
    """The processing of the source audio."""

    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET


class TranslationAudioOutput(Value, frozen=True, kw_only=True):
    """The target language."""

    language: str | UnsetType | None = UNSET


class TranslationAudio(Value, frozen=True, kw_only=True):
    """Audio of a translation in both directions."""

    input: TranslationAudioInput | UnsetType | None = UNSET
    output: TranslationAudioOutput | UnsetType | None = UNSET


class TranslationConfig(Value, frozen=True, kw_only=True):
    """A translation session. The service adds id, type, model, expires_at."""

    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    expires_at: int | float | UnsetType | None = UNSET
    audio: TranslationAudio | UnsetType = UNSET


class ResponseCreateParams(Value, frozen=True, kw_only=True):
    """The settings of one response. An omitted setting has the session's value.

    ``conversation="none"`` makes an out-of-band response: its items are not added to
    the conversation. The response's events repeat ``metadata`` (at most 16 pairs).
    """

    STRICT: ClassVar = frozenset({"metadata"})
    conversation: str | UnsetType = UNSET
    input: tuple[AnyItem, ...] | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    output_modalities: tuple[str, ...] | UnsetType | None = UNSET
    audio: AudioConfig | UnsetType | None = UNSET
    tools: tuple[Tool, ...] | UnsetType | None = UNSET
    tool_choice: Json | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    max_output_tokens: int | str | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET
    prompt: PromptReference | UnsetType | None = UNSET
