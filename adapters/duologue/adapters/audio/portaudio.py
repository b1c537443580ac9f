"""Streams of sound to and from devices.

The only module here that imports sounddevice, and PortAudio with it. It does so on
first use: both may be missing where nobody wants a device.

A callback runs in a thread of PortAudio's and must neither wait nor raise: what goes
wrong in it ends the sound and is kept in `Stream.failure`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from duologue.transports.contract import SAMPLE_RATE
from duologue.transports.errors import MissingExtra

from .device_errors import DeviceError
from .devices import Device, Direction, find_device

__all__ = ["Format", "Stream", "formats", "open_input", "open_output", "query"]

_log = logging.getLogger(__name__)

#: Rate in Hz and number of channels.
Format = tuple[int, int]


def _library() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise MissingExtra(
            "microphone and speaker need sounddevice: pip install 'duologue[audio]'"
        ) from None
    except OSError:
        raise DeviceError(
            "microphone and speaker need the library PortAudio: "
            "sudo apt-get install libportaudio2"
        ) from None
    return sounddevice


def query() -> tuple[Device, ...]:
    """See `devices.list_devices`."""
    library = _library()
    try:
        found = library.query_devices()
        apis = library.query_hostapis()
        default_input, default_output = library.default.device
    except library.PortAudioError as error:
        raise DeviceError(f"devices cannot be listed: {_text(error)}") from None
    return tuple(
        Device(
            index=one["index"],
            name=one["name"],
            api=apis[one["hostapi"]]["name"],
            input_channels=one["max_input_channels"],
            output_channels=one["max_output_channels"],
            rate=round(one["default_samplerate"]),
            default_input=one["index"] == default_input,
            default_output=one["index"] == default_output,
        )
        for one in found
    )


def formats(device: Device, direction: Direction) -> list[Format]:
    """What to ask of a device, the best first: what the seam has, what it prefers."""
    most = device.channels(direction)
    wanted = [
        (rate, channels)
        for rate in (SAMPLE_RATE, device.rate, 48_000)
        for channels in (1, 2)
        if channels <= most
    ]
    return list(dict.fromkeys(wanted))


class Stream:
    """A device that runs, until `close`."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.latency_ms = 0.0
        self.xruns = 0
        self.failure: DeviceError | None = None
        self._stream: Any = None

    def run(self, stream: Any) -> None:
        """Start it. Raises what PortAudio raises."""
        self._stream = stream
        stream.start()
        self.latency_ms = stream.latency * 1000

    def ended(self) -> None:
        """Called by PortAudio when the stream stops, for whatever reason."""
        if self._stream is not None and self.failure is None:
            self.failure = DeviceError(f"{self.device.name}: the device is gone")

    def failed(self, error: Exception) -> None:
        """The callback raised: say so once, and be silent from now on."""
        if self.failure is None:
            _log.error("the sound of %s ends", self.device.name, exc_info=error)
            self.failure = DeviceError(f"{self.device.name}: {error}")

    def close(self) -> None:
        """Stop and give the device back. Waits for a callback that runs. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def open_input(wanted: int | str | None, take: Callable[[bytes], None]) -> Stream:
    """Call ``take`` with PCM16 mono at `SAMPLE_RATE` as it is recorded.

    Raises `DeviceError` where there is no such device or it cannot be opened.
    """
    stream = Stream(find_device(query(), wanted, "input"))
    _open(stream, "input", lambda format: _taking(stream, take, format))
    return stream


def open_output(wanted: int | str | None, give: Callable[[], bytes]) -> Stream:
    """Play what ``give`` returns, 10 ms of PCM16 mono at `SAMPLE_RATE` at a time.

    Raises `DeviceError` where there is no such device or it cannot be opened.
    """
    stream = Stream(find_device(query(), wanted, "output"))
    _open(stream, "output", lambda format: _giving(stream, give, format))
    return stream


Callback = Callable[[Any, int, Any, Any], None]


def _taking(stream: Stream, take: Callable[[bytes], None], format: Format) -> Callback:
    convert = _converter(format, (SAMPLE_RATE, 1))

    def callback(data: Any, frames: int, time: Any, status: Any) -> None:
        try:
            stream.xruns += bool(status.input_overflow)
            if stream.failure is None:
                take(convert(bytes(data)))
        except Exception as error:
            stream.failed(error)

    return callback


def _giving(stream: Stream, give: Callable[[], bytes], format: Format) -> Callback:
    convert = _converter((SAMPLE_RATE, 1), format)
    ready = bytearray()

    def callback(data: Any, frames: int, time: Any, status: Any) -> None:
        size = len(data)
        try:
            stream.xruns += bool(status.output_underflow)
            while stream.failure is None and len(ready) < size:
                ready.extend(convert(give()))
        except Exception as error:
            stream.failed(error)
        data[:] = bytes(ready[:size]).ljust(size, b"\0")
        del ready[:size]

    return callback


def _converter(of: Format, to: Format) -> Callable[[bytes], bytes]:
    if of == to:
        return bytes
    from .resampler import Converter

    return Converter(of, to).convert


def _open(
    stream: Stream, direction: Direction, callback: Callable[[Format], Callback]
) -> None:
    library = _library()
    device = stream.device
    raw = {"input": library.RawInputStream, "output": library.RawOutputStream}
    try:
        format = _accepted(library, device, direction)
        made = raw[direction](
            device=device.index,
            samplerate=format[0],
            channels=format[1],
            dtype="int16",
            blocksize=format[0] // 100,
            # The shorter one that PortAudio offers is too short for Python.
            latency="high",
            callback=callback(format),
            finished_callback=stream.ended,
        )
        try:
            stream.run(made)
        except library.PortAudioError:
            stream.close()
            raise
    except library.PortAudioError as error:
        raise DeviceError(f"{device.name}: {_text(error)}") from None


def _accepted(library: Any, device: Device, direction: Direction) -> Format:
    """The first format that the device takes; the last error where it takes none."""
    check = {
        "input": library.check_input_settings,
        "output": library.check_output_settings,
    }[direction]
    *others, last = formats(device, direction)
    for rate, channels in others:
        with contextlib.suppress(library.PortAudioError):
            check(device.index, channels=channels, dtype="int16", samplerate=rate)
            return rate, channels
    check(device.index, channels=last[1], dtype="int16", samplerate=last[0])
    return last


def _text(error: Exception) -> str:
    """What PortAudio says, without its number."""
    return str(error.args[0]) if error.args else str(error)
