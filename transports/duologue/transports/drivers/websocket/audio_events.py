"""Audio in events: sends the audio of the source, and plays that of the reply.

The WebSocket transport handles only the events that it needs for audio:
``input_audio_buffer.append`` and ``response.output_audio.delta``, the start of the
user's speech, and the truncation of an item.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from ...audio.mixer import Mixer
from ...configuration import ANSWERS, PATIENCE
from ...contract import FRAME_MS, Report
from ...errors import ConnectError, NotConnected
from .playback import Playback

__all__ = ["AudioEvents"]

#: Maximum frames that are sent at once after a stall; older audio is skipped.
_CATCH_UP = 5

_log = logging.getLogger(__name__)


class _Peek(msgspec.Struct):
    """The fields that the transport reads of an event."""

    type: str = ""
    item_id: str = ""
    content_index: int = 0
    delta: str = ""
    session: Any = None


_PEEK = msgspec.json.Decoder(_Peek)


class AudioEvents:
    """The audio of one session.

    ``send`` sends one of the transport's own events. Raises `ConnectError` if
    ``session`` requests a format other than PCM.
    """

    def __init__(
        self,
        mixer: Mixer,
        send: Callable[[str], Awaitable[None]],
        report: Report,
        session: Mapping[str, Any],
        *,
        configured: bool,
    ) -> None:
        for way, end in (("input", mixer.source), ("output", mixer.sink)):
            kind = _format(session, way)
            if end is not None and kind not in (None, "audio/pcm"):
                raise ConnectError(
                    f"audio over WebSocket must be audio/pcm, not {kind} ({way})"
                )
        self._send = send
        self._report = report
        self._mixer = mixer
        self._configured = asyncio.Event()
        self._confirming = ("session.created",) if configured else ANSWERS
        self._playable = True
        self._playback = Playback(mixer, self._on_played)
        self._tasks: list[asyncio.Task[None]] = []
        if mixer.source is not None:
            self._tasks.append(asyncio.create_task(self._send_source()))
        if mixer.has_output:
            self._tasks.append(asyncio.create_task(self._playback.run()))

    def before_giving_out(self, data: bytes) -> None:
        """Handle a received event."""
        if not self._tasks:
            return
        try:
            event = _PEEK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if event.type in self._confirming:
            self._configured.set()
        if event.type in ("session.created", "session.updated"):
            # PCM only: any other format would be played as noise.
            self._playable = _format(event.session, "output") in (None, "audio/pcm")
        elif event.type == "response.output_audio.delta":
            self._play(event)
        elif event.type == "input_audio_buffer.speech_started":
            self._playback.report()

    def before_sending(self, frame: str) -> None:
        """Handle an event to send: stop playing a truncated item."""
        if not self._mixer.has_output or "conversation.item.truncate" not in frame:
            return
        event = _PEEK.decode(frame)
        if event.type == "conversation.item.truncate":
            self._playback.stop(event.item_id)

    def stop(self) -> None:
        """Drop the queued audio."""
        if self._mixer.has_output:
            self._playback.report()
            self._playback.stop()

    async def close(self) -> None:
        """Stop sending and playing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._mixer.release(self)

    def _play(self, event: _Peek) -> None:
        if not self._mixer.has_output or not self._playable:
            return
        with contextlib.suppress(binascii.Error, ValueError):
            pcm = binascii.a2b_base64(event.delta, strict_mode=False)
            self._playback.add(event.item_id, event.content_index, pcm)

    def _on_played(self, item_id: str, content_index: int, ms: int) -> None:
        fact = {
            "type": "duologue.played",
            "item_id": item_id,
            "content_index": content_index,
            "ms": ms,
        }
        self._report(msgspec.json.encode(fact).decode(), "local")

    async def _send_source(self) -> None:
        """Send a frame of the source every `FRAME_MS`, after the configuration."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._configured.wait(), PATIENCE)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                pcm = self._mixer.read(self)
            except Exception:
                _log.exception("the audio source failed; no more audio is sent")
                return
            audio = binascii.b2a_base64(pcm, newline=False).decode()
            frame = f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'
            try:
                await self._send(frame)
            except NotConnected:
                return
            due += FRAME_MS / 1000
            now = loop.time()
            if now - due > _CATCH_UP * FRAME_MS / 1000:
                due = now
            await asyncio.sleep(max(0.0, due - now))


def _format(session: Any, way: str) -> Any:
    """The audio format type of a configuration; None if it has none."""
    found = session
    for name in ("audio", way, "format", "type"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
