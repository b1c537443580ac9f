"""Speech synthesis with espeak-ng from the wheel ``espeakng-loader``.

Its speech is robotic and hard to recognise, so it is the fallback for flite. The
licence of espeak-ng is the GPL-3, so the wheel is an extra, ``duologue[espeak]``, and
only this module uses it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import AsyncGenerator
from functools import cache

from ..interfaces import SynthesiserError
from .tts_stream import Emit, Library, stream

__all__ = ["EspeakSynthesiser"]

_SYNCHRONOUS = 2
_CHARACTERS = 1
_UTF8 = 1
_CONTINUE, _STOP = 0, 1
#: ms of audio for each call of the callback.
_CHUNK_MS = 50

#: The library has global state.
_lock = threading.Lock()

_OnChunk = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)


class _Espeak(Library):
    """The loaded library; the caller holds `_lock`."""

    def __init__(self) -> None:
        super().__init__()
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
        self._on_chunk = _OnChunk(self._take_chunk)
        espeak.espeak_SetSynthCallback(self._on_chunk)

    def _take_chunk(self, samples: int | None, size: int, _events: object) -> int:
        if not samples or not size:
            return _CONTINUE
        return _CONTINUE if self.take(samples, size) else _STOP

    def say(self, text: str, emit: Emit) -> None:
        """Synthesise one clause into ``emit``; blocks."""
        data = text.replace("\0", " ").encode()
        with self.emitting(emit):
            self._espeak.espeak_Synth(
                data, len(data) + 1, 0, _CHARACTERS, 0, _UTF8, None, None
            )


@cache
def _library() -> _Espeak:
    return _Espeak()


class EspeakSynthesiser:
    """Speech synthesis with espeak-ng. Raises `SynthesiserError` if it is missing."""

    name = "espeak-ng"

    def __init__(self) -> None:
        try:
            with _lock:
                _library()
        except (ImportError, OSError, RuntimeError) as error:
            raise SynthesiserError(f"espeak-ng cannot be loaded: {error}") from error

    def speak(self, text: str, *, voice: str | None = None) -> AsyncGenerator[bytes]:
        """Stream the speech as PCM16 at 24 kHz; all voices sound the same."""
        library = _library()
        return stream(text, library.say, library.rate, _lock)
