"""Sound as events, both ways: what the WebSocket driver sends and plays by itself.

A transport knows nothing of what is said. Of events it knows what it needs to carry
sound: ``input_audio_buffer.append`` and ``response.output_audio.delta``, when the user
begins to speak, and that an item is cut off.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from ...audio.mixer import Sound
from ...contract import FRAME_MS, Report
from ...errors import ConnectError, NotConnected
from .playback import Playback

__all__ = ["PATIENCE", "VoiceEvents"]

#: Seconds that the user is not heard while the service takes its configuration.
PATIENCE = 5.0
#: Frames that a stall is made up for at once; what was said before is not sent.
_CATCH_UP = 5

_log = logging.getLogger(__name__)


class _Peek(msgspec.Struct):
    """What is looked at of an event."""

    type: str = ""
    item_id: str = ""
    content_index: int = 0
    delta: str = ""
    session: Any = None


_PEEK = msgspec.json.Decoder(_Peek)


class VoiceEvents:
    """The sound of one session.

    ``send`` takes an event of its own. Raises `ConnectError` where ``session`` asks
    for a format other than PCM.
    """

    def __init__(
        self,
        sound: Sound,
        send: Callable[[str], Awaitable[None]],
        report: Report,
        session: Mapping[str, Any],
        *,
        configured: bool,
    ) -> None:
        for way, wanted in (("input", sound.source), ("output", sound.sink)):
            kind = _format(session, way)
            if wanted is not None and kind not in (None, "audio/pcm"):
                raise ConnectError(
                    f"sound over WebSocket is audio/pcm here, not {kind} ({way})"
                )
        self._send = send
        self._report = report
        self._sound = sound
        self._configured = asyncio.Event()
        self._waits_for = ("session.created",) if configured else _ANSWERS
        self._playable = True
        self._playback = Playback(sound, self._on_heard)
        self._tasks: list[asyncio.Task[None]] = []
        if sound.source is not None:
            self._tasks.append(asyncio.create_task(self._speak()))
        if sound.is_heard:
            self._tasks.append(asyncio.create_task(self._playback.run()))

    def before_giving_out(self, data: bytes) -> None:
        """Look at an event of the service."""
        if not self._tasks:
            return
        try:
            event = _PEEK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if event.type in self._waits_for:
            self._configured.set()
        if event.type in ("session.created", "session.updated"):
            # What is not PCM would be noise.
            self._playable = _format(event.session, "output") in (None, "audio/pcm")
        elif event.type == "response.output_audio.delta":
            self._play(event)
        elif event.type == "input_audio_buffer.speech_started":
            self._playback.tell()

    def before_sending(self, frame: str) -> None:
        """Look at an event of ours: what is cut off is not played any more."""
        if not self._sound.is_heard or "conversation.item.truncate" not in frame:
            return
        event = _PEEK.decode(frame)
        if event.type == "conversation.item.truncate":
            self._playback.stop(event.item_id)

    def stop(self) -> None:
        """Play nothing of what came so far."""
        if self._sound.is_heard:
            self._playback.tell()
            self._playback.stop()

    async def close(self) -> None:
        """End both ways."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sound.release(self)

    def _play(self, event: _Peek) -> None:
        if not self._sound.is_heard or not self._playable:
            return
        with contextlib.suppress(binascii.Error, ValueError):
            pcm = binascii.a2b_base64(event.delta, strict_mode=False)
            self._playback.add(event.item_id, event.content_index, pcm)

    def _on_heard(self, item_id: str, content_index: int, ms: int) -> None:
        fact = {
            "type": "duologue.played",
            "item_id": item_id,
            "content_index": content_index,
            "ms": ms,
        }
        self._report(msgspec.json.encode(fact).decode(), "local")

    async def _speak(self) -> None:
        """Send what the user says, a frame every `FRAME_MS`, once it can be heard."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._configured.wait(), PATIENCE)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                pcm = self._sound.read(self)
            except Exception:
                _log.exception("the source of audio failed: nothing more is sent")
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


_ANSWERS = ("session.updated", "error")


def _format(session: Any, way: str) -> Any:
    """The type of the format of a configuration; None where it names none."""
    found = session
    for name in ("audio", way, "format", "type"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
