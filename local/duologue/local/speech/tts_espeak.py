"""The voice of espeak-ng, from the wheel ``espeakng-loader``: needs no root.

It sounds robotic and a recogniser reads it badly, so it stands in where flite is
missing. espeak-ng is under the GPL-3: the wheel is an extra of its own
(``duologue[espeak]``), and only this module knows it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import AsyncGenerator
from functools import cache

from ..interfaces import VoiceError
from .synthesis import Emit, stream

__all__ = ["EspeakVoice"]

_SYNCHRONOUS = 2
_CHARACTERS = 1
_UTF8 = 1
_CONTINUE, _STOP = 0, 1
#: ms of audio between two calls back.
_CHUNK_MS = 50

#: The library has one state for the whole process.
_lock = threading.Lock()

_OnChunk = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)


class _Library:
    """The loaded library; the caller holds `_lock`."""

    def __init__(self) -> None:
        import espeakng_loader

        espeak = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate: int = espeak.espeak_Initialize(_SYNCHRONOUS, _CHUNK_MS, data, 0)
        if self.rate <= 0:
            raise OSError("espeak-ng does not start")
        espeak.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        espeak.espeak_SetVoiceByName(b"en-us")
        self._espeak = espeak
        # espeak keeps the pointer: the callback must live as long as the library.
        self._on_chunk = _OnChunk(self._take)
        espeak.espeak_SetSynthCallback(self._on_chunk)
        self._emit: Emit | None = None
        self._failure: Exception | None = None

    def _take(self, samples: int | None, size: int, _events: object) -> int:
        # An exception cannot pass through C: it is kept and raised afterwards.
        try:
            if not samples or not size:
                return _CONTINUE
            assert self._emit is not None
            pcm = ctypes.string_at(samples, 2 * size)
            return _CONTINUE if self._emit(pcm) else _STOP
        except Exception as error:
            self._failure = error
            return _STOP

    def say(self, text: str, emit: Emit) -> None:
        """Speak one clause into ``emit``; blocks."""
        self._emit, self._failure = emit, None
        data = text.replace("\0", " ").encode()
        try:
            self._espeak.espeak_Synth(
                data, len(data) + 1, 0, _CHARACTERS, 0, _UTF8, None, None
            )
        finally:
            self._emit = None
        if self._failure is not None:
            raise self._failure


@cache
def _library() -> _Library:
    return _Library()


class EspeakVoice:
    """Speaks with espeak-ng. Raises `VoiceError` where it is not installed."""

    name = "espeak-ng"

    def __init__(self) -> None:
        try:
            with _lock:
                _library()
        except (ImportError, OSError, RuntimeError) as error:
            raise VoiceError(f"espeak-ng cannot be loaded: {error}") from error

    def speak(self, text: str, *, voice: str | None = None) -> AsyncGenerator[bytes]:
        """The text as PCM16 at 24 kHz; there is one voice for all names."""
        library = _library()
        return stream(text, library.say, library.rate, _lock)
