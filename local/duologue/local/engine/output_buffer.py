"""What is being played to the user: the output buffer of a media connection.

Replies wait in line; the track takes 20 ms at a time. What was taken counts as
played: a barge-in truncates there.
"""

from __future__ import annotations

from collections import deque

import attrs

from duologue.core.events import (
    ConversationItemTruncated,
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)

from ..interfaces import VOICE_RATE
from .outbox import Outbox

__all__ = ["FRAME_BYTES", "Playout"]

_BYTES_PER_MS = VOICE_RATE * 2 // 1000
#: What the track takes at a time: 20 ms.
FRAME_BYTES = 20 * _BYTES_PER_MS


@attrs.define
class _Segment:
    """The audio of one item: ``complete`` once its response is done.

    ``item`` is None where the item is not part of the conversation. ``announced``:
    the client knows that the response is being played.
    """

    response: str
    item: str | None
    audio: bytearray = attrs.Factory(bytearray)
    taken: int = 0
    announced: bool = False
    complete: bool = False


class Playout:
    """Audio on its way to the user, one segment for each spoken item."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._segments: deque[_Segment] = deque()
        self._cleared: set[tuple[str, str | None]] = set()

    @property
    def empty(self) -> bool:
        """Whether nothing is being played or about to be."""
        return not self._segments

    def write(self, response: str, item: str | None, pcm24k: bytes) -> None:
        """More audio of an item; of one that was cleared it is dropped."""
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
        """No more audio comes for a response: it stops when it is played."""
        self._cleared = {key for key in self._cleared if key[0] != response}
        for segment in self._segments:
            if segment.response == response:
                segment.complete = True

    def next_audio(self) -> bytes:
        """Up to 20 ms of PCM16 at 24 kHz; fewer where there is no more just now."""
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
        """Stop at once; the ids of the items that were cut, and the ms played."""
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
        """Say ``stopped`` for a response that was played to its end."""
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
