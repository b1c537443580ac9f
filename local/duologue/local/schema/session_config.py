"""The configuration of sessions and responses: its shapes and its defaults.

The shapes follow the session objects of the API reference ("session.update",
"response.create"). The local service checks, keeps and shows ``truncation``,
``tracing``, ``prompt``, ``noise_reduction``, ``reasoning`` and ``speed``, but does not
act on them.
"""

from __future__ import annotations

from typing import Any

from duologue.core.models import EARLIER, REASONING, undated

from .checks import (
    Shape,
    anything,
    boolean,
    either,
    integer,
    items,
    number,
    one_of,
    record,
    tagged,
    text,
    texts,
)
from .conversation_items import INPUT
from .refusal import Refusal

__all__ = [
    "PCM",
    "REALTIME",
    "RESPONSE",
    "TRANSCRIPTION",
    "detection_defaults",
    "session_defaults",
]

_MOST_PAIRS, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512
_FORMAT = tagged(
    {
        "audio/pcm": record({"type": text, "rate": integer(24_000, 24_000)}),
        "audio/pcmu": record({"type": text}),
        "audio/pcma": record({"type": text}),
    }
)
#: Seen on the real service: a null of these is refused, not ignored.
_ANSWERS = ("create_response", "interrupt_response")
_FORMATS = either((dict, _FORMAT))
_TURN_DETECTION = tagged(
    {
        "server_vad": record(
            {
                "type": text,
                "threshold": number(0, 1),
                "prefix_padding_ms": integer(0, 5_000),
                "silence_duration_ms": integer(0, 10_000),
                "idle_timeout_ms": integer(5_000, 30_000),
                "create_response": boolean,
                "interrupt_response": boolean,
            },
            off=("idle_timeout_ms",),
            never_null=_ANSWERS,
        ),
        "semantic_vad": record(
            {
                "type": text,
                "eagerness": one_of("low", "medium", "high", "auto"),
                "create_response": boolean,
                "interrupt_response": boolean,
            },
            never_null=_ANSWERS,
        ),
    },
    default="server_vad",
)
_INPUT = record(
    {
        "format": _FORMATS,
        "transcription": record(
            {
                "model": text,
                "language": text,
                "languages": texts,
                "prompt": text,
                "keywords": texts,
                "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
            },
            off=("language", "languages", "prompt", "keywords", "delay"),
        ),
        "noise_reduction": record(
            {"type": one_of("near_field", "far_field"), "strength": number(0, 1)}
        ),
        "turn_detection": _TURN_DETECTION,
    },
    off=("transcription", "noise_reduction", "turn_detection"),
)
_VOICE = either((str, text), (dict, record({"id": text}, required=("id",))))
_OUTPUT = record({"format": _FORMATS, "voice": _VOICE, "speed": number(0.25, 1.5)})
_MODALITIES = items(one_of("text", "audio"))
_TOOL = tagged(
    {
        "function": record(
            {
                "type": text,
                "name": text,
                "description": text,
                "parameters": either((dict, anything)),
            },
            required=("name",),
        ),
        "mcp": record(
            {
                "type": text,
                "server_label": text,
                "server_url": text,
                "server_description": text,
                "connector_id": text,
                "tunnel_id": text,
                "authorization": text,
                "headers": anything,
                "allowed_tools": anything,
                "allowed_callers": anything,
                "require_approval": anything,
                "defer_loading": boolean,
            },
            required=("server_label",),
        ),
    },
)
_TOOL_CHOICE = either(
    (str, one_of("none", "auto", "required")),
    (
        dict,
        tagged(
            {
                "function": record({"type": text, "name": text}, required=("name",)),
                "mcp": record(
                    {"type": text, "server_label": text, "name": text},
                    required=("server_label",),
                ),
            }
        ),
    ),
)
_PROMPT = record({"id": text, "version": text, "variables": anything}, required=("id",))
_MAX_TOKENS = either((int, integer(1, 4_096)), (str, one_of("inf")))
_REASONING = record(
    {"effort": one_of("none", "minimal", "low", "medium", "high", "xhigh")}
)
_TRUNCATION = either(
    (str, one_of("auto", "disabled")),
    (
        dict,
        record(
            {
                "type": one_of("retention_ratio"),
                "retention_ratio": number(0, 1),
                "token_limits": record({"post_instructions": integer(0, 1_000_000)}),
            },
            required=("type", "retention_ratio"),
        ),
    ),
)
_TRACING = either(
    (str, one_of("auto")),
    (
        dict,
        record({"workflow_name": text, "group_id": text, "metadata": anything}),
    ),
)
_INCLUDE = items(one_of("item.input_audio_transcription.logprobs"))


