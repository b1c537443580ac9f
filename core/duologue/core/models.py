"""The only table of model names. Models are retired every few months: update it."""

from __future__ import annotations

import re

__all__ = [
    "AS_OF",
    "BILLED_BY_TOKENS",
    "EARLIER",
    "REALTIME",
    "REASONING",
    "TRANSCRIBERS",
    "TRANSCRIPTION",
    "XAI_VOICE",
    "holds_conversations",
    "undated",
]

#: When this table was last checked.
AS_OF = "2026-11"
#: The default model of a conversation.
REALTIME = "gpt-realtime-2.1"
#: The default model of transcription, if that is switched on. It works with turn
#: detection by the service; the streaming models need turn detection switched off.
TRANSCRIPTION = "gpt-transcribe"
#: The default model of a conversation with xAI: an alias of its newest one.
XAI_VOICE = "grok-voice-latest"

#: The conversation models that reason: their messages have a ``phase``.
REASONING = (REALTIME, "gpt-realtime-2.1-mini", "gpt-realtime-2")
#: The conversation models before them.
EARLIER = ("gpt-realtime-1.5", "gpt-realtime", "gpt-realtime-mini")
#: The transcription models whose usage is in tokens, not in seconds.
BILLED_BY_TOKENS = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe")
#: All transcription models.
TRANSCRIBERS = (
    TRANSCRIPTION,
    "gpt-live-transcribe",
    *BILLED_BY_TOKENS,
    "gpt-4o-transcribe-diarize",
    "gpt-realtime-whisper",
    "whisper-1",
)

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_CONVERSATION = re.compile(r"realtime|audio")


def undated(model: str) -> str:
    """The name without its date: ``gpt-realtime`` of ``gpt-realtime-2025-08-28``."""
    return _DATE.sub("", model)


def holds_conversations(model: str) -> bool:
    """Whether the model can hold a conversation, as far as its name says.

    A name that is not of the provider's kind, such as that of a deployment, says
    nothing: True.
    """
    if undated(model) in TRANSCRIBERS:
        return False
    return not model.startswith("gpt-") or _CONVERSATION.search(model) is not None
