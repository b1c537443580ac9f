"""The voice of libflite (Debian ``libflite1``), by ctypes: 16 kHz, streamed.

The one module that knows flite. Its structures are those of flite 2.x, which keeps
them binary compatible within the library name ``.so.1``.
"""

from __future__ import annotations

import ctypes
import threading
import unicodedata
from collections.abc import AsyncGenerator
from functools import cache, partial

from ..interfaces import VoiceError
from .synthesis import Emit, stream

__all__ = ["FliteVoice"]

_RATE = 16_000
#: Samples between two calls back: 25 ms.
_CHUNK = 400
_CONTINUE, _STOP = 0, -1
#: Names of the protocol that sound like a man; all others get the other voice.
_RMS = frozenset({"rms", "ash", "ballad", "cedar", "echo", "verse"})

#: The library has one state for the whole process.
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


class _Library:
    """The loaded library with its two voices; the caller holds `_lock`."""

    def __init__(self) -> None:
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
        self._on_chunk = _OnChunk(self._take)
        self._emit: Emit | None = None
        self._failure: Exception | None = None
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

    def _take(self, wave: object, start: int, size: int, _last: int, _: object) -> int:
        # An exception cannot pass through C: it is kept and raised afterwards.
        try:
            samples = wave.contents.samples  # type: ignore[attr-defined]
            pcm = ctypes.string_at(samples + 2 * start, 2 * size)
            assert self._emit is not None
            return _CONTINUE if self._emit(pcm) else _STOP
        except Exception as error:
            self._failure = error
            return _STOP

    def say(self, voice: str, text: str, emit: Emit) -> None:
        """Speak one clause into ``emit``; blocks."""
        self._emit, self._failure = emit, None
        try:
            wave = self._flite.flite_text_to_wave(_plain(text), self._voices[voice])
            if wave:
                self._flite.delete_wave(wave)
        finally:
            self._emit = None
        if self._failure is not None:
            raise self._failure


@cache
def _library() -> _Library:
    return _Library()


def _plain(text: str) -> bytes:
    """The text in the only letters that flite reads."""
    text = text.replace("\u2019", "'").replace("\0", " ")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore")


class FliteVoice:
    """Speaks with libflite. Raises `VoiceError` where it is not installed."""

    name = "flite"

    def __init__(self) -> None:
        try:
            with _lock:
                _library()
        except (OSError, AttributeError) as error:
            raise VoiceError(f"libflite cannot be loaded: {error}") from error

    def speak(self, text: str, *, voice: str | None = None) -> AsyncGenerator[bytes]:
        """The text as PCM16 at 24 kHz; stops when the iterator is closed."""
        name = "rms" if voice in _RMS else "slt"
        return stream(text, partial(_library().say, name), _RATE, _lock)
