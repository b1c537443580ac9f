"""The only table of model names. Models are retired every few months: update it."""

from __future__ import annotations

__all__ = ["AS_OF", "REALTIME", "TRANSCRIPTION", "XAI_VOICE"]

#: When this table was last checked.
AS_OF = "2026-11"
#: The default model of a conversation.
REALTIME = "gpt-realtime-2.1"
#: The default model of transcription, if that is switched on. It works with turn
#: detection by the service; the streaming models need turn detection switched off.
TRANSCRIPTION = "gpt-transcribe"
#: The default model of a conversation with xAI: an alias of its newest one.
XAI_VOICE = "grok-voice-latest"
