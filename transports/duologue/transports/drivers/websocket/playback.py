"""Sound that came in events, played in real time, and how much of it was heard.

Over WebSocket a reply comes faster than it is spoken. Whoever plays it knows how much
was heard, and has to tell the service when it is interrupted (API page "Realtime
conversations", interruption and truncation over WebSocket).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import attrs

from ...audio.mixer import FRAME_BYTES, Sound
from ...contract import BYTES_PER_MS

__all__ = ["REPORT_MS", "Playback"]

#: While sound is played, how much of it was is told this often.
REPORT_MS = 200
#: Seconds of a stall that are made up for; a longer one is silence.
_CATCH_UP = 0.1
#: Items that were stopped and may still get late sound.
_STOPPED = 64

_log = logging.getLogger(__name__)

#: Takes item id, content index and the ms that were heard of it.
Heard = Callable[[str, int, int], None]


@attrs.define(eq=False)
class _Part:
    """The sound of one content part."""

    item_id: str
    content_index: int
    waiting: bytearray = attrs.field(factory=bytearray)
    played: int = 0
    told: int = -1

    @property
    def ms(self) -> int:
        """How much of it was heard."""
        return self.played // BYTES_PER_MS


class Playback:
    """Gives ``sound`` what it is to play, 20 ms at a time, as it is due.

    ``heard`` is told at the beginning of a part, every `REPORT_MS`, at its end, and by
    `tell`.
    """

    def __init__(self, sound: Sound, heard: Heard) -> None:
        self._sound = sound
        self._heard = heard
        self._parts: deque[_Part] = deque()
        self._stopped: deque[str] = deque(maxlen=_STOPPED)
        self._came = asyncio.Event()
        self._last: _Part | None = None

    @property
    def waiting_ms(self) -> int:
        """How much is still to be played."""
        return sum(len(part.waiting) for part in self._parts) // BYTES_PER_MS

    def add(self, item_id: str, content_index: int, pcm: bytes) -> None:
        """Play this after what there is; nothing of an item that was stopped."""
        if item_id in self._stopped:
            return
        part = self._part(item_id, content_index)
        part.waiting += pcm
        self._came.set()

    def _part(self, item_id: str, content_index: int) -> _Part:
        last = self._parts[-1] if self._parts else self._last
        if last is None or (last.item_id, last.content_index) != (
            item_id,
            content_index,
        ):
            last = _Part(item_id, content_index)
        if not self._parts or self._parts[-1] is not last:
            self._parts.append(last)
        return last

    def stop(self, item_id: str | None = None) -> None:
        """Play no more of an item (None: of all there are), not of what comes late."""
        gone = [p for p in self._parts if item_id is None or p.item_id == item_id]
        if self._last is not None and item_id in (None, self._last.item_id):
            gone.append(self._last)
        for part in gone:
            part.waiting.clear()
            if part in self._parts:
                self._parts.remove(part)
            if part.item_id not in self._stopped:
                self._stopped.append(part.item_id)
        self._sound.flush()

    def tell(self) -> None:
        """Say how much was heard of what is played, if that is news."""
        if self._last is not None and self._last.told != self._last.ms:
            self._last.told = self._last.ms
            self._heard(self._last.item_id, self._last.content_index, self._last.ms)

    async def run(self) -> None:
        """Play for ever. A sink that raises is logged and gets no more."""
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            self._came.clear()
            due = loop.time()
            while pcm := self._next():
                if not self._write(pcm):
                    return
                due = max(due, loop.time() - _CATCH_UP)
                due += len(pcm) / BYTES_PER_MS / 1000
                await asyncio.sleep(max(0.0, due - loop.time()))
                self._count(len(pcm))

    def _next(self) -> bytes:
        """The next frame, or what there is of it; whole samples of one part."""
        while self._parts:
            part = self._parts[0]
            pcm = bytes(part.waiting[: min(FRAME_BYTES, len(part.waiting) & ~1)])
            if pcm:
                if part is not self._last:
                    self.tell()
                    self._last = part
                    self.tell()  # that it begins
                del part.waiting[: len(pcm)]
                return pcm
            if len(self._parts) == 1 and part.waiting:
                return b""  # half a sample, whose other half may come
            self._parts.popleft()
        return b""

    def _write(self, pcm: bytes) -> bool:
        try:
            self._sound.write(pcm)
        except Exception:
            _log.exception("the sink of audio failed and gets no more")
            return False
        return True

    def _count(self, size: int) -> None:
        """It has been heard once its time is over."""
        part = self._last
        if part is None or part.item_id in self._stopped:
            return
        part.played += size
        if part.ms - part.told >= REPORT_MS or not part.waiting:
            self.tell()
