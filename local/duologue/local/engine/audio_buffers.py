"""The input audio buffer and the output audio buffer of a session.

The input buffer holds the user's audio until a commit. On a media connection, the
output buffer holds the reply's audio; the media track takes 20 ms at a time. Audio is
played when the track takes it.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Callable, Iterator

import attrs

from duologue.core.events import (
    ConversationItemTruncated,
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)

from ..interfaces import SAMPLE_RATE
from ..schema.refusal import Refusal
from ..speech.g711 import Resampling, reader
from .outbox import Outbox

__all__ = [
    "FRAME_BYTES",
    "MOST_AUDIO",
    "MOST_FRAME",
    "InputBuffer",
    "OutputBuffer",
    "decoded",
]

_BYTES_PER_MS = SAMPLE_RATE * 2 // 1000
#: Maximum characters of base64 audio in one event (API page "Client events",
#: input_audio_buffer.append: "up to a maximum of 15 MiB").
MOST_AUDIO = 15 * 1024 * 1024
#: Maximum bytes of one event, on any connection: the most audio and its envelope.
MOST_FRAME = 16 * 1024 * 1024
#: Bytes kept for a manual commit: seven minutes; the oldest audio is dropped first.
_KEPT = 420_000 * _BYTES_PER_MS
#: The shortest commit in ms (the real service's limit).
_LEAST_MS = 100
#: Characters of base64 that one step decodes; a multiple of four.
_STEP = 256 * 1024
#: Bytes in one piece of a manual commit: 20 s.
_PIECE = 20_000 * _BYTES_PER_MS
#: Bytes that the media track takes at a time: 20 ms.
FRAME_BYTES = 20 * _BYTES_PER_MS


def decoded(audio: str) -> Iterator[bytes]:
    """Decode base64 audio in steps of at most a millisecond. Raises `Refusal`."""
    if len(audio) > MOST_AUDIO:
        raise Refusal(
            "string_above_max_length",
            f"Invalid 'audio': more than {MOST_AUDIO} characters of base64.",
            param="audio",
        )
    for start in range(0, len(audio), _STEP):
        piece = audio[start : start + _STEP]
        last = start + _STEP >= len(audio)
        try:
            data = base64.b64decode(piece, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _not_base64() from error
        if not last and len(data) != _STEP // 4 * 3:
            raise _not_base64()  # padding in the middle
        yield data


def _not_base64() -> Refusal:
    return Refusal("invalid_value", "The audio is not valid base64.", param="audio")


class InputBuffer:
    """Converts the user's audio to PCM16 and buffers it for a manual commit."""

    def __init__(self, resampling: Resampling | None) -> None:
        self._resampling = resampling
        self._kind = "audio/pcm"
        self._read: Callable[[bytes], bytes] | None = None
        self._odd = b""
        self._buffer = bytearray()

    def samples(self, data: bytes, kind: str = "audio/pcm") -> bytes:
        """Convert audio of type ``kind`` to PCM16 at 24 kHz; keep half a sample."""
        if kind != self._kind:
            self._kind, self._odd, self._read = kind, b"", None
            if kind != "audio/pcm" and self._resampling is not None:
                self._read = reader(kind, self._resampling)
        if kind != "audio/pcm":
            return b"" if self._read is None else self._read(data)
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        return data[:whole]

    def keep(self, pcm24k: bytes) -> None:
        """Buffer audio for a manual commit."""
        self._buffer += pcm24k
        del self._buffer[:-_KEPT]

    def take(self) -> Iterator[bytes]:
        """Empty the buffer; return its audio in pieces.

        Raises `Refusal` if it holds too little audio; then the buffer is unchanged.
        """
        ms = len(self._buffer) / _BYTES_PER_MS
        if ms < _LEAST_MS:
            raise Refusal(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at "
                f"least {_LEAST_MS}ms of audio, but buffer only has {ms:.2f}ms.",
            )
        audio, self._buffer = self._buffer, bytearray()
        starts = range(0, len(audio), _PIECE)
        return (bytes(audio[start : start + _PIECE]) for start in starts)

    def clear(self) -> None:
        """Clear the buffer."""
        self._odd = b""
        self._buffer.clear()


@attrs.define
class _Segment:
    """The audio of one item: ``complete`` when its response is done.

    ``item`` is None for an out-of-band response. ``announced``: the client received
    ``output_audio_buffer.started`` for the response.
    """

    response: str
    item: str | None
    audio: bytearray = attrs.Factory(bytearray)
    taken: int = 0
    announced: bool = False
    complete: bool = False


class OutputBuffer:
    """Queues the reply's audio for playback, one segment for each spoken item."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._segments: deque[_Segment] = deque()
        self._cleared: set[tuple[str, str | None]] = set()

    @property
    def empty(self) -> bool:
        """Whether no audio is playing or queued."""
        return not self._segments

    def write(self, response: str, item: str | None, pcm24k: bytes) -> None:
        """Queue audio of an item; audio of a cleared item is dropped."""
        if (response, item) in self._cleared:
            return
        last = self._segments[-1] if self._segments else None
        for segment in self._segments:
            if (segment.response, segment.item) == (response, item):
                last = segment
        if last is None or (last.response, last.item) != (response, item):
            last = _Segment(response, item)
            self._segments.append(last)
        last.audio += pcm24k

    def finish(self, response: str) -> None:
        """Mark the response's audio as complete: playback stops at its end."""
        self._cleared = {key for key in self._cleared if key[0] != response}
        for segment in self._segments:
            if segment.response == response:
                segment.complete = True

    def next_audio(self) -> bytes:
        """The next 20 ms of PCM16 at 24 kHz, or less if less is available."""
        self._drop_played()
        if not self._segments:
            return b""
        segment = self._segments[0]
        if not segment.audio:
            return b""
        if not segment.announced:
            segment.announced = True
            self._outbox.emit(OutputAudioBufferStarted, response_id=segment.response)
        frame = bytes(segment.audio[:FRAME_BYTES])
        del segment.audio[:FRAME_BYTES]
        segment.taken += len(frame)
        return frame

    def clear(self) -> list[tuple[str, int]]:
        """Stop playback at once; return each truncated item with the ms played."""
        self._drop_played()
        segments, self._segments = list(self._segments), deque()
        cut = []
        for segment in segments:
            if not segment.complete:
                self._cleared.add((segment.response, segment.item))
            if segment.announced:
                self._outbox.emit(
                    OutputAudioBufferCleared, response_id=segment.response
                )
            if segment.item is not None:
                ms = segment.taken // _BYTES_PER_MS
                cut.append((segment.item, ms))
                self._outbox.emit(
                    ConversationItemTruncated,
                    item_id=segment.item,
                    content_index=0,
                    audio_end_ms=ms,
                )
        return cut

    def _drop_played(self) -> None:
        """Remove played segments; emit ``stopped`` at the end of a response."""
        while self._segments and not self._segments[0].audio:
            played = self._segments[0]
            after = self._segments[1] if len(self._segments) > 1 else None
            if after is not None and after.response == played.response:
                after.announced = played.announced
            elif not played.complete:
                return
            elif played.announced:
                self._outbox.emit(OutputAudioBufferStopped, response_id=played.response)
            self._segments.popleft()
