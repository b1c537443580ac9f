"""The built-in speech recognition: pocketsphinx in a worker process.

All sessions share the process. `start` or the first utterance starts it; it ends when
its pipe closes. If it crashes, the open utterances fail, and the next utterance starts
a new process.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..interfaces import RecogniserError, Utterance

__all__ = ["SphinxRecogniser"]

_WORKER = Path(__file__).with_name("asr_sphinx_worker.py")
#: Seconds to wait for the worker's end after its pipe is closed.
_GRACE = 2.0
#: Maximum bytes of unread audio in the worker's pipe: one minute from thirty sessions.
#: Above this limit an utterance fails.
_BACKLOG = 60 * 32_000 * 30


class SphinxRecogniser:
    """Recognises English with pocketsphinx. Use it in one event loop."""

    def __init__(self) -> None:
        self._starting: asyncio.Task[_Worker] | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the process and wait until its model is loaded (about 0.5 s).

        Raises `RecogniserError` if it does not start.
        """
        worker = await asyncio.shield(self.worker())
        await worker.ready.wait()
        if worker.ended:
            raise RecogniserError("the recogniser process does not start")

    def listen(self, on_guess: Callable[[str], None]) -> Utterance:
        """Open an utterance; ``on_guess`` gets each interim transcript.

        The utterance accepts audio before the process has started.
        """
        return _Utterance(self, on_guess)

    async def close(self) -> None:
        """Stop the process and wait until it has ended. Idempotent."""
        self._closed = True
        starting, self._starting = self._starting, None
        if starting is not None:
            with contextlib.suppress(Exception):
                await (await starting).close()

    def worker(self) -> asyncio.Task[_Worker]:
        """The task that starts the worker; a new one if the last worker has ended.

        Raises `RecogniserError` after `close`.
        """
        if self._closed:
            raise RecogniserError("the recogniser is closed")
        task = self._starting
        if task is None or (task.done() and not _alive(task)):
            task = self._starting = asyncio.create_task(_Worker.spawn())
        return task


def _alive(task: asyncio.Task[_Worker]) -> bool:
    if task.cancelled() or task.exception() is not None:
        return False
    return not task.result().ended


class _Worker:
    """The process, its open utterances, and the task that reads its messages."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.ended = False
        self.ready = asyncio.Event()
        self._process = process
        self._numbers = itertools.count(1)
        self._utterances: dict[int, _Utterance] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def spawn(cls) -> _Worker:
        if importlib.util.find_spec("pocketsphinx") is None:
            raise RecogniserError(
                "no speech recogniser: install the extra duologue[local]"
            )
        # In its own process group, so that Ctrl-C reaches the parent only.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(_WORKER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        return cls(process)

    def open(self, utterance: _Utterance) -> int:
        number = next(self._numbers)
        self._utterances[number] = utterance
        self.send("open", number)
        return number

    def send(self, *message: object) -> None:
        """Queue a message. Raises `RecogniserError` if the process has ended."""
        pipe = self._process.stdin
        assert pipe is not None
        if self.ended or pipe.is_closing():
            raise RecogniserError("the recogniser process has ended")
        if pipe.transport.get_write_buffer_size() > _BACKLOG:
            raise RecogniserError("the recogniser process is too slow")
        body = msgspec.msgpack.encode(message)
        pipe.write(len(body).to_bytes(4, "little") + body)

    def forget(self, number: int) -> None:
        self._utterances.pop(number, None)

    async def close(self) -> None:
        """Close the pipe and wait; kill the process after a timeout."""
        pipe = self._process.stdin
        assert pipe is not None
        pipe.close()
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await pipe.readexactly(4), "little")
                self._take(msgspec.msgpack.decode(await pipe.readexactly(size)))
        status = await self._process.wait()
        self.ended = True
        self.ready.set()
        why = RecogniserError(f"the recogniser process ended (status {status})")
        for utterance in list(self._utterances.values()):
            utterance.fail(why)
        self._utterances.clear()

    def _take(self, message: list[object]) -> None:
        if message == ["ready"]:
            self.ready.set()
            return
        what, number, text = str(message[0]), message[1], str(message[2])
        assert isinstance(number, int)
        if what == "guess":
            if (utterance := self._utterances.get(number)) is not None:
                utterance.on_guess(text)
        elif (utterance := self._utterances.pop(number, None)) is not None:
            if what == "final":
                utterance.succeed(text)
            else:
                utterance.fail(RecogniserError(f"the recogniser failed: {text}"))


class _Utterance:
    """An utterance; it keeps its messages until the worker has started."""

    def __init__(
        self, recogniser: SphinxRecogniser, on_guess: Callable[[str], None]
    ) -> None:
        self.on_guess = on_guess
        self._text: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._worker: _Worker | None = None
        self._number = 0
        self._unsent: list[tuple[object, ...]] = []
        try:
            recogniser.worker().add_done_callback(self._begin)
        except RecogniserError as error:
            self.fail(error)

    def feed(self, pcm16k: bytes) -> None:
        """Add the next audio. Never blocks."""
        if not self._text.done():
            self._send("feed", pcm16k)

    async def finish(self) -> str:
        """End the audio and return its transcript. Raises `RecogniserError`."""
        if not self._text.done():
            self._send("finish")
        return await self._text

    def drop(self) -> None:
        """Cancel the recognition. Idempotent."""
        if not self._text.done():
            self._text.cancel()
            self._send("drop")
            if self._worker is not None:
                self._worker.forget(self._number)

    def succeed(self, text: str) -> None:
        if not self._text.done():
            self._text.set_result(text)

    def fail(self, error: RecogniserError) -> None:
        if not self._text.done():
            self._text.set_exception(error)
            self._text.exception()  # no warning if `finish` is never called

    def _begin(self, task: asyncio.Task[_Worker]) -> None:
        """Open the utterance in the worker and send the kept messages."""
        try:
            worker = task.result()
            if not self._text.done():
                self._number = worker.open(self)
                self._worker = worker
                for what, *rest in self._unsent:
                    worker.send(what, self._number, *rest)
        except asyncio.CancelledError:
            self.fail(RecogniserError("the recogniser is closed"))
        except (RecogniserError, OSError) as error:
            self.fail(RecogniserError(str(error)))
        self._unsent.clear()

    def _send(self, *message: object) -> None:
        if self._worker is None:
            self._unsent.append(message)
            return
        try:
            self._worker.send(message[0], self._number, *message[1:])
        except RecogniserError as error:
            self.fail(error)
