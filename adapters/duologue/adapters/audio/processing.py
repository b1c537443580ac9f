"""WebRTC's audio processing: echo, noise and gain.

The only module here that imports livekit, whose rtc package binds the module that
browsers use (AEC3, noise suppression, automatic gain).
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from typing import Any

from duologue.transports.contract import SAMPLE_RATE
from duologue.transports.errors import MissingExtra

from .pipelines import BLOCK_SAMPLES

__all__ = ["Processing", "can_process"]

#: What livekit raises where a block is not processed.
_FAILURES = (RuntimeError, ValueError)

_log = logging.getLogger(__name__)


def can_process() -> bool:
    """Whether what `Processing` needs is installed."""
    return importlib.util.find_spec("livekit") is not None


class Processing:
    """Takes the speaker's sound out of the microphone's, and noise; evens its level.

    One for a pair of microphone and speaker, given to both. Works on 10 ms of PCM16
    at a time, about 0.25 ms of one core for both sides. Raises `MissingExtra`
    without the extra ``aec``.
    """

    def __init__(
        self,
        *,
        echo_cancellation: bool = True,
        noise_suppression: bool = True,
        gain_control: bool = True,
    ) -> None:
        try:
            from livekit.rtc import AudioFrame
            from livekit.rtc.apm import AudioProcessingModule
        except ImportError:
            raise MissingExtra(
                "echo cancellation needs livekit: pip install 'duologue[aec]'"
            ) from None
        self._frame = AudioFrame
        self._module = AudioProcessingModule(
            echo_cancellation=echo_cancellation,
            noise_suppression=noise_suppression,
            high_pass_filter=True,
            auto_gain_control=gain_control,
        )
        self._delay_ms = 0
        self._failures = 0
        # Two devices call it from two threads.
        self._lock = threading.Lock()

    @property
    def failures(self) -> int:
        """How many blocks went through as they were because processing failed."""
        return self._failures

    def add_delay(self, ms: float) -> None:
        """Say that sound is under way for so much longer from `render` to `capture`.

        Each device adds its latency. It is a hint: the canceller finds the rest.
        """
        self._delay_ms += round(ms)

    def render(self, pcm: bytes) -> None:
        """Take 10 ms that the speaker is about to play."""
        with self._lock:
            try:
                self._module.process_reverse_stream(self._framed(pcm))
            except _FAILURES as error:
                self._fail(error)

    def capture(self, pcm: bytes) -> bytes:
        """10 ms of the microphone, cleaned; as they are where that fails."""
        with self._lock:
            try:
                frame = self._framed(pcm)
                self._module.set_stream_delay_ms(self._delay_ms)
                self._module.process_stream(frame)
            except _FAILURES as error:
                self._fail(error)
                return pcm
        return bytes(frame.data.cast("B"))

    def _framed(self, pcm: bytes) -> Any:
        return self._frame(bytearray(pcm), SAMPLE_RATE, 1, BLOCK_SAMPLES)

    def _fail(self, error: Exception) -> None:
        if not self._failures:
            _log.warning("audio processing failed, sound goes on without: %s", error)
        self._failures += 1
