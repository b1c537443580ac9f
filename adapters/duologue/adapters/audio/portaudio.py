"""Device list and audio streams of PortAudio.

This is the only module that imports sounddevice, which loads PortAudio. The import
happens on first use, because both may be missing on a machine that needs no device.

Callbacks run in a thread of PortAudio and must neither block nor raise. An exception
in a callback stops the audio and is kept in `DeviceStream.failure`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from duologue.transports.contract import SAMPLE_RATE
from duologue.transports.errors import MissingExtra

from .devices import Device, DeviceError, Direction, find_device

__all__ = [
    "DeviceStream",
    "Format",
    "formats",
    "list_devices",
    "open_input",
    "open_output",
]

_log = logging.getLogger(__name__)

#: Sample rate in Hz and number of channels.
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


def list_devices() -> tuple[Device, ...]:
    """Return all devices of this machine in PortAudio's order.

    PortAudio scans once per process: devices that are plugged in later do not appear.
    Raises `DeviceError` if PortAudio is not installed, `MissingExtra` without
    sounddevice.
    """
    library = _library()
    try:
        found = library.query_devices()
        apis = library.query_hostapis()
        default_input, default_output = library.default.device
    except library.PortAudioError as error:
        raise DeviceError(f"devices cannot be listed: {_message(error)}") from None
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
    """The formats to try, in order: the transport's, the device's own, then 48 kHz."""
    most = device.channels(direction)
    wanted = [
        (rate, channels)
        for rate in (SAMPLE_RATE, device.rate, 48_000)
        for channels in (1, 2)
        if channels <= most
    ]
    return list(dict.fromkeys(wanted))


class DeviceStream:
    """An open device, until `close`."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.latency_ms = 0.0
        self.xruns = 0
        self.failure: DeviceError | None = None
        self._stream: Any = None

    def run(self, stream: Any) -> None:
        """Start a stream of sounddevice. Raises `sounddevice.PortAudioError`."""
        self._stream = stream
        stream.start()
        self.latency_ms = stream.latency * 1000

    def ended(self) -> None:
        """PortAudio calls this when the stream has stopped for any reason."""
        if self._stream is not None and self.failure is None:
            self.failure = DeviceError(f"{self.device.name}: the device is gone")

    def failed(self, error: Exception) -> None:
        """Log the first exception of a callback; the stream is silent from now on."""
        if self.failure is None:
            _log.error("the audio of %s has stopped", self.device.name, exc_info=error)
            self.failure = DeviceError(f"{self.device.name}: {error}")

    def close(self) -> None:
        """Stop and release the device; wait for a running callback. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def open_input(wanted: int | str | None, push: Callable[[bytes], None]) -> DeviceStream:
    """Open a microphone and call ``push`` with PCM16 mono at `SAMPLE_RATE`.

    Raises `DeviceError` if the device does not exist or cannot be opened.
    """
    stream = DeviceStream(find_device(list_devices(), wanted, "input"))
    _open(stream, "input", lambda format: _input_callback(stream, push, format))
    return stream


def open_output(wanted: int | str | None, pull: Callable[[], bytes]) -> DeviceStream:
    """Open a speaker and play what ``pull`` returns.

    Each call of ``pull`` returns 10 ms of PCM16 mono at `SAMPLE_RATE`. Raises
    `DeviceError` if the device does not exist or cannot be opened.
    """
    stream = DeviceStream(find_device(list_devices(), wanted, "output"))
    _open(stream, "output", lambda format: _output_callback(stream, pull, format))
    return stream


Callback = Callable[[Any, int, Any, Any], None]


def _input_callback(
    stream: DeviceStream, push: Callable[[bytes], None], format: Format
) -> Callback:
    convert = _converter(format, (SAMPLE_RATE, 1))

    def callback(data: Any, frames: int, time: Any, status: Any) -> None:
        try:
            stream.xruns += bool(status.input_overflow)
            if stream.failure is None:
                push(convert(bytes(data)))
        except Exception as error:
            stream.failed(error)

    return callback


def _output_callback(
    stream: DeviceStream, pull: Callable[[], bytes], format: Format
) -> Callback:
    convert = _converter((SAMPLE_RATE, 1), format)
    ready = bytearray()

    def callback(data: Any, frames: int, time: Any, status: Any) -> None:
        size = len(data)
        try:
            stream.xruns += bool(status.output_underflow)
            while stream.failure is None and len(ready) < size:
                ready.extend(convert(pull()))
        except Exception as error:
            stream.failed(error)
        data[:] = bytes(ready[:size]).ljust(size, b"\0")
        del ready[:size]

    return callback


def _converter(source: Format, target: Format) -> Callable[[bytes], bytes]:
    if source == target:
        return bytes
    from .resampler import Resampler

    return Resampler(source, target).convert


def _open(
    stream: DeviceStream, direction: Direction, callback: Callable[[Format], Callback]
) -> None:
    library = _library()
    device = stream.device
    raw = {"input": library.RawInputStream, "output": library.RawOutputStream}
    try:
        format = _supported_format(library, device, direction)
        made = raw[direction](
            device=device.index,
            samplerate=format[0],
            channels=format[1],
            dtype="int16",
            blocksize=format[0] // 100,
            # PortAudio's "low" latency is too short for a callback in Python.
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
        raise DeviceError(f"{device.name}: {_message(error)}") from None


def _supported_format(library: Any, device: Device, direction: Direction) -> Format:
    """The first accepted format. Raises the last error if the device accepts none."""
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


def _message(error: Exception) -> str:
    """PortAudio's message without its error number."""
    return str(error.args[0]) if error.args else str(error)
