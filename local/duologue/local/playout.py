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

from .outbox import Outbox
from .ports import VOICE_RATE

__all__ = ["FRAME_BYTES", "Playout"]

_BYTES_PER_MS = VOICE_RATE * 2 // 1000
#: What the track takes at a time: 20 ms.
FRAME_BYTES = 20 * _BYTES_PER_MS


@attrs.define
class _Segment:
    """The audio of one item: ``complete`` once its response is done.

    ``item`` is None where the item is not part of the conversation.
    """

    response: str
    item: str | None
    audio: bytearray = attrs.Factory(bytearray)
    taken: int = 0
    complete: bool = False

    @property
    def started(self) -> bool:
        return self.taken > 0


class Playout:
    """Audio on its way to the user, one segment for each spoken item."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._segments: deque[_Segment] = deque()

    def open(self, response: str, item: str | None) -> None:
        """A response begins to speak."""
        self._segments.append(_Segment(response, item))

    def write(self, response: str, pcm24k: bytes) -> None:
        """More audio of a response; of one that was cleared it is dropped."""
        if (segment := self._find(response)) is not None:
            segment.audio += pcm24k

    def finish(self, response: str) -> None:
        """No more audio comes for a response: it stops when it is played."""
        if (segment := self._find(response)) is not None:
            segment.complete = True

    def next_audio(self) -> bytes:
        """Up to 20 ms of PCM16 at 24 kHz; fewer where there is no more just now."""
        self._drop_played()
        if not self._segments:
            return b""
        segment = self._segments[0]
        if not segment.audio:
            return b""
        if not segment.started:
            self._outbox.emit(OutputAudioBufferStarted, response_id=segment.response)
        frame = bytes(segment.audio[:FRAME_BYTES])
        del segment.audio[:FRAME_BYTES]
        segment.taken += len(frame)
        return frame

    def clear(self) -> list[str]:
        """Stop at once; the ids of the items that were cut."""
        self._drop_played()
        segments, self._segments = list(self._segments), deque()
        for segment in segments:
            if segment.started:
                self._outbox.emit(
                    OutputAudioBufferCleared, response_id=segment.response
                )
            if segment.item is not None:
                self._outbox.emit(
                    ConversationItemTruncated,
                    item_id=segment.item,
                    content_index=0,
                    audio_end_ms=segment.taken // _BYTES_PER_MS,
                )
        return [segment.item for segment in segments if segment.item is not None]

    def _drop_played(self) -> None:
        """Say ``stopped`` for what was played to its end."""
        while self._segments:
            segment = self._segments[0]
            if segment.audio or not segment.complete:
                return
            self._segments.popleft()
            if segment.started:
                self._outbox.emit(
                    OutputAudioBufferStopped, response_id=segment.response
                )

    def _find(self, response: str) -> _Segment | None:
        for segment in self._segments:
            if segment.response == response:
                return segment
        return None
