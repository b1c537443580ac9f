"""The configuration of sessions and responses: its shapes and its defaults.

The shapes follow the session objects of the API reference ("session.update",
"response.create"). The local service checks, keeps and shows ``truncation``,
``tracing``, ``prompt``, ``noise_reduction``, ``reasoning`` and ``speed``, but does not
act on them.
"""

from __future__ import annotations

from typing import Any

from .checks import (
    Shape,
    anything,
    boolean,
    either,
    integer,
    items,
    nullable,
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
    "DETECTION_DEFAULTS",
    "PCM",
    "REALTIME",
    "RESPONSE",
    "SESSION_DEFAULTS",
    "TRANSCRIPTION",
]

_MOST_PAIRS, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512
_FORMAT = tagged(
    {
        "audio/pcm": record({"type": text, "rate": one_of(24_000)}),
        "audio/pcmu": record({"type": text}),
        "audio/pcma": record({"type": text}),
    }
)
_FORMATS = either((dict, _FORMAT))
_TURN_DETECTION = tagged(
    {
        "server_vad": record(
            {
                "type": text,
                "threshold": number(0, 1),
                "prefix_padding_ms": integer(0, 5_000),
                "silence_duration_ms": integer(0, 10_000),
                "idle_timeout_ms": nullable(integer(5_000, 30_000)),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
        "semantic_vad": record(
            {
                "type": text,
                "eagerness": one_of("low", "medium", "high", "auto"),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
    },
    default="server_vad",
)
_INPUT = record(
    {
        "format": _FORMATS,
        "transcription": nullable(
            record(
                {
                    "model": nullable(text),
                    "language": nullable(text),
                    "languages": nullable(texts),
                    "prompt": nullable(text),
                    "keywords": nullable(texts),
                    "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
                }
            )
        ),
        "noise_reduction": nullable(
            record(
                {"type": one_of("near_field", "far_field"), "strength": number(0, 1)}
            )
        ),
        "turn_detection": nullable(_TURN_DETECTION),
    }
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
                "description": nullable(text),
                "parameters": either((dict, anything)),
            },
            required=("name",),
        ),
        "mcp": record(
            {
                "type": text,
                "server_label": text,
                "server_url": nullable(text),
                "server_description": nullable(text),
                "connector_id": nullable(text),
                "tunnel_id": nullable(text),
                "authorization": nullable(text),
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
                    {"type": text, "server_label": text, "name": nullable(text)},
                    required=("server_label",),
                ),
            }
        ),
    ),
)
_PROMPT = record(
    {"id": text, "version": nullable(text), "variables": anything}, required=("id",)
)
_MAX_TOKENS = either((int, integer(1, 4_096)), (str, one_of("inf")))
_REASONING = record({"effort": one_of("minimal", "low", "medium", "high", "xhigh")})
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


def _metadata(value: Any, path: str) -> None:
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
        "reasoning": nullable(_REASONING),
        "prompt": nullable(_PROMPT),
        "tracing": nullable(_TRACING),
        "truncation": nullable(_TRUNCATION),
        "include": nullable(_INCLUDE),
    }
)

#: The configuration of a transcription session.
TRANSCRIPTION: Shape = record(
    {
        "type": text,
        "audio": record({"input": _INPUT}),
        "include": nullable(_INCLUDE),
    }
)

#: The settings that a response may override. Null means the session's value.
RESPONSE: Shape = record(
    {
        "conversation": one_of("auto", "none"),
        "input": nullable(INPUT),
        "instructions": nullable(text),
        "output_modalities": nullable(_MODALITIES),
        "audio": nullable(
            record({"output": record({"format": _FORMATS, "voice": _VOICE})})
        ),
        "tools": nullable(items(_TOOL, most=128)),
        "tool_choice": nullable(_TOOL_CHOICE),
        "parallel_tool_calls": nullable(boolean),
        "max_output_tokens": nullable(_MAX_TOKENS),
        "metadata": nullable(_metadata),
        "reasoning": nullable(_REASONING),
        "prompt": nullable(_PROMPT),
    }
)

PCM = {"type": "audio/pcm", "rate": 24_000}
_ANSWERING = {"create_response": True, "interrupt_response": True}
#: Turn detection by type of session and type of detection; that of a transcription
#: session is from public captures of the real service.
DETECTION_DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "realtime": {
        "server_vad": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "idle_timeout_ms": None,
            **_ANSWERING,
        },
        "semantic_vad": {"type": "semantic_vad", "eagerness": "auto", **_ANSWERING},
    },
    "transcription": {
        "server_vad": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
        },
        "semantic_vad": {"type": "semantic_vad", "eagerness": "auto"},
    },
}


def _input_defaults(kind: str) -> dict[str, Any]:
    return {
        "format": PCM,
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": DETECTION_DEFAULTS[kind]["server_vad"],
    }


#: The configuration of a new session, by type.
SESSION_DEFAULTS: dict[str, dict[str, Any]] = {
    "realtime": {
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
            "input": _input_defaults("realtime"),
            "output": {"format": PCM, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    },
    "transcription": {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "audio": {"input": _input_defaults("transcription")},
        "include": None,
    },
}
