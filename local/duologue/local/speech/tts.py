"""Which voice this machine has."""

from __future__ import annotations

from ..interfaces import Voice, VoiceError
from .tts_espeak import EspeakVoice
from .tts_flite import FliteVoice

__all__ = ["find_voice"]


def find_voice() -> Voice:
    """flite where its library loads, else espeak-ng; its ``name`` says which.

    Raises `VoiceError` naming the packages where neither is there.
    """
    try:
        return FliteVoice()
    except VoiceError:
        pass
    try:
        return EspeakVoice()
    except VoiceError:
        raise VoiceError(
            "no voice: install the system package libflite1 "
            "(apt-get install libflite1), or the extra duologue[espeak]"
        ) from None
