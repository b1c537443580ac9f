"""WAV files: RIFF as in the "Multiple Channel Audio Data and WAVE Files" page.

Editors and recorders write float samples and WAVE_FORMAT_EXTENSIBLE. The standard
library's `wave` refuses the first and, before Python 3.12, the second.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs

from ..contract import BYTES_PER_MS, SAMPLE_RATE
from ..errors import MediaError

__all__ = ["WavWriter", "read_wav"]

_HEADER_BYTES = 44
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
#: The encoding names of `convert` by (format tag, bits per sample).
_ENCODINGS = {
    (_PCM, 8): "u8",
    (_PCM, 16): "s16",
    (_PCM, 24): "s24",
    (_PCM, 32): "s32",
    (_FLOAT, 32): "f32",
}
#: Accepted rates in Hz. At 1 Hz, a small file would become hours of audio.
_RATES = range(1_000, 768_001)
#: The size fields have 32 bits.
_SIZE_LIMIT = 0xFFFF_FFFF


@attrs.frozen
class _Format:
    encoding: str
    channels: int
    rate: int
    frame_bytes: int


class WavWriter:
    """Writes PCM16 at `SAMPLE_RATE` to a WAV file.

    The header is updated once a second, so the file is valid if the process is killed.
    A new file is readable by its owner only; an existing one keeps its mode. Raises
    OSError if writing fails; the file is then closed.
    """

    def __init__(self, path: Path, *, channels: int = 1) -> None:
        opener = partial(os.open, mode=0o600)
        self._file = open(path, "wb", opener=opener)  # noqa: SIM115
        self._channels = channels
        #: Bytes of audio written so far.
        self.written = 0
        self._in_header = 0
        with self._closing_on_error():
            self._update_header()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    def write(self, pcm: bytes) -> None:
        """Append audio; the channels are interleaved."""
        with self._closing_on_error():
            self._file.write(pcm)
            self.written += len(pcm)
            second = 1000 * BYTES_PER_MS * self._channels
            if self.written - self._in_header >= second:
                self._update_header()

    def close(self) -> None:
        """Complete the header and close the file. Idempotent."""
        if not self.closed:
            with self._closing_on_error():
                self._update_header()
                self._file.close()

    def _update_header(self) -> None:
        # Write the audio to disk before the header with its size.
        self._file.flush()
        self._file.seek(0)
        self._file.write(_header(self.written, self._channels))
        self._file.flush()
        self._file.seek(_HEADER_BYTES + self.written)
        self._in_header = self.written

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
            raise


def _header(data_bytes: int, channels: int) -> bytes:
    frame = 2 * channels
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", min(36 + data_bytes, _SIZE_LIMIT), b"WAVE"),
        *(b"fmt ", 16, _PCM, channels, SAMPLE_RATE, SAMPLE_RATE * frame, frame, 16),
        *(b"data", min(data_bytes, _SIZE_LIMIT)),
    )


def read_wav(path: Path) -> bytes:
    """The audio of a file as PCM16 mono at `SAMPLE_RATE`.

    Raises `MediaError` with the file's name for a missing or invalid file.
    """
    try:
        return _decode(_content(path))
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from None


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise MediaError("not a file")
        return path.read_bytes()
    except FileNotFoundError:
        raise MediaError("no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MediaError(f"cannot be read: {reason}") from None


def _decode(content: bytes) -> bytes:
    if not content:
        raise MediaError("the file is empty")
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise MediaError("not a WAV file")
    form, data = _chunks(content)
    whole = len(data) - len(data) % form.frame_bytes
    from .resample import convert

    pcm = convert(
        data[:whole], encoding=form.encoding, channels=form.channels, rate=form.rate
    )
    if not pcm:
        raise MediaError("it has no samples")
    return pcm


def _chunks(content: bytes) -> tuple[_Format, bytes]:
    """The format and the data chunk; other chunks (LIST, fact, …) are skipped."""
    form, at = None, 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        body = content[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = _format(body)
        elif name == b"data":
            if form is None:
                raise MediaError("its samples come before their format")
            # It may be truncated, if the writer was killed or wrote to a pipe.
            return form, body
        at += 8 + size + size % 2
    missing = "data" if form is not None else "format"
    raise MediaError(f"the header ends early: no {missing} chunk")


def _format(body: bytes) -> _Format:
    if len(body) < 16:
        raise MediaError("the header ends early: its format chunk is cut off")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        # The sub-format's GUID begins with the format tag.
        [tag] = struct.unpack_from("<H", body, 24)
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None:
        raise MediaError(
            "neither PCM of 8, 16, 24 or 32 bits nor float of 32: "
            f"tag {tag:#06x}, {bits} bits"
        )
    if not channels:
        raise MediaError("it has no channels")
    if rate not in _RATES:
        raise MediaError(f"{rate} Hz is not a usable sample rate")
    return _Format(encoding, channels, rate, channels * bits // 8)
