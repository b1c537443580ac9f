"""A custom microphone and speaker: raw audio through pipes.

    tail -c +45 examples/question.wav > question.raw  # without the header
    python examples/own_device.py < question.raw > answer.raw

The audio is PCM16, mono, 24,000 Hz. On Linux with ALSA, use real devices:

    f="-t raw -f S16_LE -r 24000 -c 1"
    arecord -q $f | python examples/own_device.py | aplay -q $f

It uses the local service, and prints the transcript to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
from typing import BinaryIO

from duologue.core import SessionConfig
from duologue.core.events import Transcription
from duologue.local import LocalService
from duologue.transports import Client, Credentials, websocket

#: Bytes of 20 ms.
CHUNK = 960


class PipeMicrophone:
    """An `AudioSource`: `read` never blocks.

    A thread reads the pipe, at most 100 ms ahead: audio from a file is not dropped, and
    audio from a microphone is recent.
    """

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._chunks: queue.Queue[bytes] = queue.Queue(maxsize=5)
        self._rest = b""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while chunk := self._pipe.read(CHUNK):
            self._chunks.put(chunk)

    def read(self, samples: int) -> bytes:
        """At most ``samples`` samples of two bytes; the caller adds silence."""
        while len(self._rest) < 2 * samples:
            try:
                self._rest += self._chunks.get_nowait()
            except queue.Empty:
                break
        pcm, self._rest = self._rest[: 2 * samples], self._rest[2 * samples :]
        return pcm


class PipeSpeaker:
    """An `AudioSink`: `write` never blocks, `flush` drops the queued audio."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._chunks: queue.Queue[bytes | None] = queue.Queue()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            self._pipe.write(chunk)
            self._pipe.flush()

    def write(self, pcm: bytes) -> None:
        """Queue audio."""
        self._chunks.put(pcm)

    def flush(self) -> None:
        """Drop the queued audio, because the user interrupted."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._chunks.get_nowait()

    def close(self) -> None:
        """Play the queued audio and stop."""
        self._chunks.put(None)
        self._thread.join()


async def main() -> None:
    microphone = PipeMicrophone(sys.stdin.buffer)
    speaker = PipeSpeaker(sys.stdout.buffer)
    key = Credentials("any-key-will-do")
    async with (
        LocalService() as service,
        Client(credentials=key, base_url=service.base_url) as client,
    ):
        session = await client.start_session(
            SessionConfig(transcription=Transcription()),
            transport=websocket(source=microphone, sink=speaker),
        )
        session.on("transcript", lambda line: print(line.text, file=sys.stderr))
        async with asyncio.timeout(60):
            await anext(session.replies())
    speaker.close()


if __name__ == "__main__":
    asyncio.run(main())
