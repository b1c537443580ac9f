"""The one place that names models. They are retired every few months: look here."""

from __future__ import annotations

__all__ = ["AS_OF", "REALTIME", "TRANSCRIPTION"]

#: When this table was last looked at.
AS_OF = "2026-11"
#: The model of a conversation where nobody names one.
REALTIME = "gpt-realtime-2.1"
#: The model that writes down what the user says, if that is switched on. It takes
#: turns found by the service; the streaming ones want turn detection off.
TRANSCRIPTION = "gpt-transcribe"
