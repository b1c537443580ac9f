"""WebRTC's audio processing: echo cancellation, noise suppression, automatic gain.

This is the only module that imports livekit, whose ``rtc`` package wraps the audio
processing module of browsers (AEC3).
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

#: The exceptions that livekit raises if it cannot process a block.
_FAILURES = (RuntimeError, ValueError)

_log = logging.getLogger(__name__)


def can_process() -> bool:
    """Whether livekit, which `Processing` needs, is installed."""
    return importlib.util.find_spec("livekit") is not None


class Processing:
    """Removes echo and noise from the microphone's audio, and controls its gain.

    Create one for a pair of microphone and speaker and pass it to both. It works on
    10 ms of PCM16 at a time, which takes about 0.25 ms of CPU time for both sides.
    Raises `MissingExtra` without the extra ``aec``.
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
        # The two devices call from different threads.
        self._lock = threading.Lock()

    @property
    def failures(self) -> int:
        """How many blocks were passed through unchanged because processing failed."""
        return self._failures

    def add_delay(self, ms: float) -> None:
        """Add ``ms`` to the expected delay between `render` and `capture`.

        Each device adds its latency. The echo canceller uses the sum as a hint and
        estimates the remaining delay itself.
        """
        self._delay_ms += round(ms)

    def render(self, pcm: bytes) -> None:
        """Take 10 ms of audio that the speaker is about to play."""
        with self._lock:
            try:
                self._module.process_reverse_stream(self._framed(pcm))
            except _FAILURES as error:
                self._fail(error)

    def capture(self, pcm: bytes) -> bytes:
        """Return 10 ms of the microphone after processing; unchanged if that fails."""
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
            _log.warning("audio processing failed, audio stays unprocessed: %s", error)
        self._failures += 1
