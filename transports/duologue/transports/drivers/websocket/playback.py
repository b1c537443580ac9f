"""Plays audio from events in real time and reports the played duration.

Over WebSocket, audio arrives faster than real time. The client plays it, and after an
interruption it must report to the service how much was played (API page "Realtime
conversations", interruption and truncation over WebSocket).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import attrs

from ...audio.mixer import FRAME_BYTES, Mixer
from ...contract import BYTES_PER_MS

__all__ = ["REPORT_MS", "Playback"]

#: Interval in ms between reports of the played duration.
REPORT_MS = 200
#: Maximum seconds of a stall that is caught up; a longer stall becomes silence.
_CATCH_UP = 0.1
#: Number of stopped items to remember, because late audio may arrive for them.
_STOPPED = 64

_log = logging.getLogger(__name__)

#: Receives the item id, the content index and the played ms.
OnPlayed = Callable[[str, int, int], None]


@attrs.define(eq=False)
class _Part:
    """The audio of one content part."""

    item_id: str
    content_index: int
    waiting: bytearray = attrs.field(factory=bytearray)
    played: int = 0
    reported: int = -1

    @property
    def ms(self) -> int:
        """The played duration."""
        return self.played // BYTES_PER_MS


class Playback:
    """Writes queued audio to ``mixer``, 20 ms every 20 ms.

    If the mixer raises, the error is logged once, and the audio counts as played in
    real time, so that replies end.

    It calls ``on_played`` at the beginning and the end of a part, every `REPORT_MS` in
    between, and in `report`.
    """

    def __init__(self, mixer: Mixer, on_played: OnPlayed) -> None:
        self._mixer = mixer
        self._on_played = on_played
        self._parts: deque[_Part] = deque()
        self._stopped: deque[str] = deque(maxlen=_STOPPED)
        self._came = asyncio.Event()
        self._last: _Part | None = None
        self._failed = False

    @property
    def waiting_ms(self) -> int:
        """The duration of the queued audio in ms."""
        return sum(len(part.waiting) for part in self._parts) // BYTES_PER_MS

    def add(self, item_id: str, content_index: int, pcm: bytes) -> None:
        """Queue audio of an item, unless the item was stopped."""
        if item_id in self._stopped:
            return
        is_silent = not self._parts
        part = self._part(item_id, content_index)
        part.waiting += pcm
        if is_silent:
            # Reported before the frame is read, so that the reply is not over without
            # its audio.
            self._begin(part)
        self._came.set()

    def _begin(self, part: _Part) -> None:
        if part is not self._last:
            self.report()
            self._last = part
            self.report()  # the beginning: 0 ms

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
        """Stop an item, or all items; late audio for them is dropped."""
        gone = [p for p in self._parts if item_id is None or p.item_id == item_id]
        if self._last is not None and item_id in (None, self._last.item_id):
            gone.append(self._last)
        for part in gone:
            part.waiting.clear()
            if part in self._parts:
                self._parts.remove(part)
            if part.item_id not in self._stopped:
                self._stopped.append(part.item_id)
        self._output(self._mixer.flush)

    def report(self) -> None:
        """Report the played duration of the current part, if it has changed."""
        part = self._last
        if part is not None and part.reported != part.ms:
            part.reported = part.ms
            self._on_played(part.item_id, part.content_index, part.ms)

    async def run(self) -> None:
        """Play until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            self._came.clear()
            due = loop.time()
            while pcm := self._next():
                self._output(self._mixer.write, pcm)
                due = max(due, loop.time() - _CATCH_UP)
                due += len(pcm) / BYTES_PER_MS / 1000
                await asyncio.sleep(max(0.0, due - loop.time()))
                self._count(len(pcm))

    def _next(self) -> bytes:
        """The next frame or a part of it: whole samples of one content part."""
        while self._parts:
            part = self._parts[0]
            pcm = bytes(part.waiting[: min(FRAME_BYTES, len(part.waiting) & ~1)])
            if pcm:
                self._begin(part)
                del part.waiting[: len(pcm)]
                return pcm
            if len(self._parts) == 1 and part.waiting:
                return b""  # half a sample; the other half may follow
            self._parts.popleft()
        return b""

    def _output(self, action: Callable[..., None], *args: bytes) -> None:
        if self._failed:
            return
        try:
            action(*args)
        except Exception:
            _log.exception("the audio sink failed; no more audio is heard")
            self._failed = True

    def _count(self, size: int) -> None:
        """Count a frame as played after its duration has passed."""
        part = self._last
        if part is None or part.item_id in self._stopped:
            return
        part.played += size
        if part.ms - part.reported >= REPORT_MS or not part.waiting:
            self.report()
