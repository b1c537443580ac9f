"""Speech synthesis with libflite (Debian: ``libflite1``) through ctypes.

The ctypes structures match flite 2.x; every ``.so.1`` library has the same ones.
"""

from __future__ import annotations

import ctypes
import threading
import unicodedata
from collections.abc import AsyncGenerator
from functools import cache, partial
from typing import Any

from ..interfaces import SynthesiserError
from .tts_stream import Emit, Library, stream

__all__ = ["FliteSynthesiser", "FliteVoice"]

#: Hz.
_RATE = 16_000
#: Samples for each call of the callback: 25 ms.
_CHUNK = 400
_CONTINUE, _STOP = 0, -1
#: Voices of the protocol that map to flite's voice ``rms``; the others map to ``slt``.
_RMS = frozenset({"rms", "ash", "ballad", "cedar", "echo", "verse"})

#: The library has global state.
_lock = threading.Lock()


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.c_void_p),
    )


_OnChunk = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(_Wave),
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
)


class _Streaming(ctypes.Structure):
    _fields_ = (
        ("min_buffsize", ctypes.c_int),
        ("on_chunk", _OnChunk),
        ("utterance", ctypes.c_void_p),
        ("item", ctypes.c_void_p),
        ("userdata", ctypes.c_void_p),
    )


class _Voice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


class _Flite(Library):
    """The loaded library with its two voices; the caller holds `_lock`."""

    def __init__(self) -> None:
        super().__init__()
        flite = ctypes.CDLL("libflite.so.1")
        flite.new_audio_streaming_info.restype = ctypes.POINTER(_Streaming)
        flite.audio_streaming_info_val.restype = ctypes.c_void_p
        flite.audio_streaming_info_val.argtypes = [ctypes.c_void_p]
        flite.feat_set.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        flite.flite_text_to_wave.restype = ctypes.c_void_p
        flite.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        flite.delete_wave.argtypes = [ctypes.c_void_p]
        flite.flite_init()
        self._flite = flite
        # flite keeps the pointer: the callback must live as long as the voices.
        self._on_chunk = _OnChunk(self._take_chunk)
        self._voices = {name: self._register(name) for name in ("slt", "rms")}

    def _register(self, name: str) -> ctypes.c_void_p:
        register = getattr(
            ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}"
        )
        register.restype = ctypes.POINTER(_Voice)
        voice = register(None)
        streaming = self._flite.new_audio_streaming_info()
        streaming.contents.min_buffsize = _CHUNK
        streaming.contents.on_chunk = self._on_chunk
        value = self._flite.audio_streaming_info_val(streaming)
        self._flite.feat_set(voice.contents.features, b"streaming_info", value)
        return ctypes.cast(voice, ctypes.c_void_p)

    def _take_chunk(
        self, wave: Any, start: int, size: int, _last: int, _data: object
    ) -> int:
        address = wave.contents.samples + 2 * start
        return _CONTINUE if self.take(address, size) else _STOP

    def say(self, voice: str, text: str, emit: Emit) -> None:
        """Synthesise one clause into ``emit``; blocks."""
        with self.emitting(emit):
            wave = self._flite.flite_text_to_wave(_plain(text), self._voices[voice])
            if wave:
                self._flite.delete_wave(wave)


@cache
def _library() -> _Flite:
    return _Flite()


def _plain(text: str) -> bytes:
    """The text in ASCII, because flite accepts nothing else."""
    text = text.replace("\u2019", "'").replace("\0", " ")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore")


class FliteSynthesiser:
    """Speech synthesis with libflite. Raises `SynthesiserError` if it is missing."""

    name = "flite"

    def __init__(self) -> None:
        try:
            with _lock:
                _library()
        except (OSError, AttributeError) as error:
            raise SynthesiserError(f"libflite cannot be loaded: {error}") from error

    def speak(self, text: str, *, voice: str | None = None) -> AsyncGenerator[bytes]:
        """Stream the speech as PCM16 at 24 kHz. Closing the iterator stops it."""
        name = "rms" if voice in _RMS else "slt"
        return stream(text, partial(_library().say, name), _RATE, _lock)


#: The name in version 0.1.
FliteVoice = FliteSynthesiser
