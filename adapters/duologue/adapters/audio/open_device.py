"""The common base of microphone and speaker."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from .devices import Device, DeviceError
from .echo_cancellation import Processing
from .levels import Level
from .pipelines import CapturePipeline, PlaybackPipeline
from .portaudio import DeviceStream

__all__ = ["OpenDevice"]


class OpenDevice:
    """A device that is open until `close`; also a context manager."""

    def __init__(
        self,
        stream: DeviceStream,
        pipeline: CapturePipeline | PlaybackPipeline,
        processing: Processing | None,
    ) -> None:
        self._stream = stream
        self._meter = pipeline.meter
        self._buffer = pipeline.buffer
        if processing is not None:
            # The latency of both devices delays the echo.
            processing.add_delay(stream.latency_ms)

    @property
    def device(self) -> Device:
        """The device that was opened."""
        return self._stream.device

    @property
    def level(self) -> Level:
        """The level of the last 100 ms, after processing."""
        return self._meter.level

    @property
    def latency_ms(self) -> float:
        """The latency of the device in ms, as PortAudio reports it."""
        return self._stream.latency_ms

    @property
    def underruns(self) -> int:
        """How often the buffer ran empty in the middle of an utterance."""
        return self._buffer.underruns

    @property
    def failure(self) -> DeviceError | None:
        """The error that stopped the audio, such as an unplugged device, or None."""
        return self._stream.failure

    def close(self) -> None:
        """Stop the audio and release the device; blocks for a few ms. Idempotent."""
        self._stream.close()
        self._buffer.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
