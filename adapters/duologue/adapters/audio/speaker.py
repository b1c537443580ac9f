"""A speaker as a sink of sound."""

from __future__ import annotations

from types import TracebackType

from .device_errors import DeviceError
from .devices import Device
from .levels import Level
from .pipelines import Playout
from .portaudio import open_output
from .processing import Processing

__all__ = ["Speaker"]


class Speaker:
    """Plays what it is given, until `close`. Also a context manager.

    A transport gives sound as it arrives, so 60 ms wait here before the first is
    played. ``device`` is an index, a name or a part of one; None takes the default.
    ``processing`` is shared with the `Microphone` that hears this speaker. Raises
    `DeviceError` where there is none or it cannot be used, `MissingExtra` without
    the extra ``audio``.
    """

    def __init__(
        self, device: int | str | None = None, *, processing: Processing | None = None
    ) -> None:
        self._playout = Playout(processing)
        self._closed = False
        self._stream = open_output(device, self._playout.give)
        if processing is not None:
            processing.add_delay(self._stream.latency_ms)

    @property
    def device(self) -> Device:
        """The device that was opened."""
        return self._stream.device

    @property
    def level(self) -> Level:
        """How loud the last 100 ms were."""
        return self._playout.meter.level

    @property
    def buffered_ms(self) -> int:
        """How much was written and not yet given to the device."""
        return self._playout.buffer.buffered_ms

    @property
    def latency_ms(self) -> float:
        """How long sound takes from the buffer to the air, as PortAudio has it."""
        return self._stream.latency_ms

    @property
    def underruns(self) -> int:
        """How often there was a hole in the middle of what was said."""
        return self._playout.buffer.underruns

    @property
    def xruns(self) -> int:
        """How often the device wanted sound and we were late."""
        return self._stream.xruns

    @property
    def dropped_ms(self) -> int:
        """How much was lost because more than two seconds waited."""
        return self._playout.buffer.dropped_ms

    @property
    def failure(self) -> DeviceError | None:
        """Why it is silent: the device is gone, for example."""
        return self._stream.failure

    def write(self, pcm: bytes) -> None:
        """See `AudioSink`. What comes after `close` is dropped."""
        if not self._closed:
            self._playout.buffer.push(pcm)

    def flush(self) -> None:
        """See `AudioSink`. The device plays on for its latency, some 40 ms."""
        self._playout.buffer.clear()

    def close(self) -> None:
        """Be silent at once and give the device back. Idempotent."""
        self._closed = True
        self._playout.buffer.clear()
        self._stream.close()

    def __enter__(self) -> Speaker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
