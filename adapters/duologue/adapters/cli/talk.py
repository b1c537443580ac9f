"""``duologue talk``: one conversation, from a file, a microphone or the keyboard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from duologue.core import (
    Session,
    SessionConfig,
    Store,
    events,
    models,
    select_is_settled,
)
from duologue.core.errors import DuologueError
from duologue.core.session_config import TURN_DETECTION
from duologue.core.types import SessionStatus
from duologue.transports import (
    AudioSink,
    AudioSource,
    Client,
    Credentials,
    LiveSession,
    Transport,
    TrimmedSink,
    WavSource,
    record,
    webrtc,
)
from duologue.transports.client import default_config
from duologue.transports.signalling import is_loopback

from .live import LiveWords
from .mic import Devices, Headset
from .report import print_json, print_summary
from .sinks import Both, HeardFile

__all__ = ["Options", "run"]

#: A key for services that check none; it opens nothing.
MADE_UP_KEY = "made-up-key-for-the-local-service"
#: Seconds of quiet after which a conversation counts as over: what is still on its
#: way through the jitter buffer is heard by then.
_QUIET = 0.6
#: Seconds after the end of a file in which speech must have been noticed.
_NOTICE = 2.0


@attrs.frozen(kw_only=True)
class Options:
    """What the command line asked for. Neither ``wav`` nor ``mic`` means typing."""

    wav: Path | None
    mic: Devices | None
    local: bool
    base_url: str | None
    model: str | None
    voice: str | None
    instructions: str | None
    silence_ms: int
    transcribe: bool
    language: str | None
    output: Path | None
    record: Path | None
    timeout: float
    json: bool


def run(options: Options) -> None:
    """Hold the conversation and print it. Raises a `DuologueError`."""
    asyncio.run(_terminable(_Talk(options).run()))


async def _terminable(work: Coroutine[Any, Any, None]) -> None:
    """``work``, ended as cleanly by SIGTERM and SIGHUP as by Ctrl-C."""
    task = asyncio.ensure_future(work)
    got: list[int] = []

    def end(number: int) -> None:
        got.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        await task
    except asyncio.CancelledError:
        if got:
            sys.exit(128 + got[0])
        raise


class _Talk:
    """One run of the command."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._console = Console(quiet=options.json, highlight=False, soft_wrap=True)
        self._store = Store()
        self._connect_ms: float | None = None
        self._source = WavSource(options.wav) if options.wav else None
        self._heard = HeardFile(options.output) if options.output else None
        self._session: LiveSession | None = None
        self._headset: Headset | None = None

    async def run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if self._options.mic is not None:
                self._headset = Headset(self._options.mic, self._console)
                stack.callback(self._headset.close)
            transport = self._transport()
            base_url, credentials = await self._service(stack)
            client = Client(
                credentials=credentials, base_url=base_url, store=self._store
            )
            try:
                async with client:
                    await self._talk(client, transport)
            finally:
                if self._heard is not None:
                    self._heard.close()
                self._finish()
        self._raise_file_trouble()

    def _transport(self) -> Transport:
        source: AudioSource | None = self._source
        sinks: list[AudioSink] = [TrimmedSink(self._heard)] if self._heard else []
        if self._headset is not None:
            source = self._headset.microphone
            sinks.append(self._headset.speaker)
        transport: Transport = webrtc(
            source=source, sink=Both(*sinks) if sinks else None
        )
        if self._options.record is not None:
            transport = record(transport, self._options.record)
        return transport

    def _raise_file_trouble(self) -> None:
        """A file that is not whole is an error, though the talk went well."""
        if self._heard is not None and self._heard.failure is not None:
            raise self._heard.failure
        if self._session is not None and self._session.failure is not None:
            raise DuologueError(f"{self._options.record}: {self._session.failure}")

    async def _service(
        self, stack: contextlib.AsyncExitStack
    ) -> tuple[str | None, Credentials]:
        """Where to go and with what key."""
        options = self._options
        if options.local:
            from duologue.local import LocalService

            self._console.print(
                "local service: replies are scripted, not a language model",
                style="dim",
            )
            service = await stack.enter_async_context(LocalService())
            return service.base_url, Credentials(MADE_UP_KEY)
        key = os.environ.get("OPENAI_API_KEY")
        url = options.base_url or os.environ.get("OPENAI_BASE_URL")
        if not key and url and is_loopback(url):
            key = MADE_UP_KEY
        if not key:
            raise DuologueError(
                "OPENAI_API_KEY is not set: set it to talk to the service, "
                "or use --local to talk to the local one without a key"
            )
        return url, Credentials(key)

    def _config(self) -> SessionConfig:
        options = self._options
        transcription = None
        if options.transcribe:
            transcription = events.Transcription(
                model=models.TRANSCRIPTION, **_given(language=options.language)
            )
        given = _given(
            model=options.model,
            voice=options.voice,
            instructions=options.instructions,
        )
        return attrs.evolve(
            default_config(),
            transcription=transcription,
            turn_detection=_turn_detection(options.silence_ms),
            **given,
        )

    async def _talk(self, client: Client, transport: Transport) -> None:
        began = time.perf_counter()
        session = await client.start_session(
            self._config(),
            transport=transport,
            timeout=min(15.0, self._options.timeout),
        )
        self._session = session
        self._connect_ms = round((time.perf_counter() - began) * 1000, 1)
        words = LiveWords(self._console, session)
        try:
            if self._source is not None:
                await self._play(session, self._source)
            elif self._headset is not None:
                await self._converse(session, self._headset)
            else:
                await self._type(session)
        finally:
            words.end()

    async def _play(self, session: LiveSession, source: WavSource) -> None:
        """Until the file is played and the reply to it is over."""
        played = asyncio.ensure_future(source.wait_ended())
        gone = asyncio.ensure_future(session.until(_is_over))
        try:
            await asyncio.wait({played, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            played.cancel()
            gone.cancel()
        _check(session)
        notice = self._options.silence_ms / 1000 + _NOTICE
        try:
            await session.until(lambda s: bool(s.items) or _is_over(s), timeout=notice)
        except TimeoutError:
            raise DuologueError(
                f"{self._options.wav}: the service heard no speech in it"
            ) from None
        await self._settle(session)

    async def _converse(self, session: LiveSession, headset: Headset) -> None:
        """Until Ctrl-C, or until the session or a device is gone."""
        stopped = asyncio.ensure_future(headset.until_stopped())
        gone = asyncio.ensure_future(session.until(_is_over))
        try:
            await asyncio.wait({stopped, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            gone.cancel()
        if stopped.done() and not stopped.cancelled():
            stopped.result()
        else:
            _check(session)

    async def _settle(self, session: LiveSession) -> None:
        """Until nothing has been under way for a while.

        Raises a `DuologueError` after ``timeout`` seconds, or if the session ended.
        """
        silence = self._options.silence_ms / 1000
        deadline = time.monotonic() + silence + self._options.timeout
        quiet = max(_QUIET, self._options.silence_ms / 1000 + 0.2)
        while True:
            try:
                await session.until(
                    lambda s: select_is_settled(s) or _is_over(s),
                    timeout=deadline - time.monotonic(),
                )
                _check(session)
                await session.until(
                    lambda s: not select_is_settled(s) or _is_over(s), timeout=quiet
                )
                _check(session)
            except TimeoutError:
                if select_is_settled(session.state):
                    return
                raise DuologueError(
                    f"the reply was not over after {self._options.timeout:g} s"
                ) from None

    async def _type(self, session: LiveSession) -> None:
        """A line of standard input is a turn, until it ends."""
        if sys.stdin is None:
            raise DuologueError("--text reads standard input, which is closed")
        if sys.stdin.isatty():
            self._console.print("Type a line and press Enter; Ctrl-D ends it.")
        async for line in _lines():
            if line.strip():
                await session.send_text(line.strip())
                await session.until(
                    lambda s: s.responses.active is not None or _is_over(s),
                    timeout=self._options.timeout,
                )
                await self._settle(session)

    def _finish(self) -> None:
        state = self._store.state
        if self._options.json:
            more = {"audio": self._headset.figures()} if self._headset else {}
            print_json(state, connect_ms=self._connect_ms, **more)
        elif self._connect_ms is not None:
            print_summary(self._console, state, self._connect_ms)
        if self._heard is not None and self._heard.file and not self._heard.failure:
            self._console.print(f"  wrote {self._heard.path}", markup=False)
        session, log = self._session, self._options.record
        if session is not None and session.failure is None and log is not None:
            self._console.print(f"  wrote {log}", markup=False)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _turn_detection(silence_ms: int) -> events.ServerVad:
    from msgspec.structs import replace

    return replace(TURN_DETECTION, silence_duration_ms=silence_ms)


def _is_over(state: Session) -> bool:
    status = state.connection.status
    return status in (SessionStatus.CLOSED, SessionStatus.FAILED)


def _check(session: LiveSession) -> None:
    """Raise if the session is over before the conversation is."""
    if _is_over(session.state):
        reason = session.state.connection.reason or "the service closed it"
        raise DuologueError(f"the session ended: {reason}")


async def _lines() -> AsyncIterator[str]:
    """Lines of standard input, read in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            for line in sys.stdin.buffer:
                # Whatever the locale says: what is not UTF-8 shows as such.
                text = line.decode(errors="replace")
                loop.call_soon_threadsafe(queue.put_nowait, text)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True, name="stdin").start()
    while (line := await queue.get()) is not None:
        yield line
