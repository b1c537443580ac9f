"""The stream of the core benchmarks: spoken turns, as a service sends them.

A turn has 61 events over WebRTC, 40 of them transcript deltas; the mean size is 269
bytes. Field order, ids and ``obfuscation`` are as in recorded traffic.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["DELTAS", "EVENTS", "SESSION", "delta", "opening", "short_turn", "turn"]

SESSION = "bench"
#: Events of a turn, and transcript deltas among them.
EVENTS, DELTAS = 61, 40

_WORDS = [
    *("Certainly:", "the", "tide", "comes", "in", "twice"),
    *("every", "day,", "because", "the", "moon", "pulls"),
]


def turn(number: int) -> list[bytes]:
    """The 61 frames of one turn: the user speaks, the model answers."""
    return [_frame(number, at, event) for at, event in enumerate(_turn(number))]


def short_turn(number: int) -> list[bytes]:
    """The two items of a turn in seven frames, to grow a conversation quickly."""
    events = _heard(number, []) + _reply(number, ["Twice a day."])
    kept = ("conversation.item.added", "conversation.item.done", "response.done")
    few = [e for e in events if e["type"].endswith((*kept, "delta", "completed"))]
    return [_frame(number, at, event) for at, event in enumerate(few)]


def opening() -> list[bytes]:
    """The first frame of a connection."""
    audio_format = {"type": "audio/pcm", "rate": 24000}
    detection = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300}
    detection |= {"silence_duration_ms": 500, "interrupt_response": True}
    session = {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_E6U0wu9FmdwQ0Lgv9ESYH",
        "model": "gpt-realtime",
        "output_modalities": ["audio"],
        "instructions": "Answer in one sentence.",
        "tools": [],
        "tool_choice": "auto",
        "audio": {
            "input": {
                "format": audio_format,
                "transcription": {"model": "gpt-4o-mini-transcribe"},
                "turn_detection": detection,
            },
            "output": {"format": audio_format, "voice": "marin", "speed": 1.0},
        },
    }
    return [_frame(0, 99, {"type": "session.created", "session": session})]


def delta(number: int, at: int, text: str = " comes") -> bytes:
    """One more transcript delta of the reply of a turn."""
    return _frame(number, at, _delta(number, text, at))


def _frame(number: int, at: int, event: dict[str, Any]) -> bytes:
    fields = {"type": event.pop("type"), "event_id": _id("event", number, at), **event}
    return json.dumps(fields, separators=(",", ":")).encode()


def _id(kind: str, number: int, at: int = 0) -> str:
    return f"{kind}_E6U0{number:08d}x{at:06d}Qz"


def _turn(number: int) -> list[dict[str, Any]]:
    """The events of a turn in order; the user's transcript arrives during the reply."""
    words = [" " + word for word in (_WORDS * 4)[:DELTAS]]
    reply = _reply(number, words)
    middle = 3 + DELTAS // 2
    spoken = [" When does", " the tide come in?"]
    heard = _heard(number, spoken)
    return [*heard[:5], *reply[:middle], *heard[5:], *reply[middle:]]


def _heard(number: int, words: list[str]) -> list[dict[str, Any]]:
    """The user's side: voice activity, the item, and its transcript at the end."""
    user = _id("item", number, 1)
    before = _id("item", number - 1, 2) if number else None
    part = {"type": "input_audio", "transcript": None}
    item = _item(user, "user", "completed", [part])
    name = "conversation.item.input_audio_transcription"
    place = {"item_id": user, "content_index": 0}
    return [
        {
            "type": "input_audio_buffer.speech_started",
            "audio_start_ms": number * 9000,
            "item_id": user,
        },
        {
            "type": "input_audio_buffer.speech_stopped",
            "audio_end_ms": number * 9000 + 2500,
            "item_id": user,
        },
        {
            "type": "input_audio_buffer.committed",
            "previous_item_id": before,
            "item_id": user,
        },
        {"type": "conversation.item.added", "previous_item_id": before, "item": item},
        {"type": "conversation.item.done", "previous_item_id": before, "item": item},
        *(
            {"type": f"{name}.delta", **place, "delta": word, "obfuscation": "sOu3zwV"}
            for word in words
        ),
        {
            "type": f"{name}.completed",
            **place,
            "transcript": "When does the tide come in?",
            "usage": {"type": "duration", "seconds": 3},
        },
    ]


def _reply(number: int, words: list[str]) -> list[dict[str, Any]]:
    """The model's side: a response with one item of one part."""
    text = "".join(words)
    response_id, item_id = _id("resp", number), _id("item", number, 2)
    begun = _item(item_id, "assistant", "in_progress", [])
    said = {"type": "output_audio", "transcript": text}
    done = _item(item_id, "assistant", "completed", [said])
    where = {"response_id": response_id, "item_id": item_id, "output_index": 0}
    place = {**where, "content_index": 0}
    user = _id("item", number, 1)
    response = {"response_id": response_id}
    of = {**response, "output_index": 0}
    return [
        {
            "type": "response.created",
            "response": _response(number, "in_progress", [], None),
        },
        {"type": "response.output_item.added", **of, "item": begun},
        {"type": "conversation.item.added", "previous_item_id": user, "item": begun},
        {
            "type": "response.content_part.added",
            **place,
            "part": {"type": "audio", "transcript": ""},
        },
        *(_delta(number, word, at) for at, word in enumerate(words)),
        {"type": "output_audio_buffer.started", **response},
        {"type": "response.output_audio.done", **place},
        {
            "type": "response.output_audio_transcript.done",
            **place,
            "transcript": text,
        },
        {
            "type": "response.content_part.done",
            **place,
            "part": {"type": "audio", "transcript": text},
        },
        {"type": "response.output_item.done", **of, "item": done},
        {"type": "conversation.item.done", "previous_item_id": None, "item": done},
        {
            "type": "response.done",
            "response": _response(number, "completed", [done], _usage()),
        },
        {"type": "rate_limits.updated", "rate_limits": _limits()},
        {"type": "output_audio_buffer.stopped", **response},
    ]


def _delta(number: int, text: str, at: int) -> dict[str, Any]:
    return {
        "type": "response.output_audio_transcript.delta",
        "response_id": _id("resp", number),
        "item_id": _id("item", number, 2),
        "output_index": 0,
        "content_index": 0,
        "delta": text,
        # Its length hides the length of the delta.
        "obfuscation": "kX1yigxefJb7Qw"[len(text) % 8 :],
    }


def _item(id: str, role: str, status: str, content: list[Any]) -> dict[str, Any]:
    return {
        "id": id,
        "type": "message",
        "status": status,
        "role": role,
        "content": content,
    }


def _response(
    number: int, status: str, output: list[Any], usage: Any
) -> dict[str, Any]:
    return {
        "object": "realtime.response",
        "id": _id("resp", number),
        "status": status,
        "status_details": None,
        "output": output,
        "conversation_id": "conv_E6U0wZ7az3EZovEnFLqH4",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {
            "output": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "voice": "marin",
            }
        },
        "usage": usage,
        "metadata": None,
    }


def _usage() -> dict[str, Any]:
    none = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
    return {
        "total_tokens": 205,
        "input_tokens": 41,
        "output_tokens": 164,
        "input_token_details": {
            "text_tokens": 14,
            "audio_tokens": 27,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": none,
        },
        "output_token_details": {"text_tokens": 41, "audio_tokens": 123},
    }


def _limits() -> list[dict[str, Any]]:
    return [
        {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60},
        {"name": "tokens", "limit": 40000, "remaining": 39500, "reset_seconds": 1.5},
    ]
