"""A microphone as an audio source."""

from __future__ import annotations

from .echo_cancellation import Processing
from .open_device import OpenDevice
from .pipelines import CapturePipeline
from .portaudio import open_input

__all__ = ["Microphone"]


class Microphone(OpenDevice):
    """Records from now until `close`. Also a context manager.

    ``device`` is an index, a name or a part of a name; None selects the default.
    ``processing`` removes the echo of the `Speaker` with the same ``processing``.
    Opening a device blocks for about 50 ms. Raises `DeviceError` if the device does
    not exist or cannot be used, `MissingExtra` without the extra ``audio``.
    """

    def __init__(
        self, device: int | str | None = None, *, processing: Processing | None = None
    ) -> None:
        self._capture = CapturePipeline(processing)
        stream = open_input(device, self._capture.push)
        super().__init__(stream, self._capture, processing)

    @property
    def loudest_dbfs(self) -> float:
        """The highest peak since it was opened; near `FLOOR_DBFS` it is muted."""
        return self._meter.loudest_dbfs

    @property
    def overruns(self) -> int:
        """How often the device lost audio because this process did not read in time."""
        return self._stream.xruns

    def read(self, samples: int) -> bytes:
        """See `AudioSource`. Returns no audio until 40 ms are buffered."""
        return self._capture.read(samples)