def _metadata(value: Any, path: str) -> Any:
    """Up to 16 pairs; keys of up to 64 characters, values of up to 512."""
    either((dict, anything))(value, path)
    for key, each in value.items():
        text(each, f"{path}.{key}")
        if len(key) > _LONGEST_KEY or len(each) > _LONGEST_VALUE:
            raise Refusal(
                "invalid_value", f"'{path}.{key}' is too long.", param=f"{path}.{key}"
            )
    if len(value) > _MOST_PAIRS:
        raise Refusal(
            "invalid_value", f"'{path}' has more than {_MOST_PAIRS} pairs.", param=path
        )
    return value


#: A conversation's configuration.
REALTIME: Shape = record(
    {
        "type": text,
        "model": text,
        "output_modalities": _MODALITIES,
        "instructions": text,
        "audio": record({"input": _INPUT, "output": _OUTPUT}),
        "tools": items(_TOOL, most=128),
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": boolean,
        "max_output_tokens": _MAX_TOKENS,
        "reasoning": _REASONING,
        "prompt": _PROMPT,
        "tracing": _TRACING,
        "truncation": _TRUNCATION,
        "include": _INCLUDE,
    },
    off=("prompt", "tracing", "include"),
)

#: The configuration of a transcription session.
TRANSCRIPTION: Shape = record(
    {
        "type": text,
        "audio": record({"input": _INPUT}),
        "include": _INCLUDE,
    },
    off=("include",),
)

#: The settings that a response may override.
RESPONSE: Shape = record(
    {
        "conversation": one_of("auto", "none"),
        "input": INPUT,
        "instructions": text,
        "output_modalities": _MODALITIES,
        "audio": record({"output": record({"format": _FORMATS, "voice": _VOICE})}),
        "tools": items(_TOOL, most=128),
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": boolean,
        "max_output_tokens": _MAX_TOKENS,
        "metadata": _metadata,
        "reasoning": _REASONING,
        "prompt": _PROMPT,
    }
)

PCM = {"type": "audio/pcm", "rate": 24_000}
_ANSWERING = {"create_response": True, "interrupt_response": True}


def detection_defaults(kind: str, model: str) -> dict[str, dict[str, Any]]:
    """Turn detection by its type, in a session of this kind and model.

    The values are those of recordings and public captures of the real service.
    """
    transcribes = kind == "transcription"
    early = transcribes or undated(model) in EARLIER
    server_vad: dict[str, Any] = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200 if early else 500,
    }
    semantic_vad: dict[str, Any] = {"type": "semantic_vad", "eagerness": "auto"}
    if not transcribes:
        server_vad |= {"idle_timeout_ms": None, **_ANSWERING}
        semantic_vad |= _ANSWERING
    return {"server_vad": server_vad, "semantic_vad": semantic_vad}


def session_defaults(kind: str, model: str) -> dict[str, Any]:
    """The configuration of a new session of this kind and model."""
    heard = {
        "format": PCM,
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": detection_defaults(kind, model)["server_vad"],
    }
    if kind == "transcription":
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "audio": {"input": heard},
            "include": None,
        }
    voice = "marin" if undated(model) in REASONING else "alloy"
    return {
        "type": "realtime",
        "object": "realtime.session",
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "audio": {
            "input": heard,
            "output": {"format": PCM, "voice": voice, "speed": 1.0},
        },
        "include": None,
    }
