"""The built-in ear: pocketsphinx in a process of its own.

One process serves all sessions. It starts with the first utterance (or `start`),
ends when its pipe closes, and a new one follows where it died: what was being
heard fails, the next utterance does not.
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

from ..interfaces import EarError, Hearing

__all__ = ["SphinxEar"]

_WORKER = Path(__file__).with_name("asr_sphinx_worker.py")
#: Seconds that a worker has to end by itself once its pipe is closed.
_GRACE = 2.0
#: Bytes that wait for the worker, above which it counts as stuck (a minute each
#: of thirty sessions).
_BACKLOG = 60 * 32_000 * 30


class SphinxEar:
    """Recognises English with pocketsphinx. Belongs to one event loop."""

    def __init__(self) -> None:
        self._worker: _Worker | None = None
        self._starting: asyncio.Task[_Worker] | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the process and wait until its model is loaded (0.5 s).

        Raises `EarError`.
        """
        worker = await asyncio.shield(self._started())
        await worker.ready.wait()
        if worker.ended:
            raise EarError("the recogniser's process does not start")

    def listen(self, on_guess: Callable[[str], None]) -> Hearing:
        """Open an utterance; its audio may be fed at once."""
        return _Utterance(self, on_guess)

    async def close(self) -> None:
        """End the process and wait for it. Idempotent."""
        self._closed = True
        starting, self._starting = self._starting, None
        if starting is not None:
            with contextlib.suppress(Exception):
                await (await starting).close()

    def _started(self) -> asyncio.Task[_Worker]:
        """The task that gives the worker: the present one, or a new one's."""
        if self._closed:
            raise EarError("the ear is closed")
        task = self._starting
        if task is None or (task.done() and not _alive(task)):
            task = self._starting = asyncio.create_task(_Worker.spawn())
        return task


def _alive(task: asyncio.Task[_Worker]) -> bool:
    if task.cancelled() or task.exception() is not None:
        return False
    return not task.result().ended


class _Worker:
    """The running process, the utterances it is at, and the reader of its answers."""

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
            raise EarError("no ear: install the extra duologue[local]")
        # A process group of its own: Ctrl-C at the terminal is the parent's.
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
        """Queue a message for the process. Raises `EarError` where it is gone."""
        pipe = self._process.stdin
        assert pipe is not None
        if self.ended or pipe.is_closing():
            raise EarError("the recogniser's process has ended")
        if pipe.transport.get_write_buffer_size() > _BACKLOG:
            raise EarError("the recogniser's process does not keep up")
        body = msgspec.msgpack.encode(message)
        pipe.write(len(body).to_bytes(4, "little") + body)

    def forget(self, number: int) -> None:
        self._utterances.pop(number, None)

    async def close(self) -> None:
        """Close the pipe, wait, and kill what does not end."""
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
        why = EarError(f"the recogniser's process ended (status {status})")
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
                utterance.fail(EarError(f"the recogniser failed: {text}"))


class _Utterance:
    """What was fed so far, until the worker is there to take it."""

    def __init__(self, ear: SphinxEar, on_guess: Callable[[str], None]) -> None:
        self.on_guess = on_guess
        self._words: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._worker: _Worker | None = None
        self._number = 0
        self._held: list[tuple[object, ...]] = []
        try:
            ear._started().add_done_callback(self._begin)
        except EarError as error:
            self.fail(error)

    def feed(self, pcm16k: bytes) -> None:
        """Take the audio that follows. Never blocks."""
        if not self._words.done():
            self._send("feed", pcm16k)

    async def finish(self) -> str:
        """The words, once the audio is complete. Raises `EarError`."""
        if not self._words.done():
            self._send("finish")
        return await self._words

    def drop(self) -> None:
        """Stop; nobody wants the words. Idempotent."""
        if not self._words.done():
            self._words.cancel()
            self._send("drop")
            if self._worker is not None:
                self._worker.forget(self._number)

    def succeed(self, words: str) -> None:
        if not self._words.done():
            self._words.set_result(words)

    def fail(self, error: EarError) -> None:
        if not self._words.done():
            self._words.set_exception(error)
            self._words.exception()  # seen: nobody may be waiting for it

    def _begin(self, task: asyncio.Task[_Worker]) -> None:
        """The worker is there: open the utterance and hand over what was held."""
        try:
            worker = task.result()
            if not self._words.done():
                self._number = worker.open(self)
                self._worker = worker
                for what, *rest in self._held:
                    worker.send(what, self._number, *rest)
        except asyncio.CancelledError:
            self.fail(EarError("the ear is closed"))
        except (EarError, OSError) as error:
            self.fail(EarError(str(error)))
        self._held.clear()

    def _send(self, *message: object) -> None:
        if self._worker is None:
            self._held.append(message)
            return
        try:
            self._worker.send(message[0], self._number, *message[1:])
        except EarError as error:
            self.fail(error)
