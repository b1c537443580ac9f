"""A speaker as an audio sink."""

from __future__ import annotations

from .echo_cancellation import Processing
from .open_device import OpenDevice
from .pipelines import PlaybackPipeline
from .portaudio import open_output

__all__ = ["Speaker"]


class Speaker(OpenDevice):
    """Plays audio until `close`. Also a context manager.

    A transport delivers audio in bursts, so playback starts when 60 ms are buffered.
    ``device`` is an index, a name or a part of a name; None selects the default.
    A `Microphone` with the same ``processing`` removes the echo of this speaker.
    Raises `DeviceError` if the device does not exist or cannot be used, `MissingExtra`
    without the extra ``audio``.
    """

    def __init__(
        self, device: int | str | None = None, *, processing: Processing | None = None
    ) -> None:
        playback = PlaybackPipeline(processing)
        self._closed = False
        super().__init__(open_output(device, playback.pull), playback, processing)

    @property
    def buffered_ms(self) -> int:
        """How many ms were written and not yet passed to the device."""
        return self._buffer.buffered_ms

    @property
    def xruns(self) -> int:
        """How often the device needed audio that this process did not write in time."""
        return self._stream.xruns

    @property
    def dropped_ms(self) -> int:
        """How many ms were dropped because more than two seconds were buffered."""
        return self._buffer.dropped_ms

    def write(self, pcm: bytes) -> None:
        """See `AudioSink`. Audio written after `close` is dropped."""
        if not self._closed:
            self._buffer.push(pcm)

    def flush(self) -> None:
        """See `AudioSink`. The device still plays its own buffer, about 40 ms."""
        self._buffer.clear()

    def close(self) -> None:
        """Stop at once and release the device. Idempotent."""
        self._closed = True
        self._buffer.clear()
        super().close()
