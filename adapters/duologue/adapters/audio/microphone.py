"""A microphone as a source of sound."""

from __future__ import annotations

from types import TracebackType

from .device_errors import DeviceError
from .devices import Device
from .levels import Level
from .pipelines import Capture
from .portaudio import open_input
from .processing import Processing

__all__ = ["Microphone"]


class Microphone:
    """What a microphone hears, from now until `close`. Also a context manager.

    ``device`` is an index, a name or a part of one; None takes the default.
    ``processing`` is shared with the `Speaker` whose echo it is to cancel. Opening
    takes some 50 ms and waits for the device. Raises `DeviceError` where there is
    none or it cannot be used, `MissingExtra` without the extra ``audio``.
    """

    def __init__(
        self, device: int | str | None = None, *, processing: Processing | None = None
    ) -> None:
        self._capture = Capture(processing)
        self._stream = open_input(device, self._capture.take)
        if processing is not None:
            processing.add_delay(self._stream.latency_ms)

    @property
    def device(self) -> Device:
        """The device that was opened."""
        return self._stream.device

    @property
    def level(self) -> Level:
        """How loud the last 100 ms were, after processing."""
        return self._capture.meter.level

    @property
    def loudest_dbfs(self) -> float:
        """The highest peak since it was opened; near `FLOOR_DBFS` it is muted."""
        return self._capture.meter.loudest_dbfs

    @property
    def latency_ms(self) -> float:
        """How long sound takes from the air to here, as PortAudio has it."""
        return self._stream.latency_ms

    @property
    def underruns(self) -> int:
        """How often a transport wanted sound that had not come in time."""
        return self._capture.buffer.underruns

    @property
    def overruns(self) -> int:
        """How often the device had sound that we did not take in time."""
        return self._stream.xruns

    @property
    def failure(self) -> DeviceError | None:
        """Why there is no more sound: the device is gone, for example."""
        return self._stream.failure

    def read(self, samples: int) -> bytes:
        """See `AudioSource`. Silence until 40 ms wait, and after `close`."""
        return self._capture.read(samples)

    def close(self) -> None:
        """Give the device back; waits a few ms for it. Idempotent."""
        self._stream.close()
        self._capture.buffer.clear()

    def __enter__(self) -> Microphone:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
