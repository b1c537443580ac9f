"""One session of ``talk``: its audio, its files, and its turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from msgspec.structs import replace

from duologue.core import (
    Session,
    SessionConfig,
    events,
    models,
    select_is_settled,
)
from duologue.core.config import TURN_DETECTION
from duologue.core.errors import DuologueError
from duologue.transports import (
    AudioSink,
    AudioSource,
    Client,
    ConnectionLost,
    LiveSession,
    ReplyError,
    ReplyTimeout,
    TrimmedSink,
    WavSource,
)
from duologue.transports.clock import new_id

from ..shared.audio_sinks import (
    FanOutSink,
    FocusGate,
    LevelMeter,
    MeteredSource,
    OutputWav,
)
from ..shared.session_setup import configure, is_closed, make_transport
from .talk_options import TalkOptions, numbered_path

__all__ = ["TalkSession", "create_sessions"]

#: A conversation is over after this many seconds without activity. The delay of audio
#: in a jitter buffer is shorter.
_QUIET = 0.6
#: The time limit for detecting speech, in seconds after the silence that ends a file.
_DETECTION = 2.0


def create_sessions(
    options: TalkOptions,
    tools: Sequence[Any],
    devices_for: Callable[[int], FocusGate | None],
) -> Iterator[TalkSession]:
    """Create the sessions. The ids of several are a common prefix and a number.

    ``devices_for`` returns the microphone and speaker for the session with a number.
    Raises a `DuologueError` for a file that cannot be read or written.
    """
    prefix, count = new_id(), options.sessions
    for number in range(1, count + 1):
        yield TalkSession(
            number,
            prefix if count == 1 else f"{prefix}-{number:03}",
            options,
            tools,
            devices=devices_for(number),
        )


def _config(options: TalkOptions) -> SessionConfig:
    transcription = None
    if options.transcribe:
        transcription = events.Transcription(model=models.TRANSCRIPTION)
        if options.language is not None:
            transcription = replace(transcription, language=options.language)
    config = configure(
        model=options.model, voice=options.voice, instructions=options.instructions
    )
    return attrs.evolve(
        config,
        transcription=transcription,
        turn_detection=replace(TURN_DETECTION, silence_duration_ms=options.silence_ms),
    )


class TalkSession:
    """One session; ``failure`` is the reason if it ended too early.

    Raises a `DuologueError` for a file that cannot be read or written.
    """

    def __init__(
        self,
        number: int,
        id: str,
        options: TalkOptions,
        tools: Sequence[Any],
        *,
        devices: FocusGate | None = None,
    ) -> None:
        def path(given: Path | None) -> Path | None:
            return given and numbered_path(given, number, options.sessions)

        self.number = number
        self.id = id
        self.log = path(options.record)
        output = path(options.output)
        self.output = OutputWav(output) if output is not None else None
        self.failure: DuologueError | None = None
        self.session: LiveSession | None = None
        self.connect_ms: float | None = None
        #: The state to show before the session starts.
        self.initial_state = Session(id)
        self._options = options
        self._tools = tools
        self._silence = options.silence_ms / 1000
        self._wav = None if options.wav is None else WavSource(options.wav)
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        source: AudioSource | None = devices if self._wav is None else self._wav
        #: The level of the user; None if the user types.
        self.input_meter = None if source is None else LevelMeter()
        self.output_meter = LevelMeter()
        if source is not None and self.input_meter is not None:
            source = MeteredSource(source, self.input_meter)
        sinks: list[AudioSink] = [self.output_meter]
        if self.output is not None:
            sinks.append(TrimmedSink(self.output))
        if devices is not None:
            sinks.append(devices)
        self._transport = make_transport(
            options.carrier, source, FanOutSink(*sinks), self.log
        )

    async def attempt(self, *steps: Callable[[], Awaitable[None]]) -> None:
        """Run these steps and store the first error in ``failure``."""
        try:
            for step in steps:
                await step()
        except DuologueError as error:
            self.failure = error

    async def start(
        self, client: Client, on_open: Callable[[int, LiveSession], None]
    ) -> None:
        """Connect, then call ``on_open``. Raises a `ConnectError`."""
        began = time.perf_counter()
        self.session = await client.start_session(
            _config(self._options),
            id=self.id,
            transport=self._transport,
            tools=self._tools,
            timeout=min(15.0, self._options.timeout),
        )
        self.connect_ms = round((time.perf_counter() - began) * 1000, 1)
        on_open(self.number, self.session)

    def put_line(self, line: str | None) -> None:
        """Queue a line to send after the previous reply; None ends the input."""
        self._lines.put_nowait(line)

    async def send_lines(self) -> None:
        """Run a turn for each line, until the last."""
        while (line := await self._next_line()) is not None:
            timeout = self._options.timeout
            try:
                await self._live().ask(line, timeout=timeout)
            except ReplyTimeout as error:
                if error.reply.responses:
                    raise
                raise DuologueError(f"no reply began in {timeout:g} s") from None
            except (ConnectionLost, ReplyError):
                # The transcript shows the reply, and an ended session raises below.
                pass
            await self._wait_until_settled()

    async def _next_line(self) -> str | None:
        """The next line; raises a `DuologueError` if the session ends before it."""
        line = asyncio.ensure_future(self._lines.get())
        await self._wait_unless_closed(line)
        self._raise_if_closed()
        return line.result()

    async def play_wav(self) -> None:
        """Wait until the file is played and the reply to it is over."""
        assert self._wav is not None, "there is no file"
        await self._wait_unless_closed(asyncio.ensure_future(self._wav.wait_ended()))
        self._raise_if_closed()
        try:
            await self._live().until(
                lambda s: bool(s.items) or is_closed(s),
                timeout=self._silence + _DETECTION,
            )
        except TimeoutError:
            raise DuologueError(
                f"{self._options.wav}: the service detected no speech in this file"
            ) from None
        await self._wait_until_settled()

    async def until_lost(self) -> None:
        """Wait until the session ends, then raise a `DuologueError`."""
        await self._live().until(is_closed)
        self._raise_if_closed()

    async def _wait_unless_closed(self, awaited: asyncio.Future[Any]) -> None:
        """Wait for the future or for the end of the session."""
        closed = asyncio.ensure_future(self._live().until(is_closed))
        try:
            await asyncio.wait({awaited, closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            if not awaited.done():
                awaited.cancel()

    def close(self) -> None:
        """Complete the output file."""
        if self.output is not None:
            self.output.close()

    def error(self) -> DuologueError | None:
        """The error of the session, or else of a file; None without errors."""
        if self.failure is not None:
            return self.failure
        if self.output is not None and self.output.failure is not None:
            return self.output.failure
        if self.session is not None and self.session.failure is not None:
            return DuologueError(f"{self.log}: {self.session.failure}")
        return None

    def written(self) -> list[Path]:
        """The files that exist and are complete."""
        paths: list[Path] = []
        if self.output is not None and self.output.file and not self.output.failure:
            paths.append(self.output.path)
        session = self.session
        if session is not None and session.failure is None and self.log is not None:
            paths.append(self.log)
        return paths

    async def _wait_until_settled(self) -> None:
        """Wait until the session has been settled for a while (`select_is_settled`).

        Raises a `DuologueError` after ``timeout`` seconds, or if the session ended.
        """
        session, timeout = self._live(), self._options.timeout
        deadline = time.monotonic() + self._silence + timeout
        quiet = max(_QUIET, self._silence + 0.2)
        while True:
            try:
                await session.until(
                    lambda s: select_is_settled(s) or is_closed(s),
                    timeout=deadline - time.monotonic(),
                )
                self._raise_if_closed()
                await session.until(
                    lambda s: not select_is_settled(s) or is_closed(s), timeout=quiet
                )
                self._raise_if_closed()
            except TimeoutError:
                if select_is_settled(session.state):
                    return
                raise DuologueError(
                    f"the reply was not over after {timeout:g} s"
                ) from None

    def _raise_if_closed(self) -> None:
        """Raise if the session has ended."""
        state = self._live().state
        if is_closed(state):
            reason = state.connection.reason or "the service closed it"
            raise DuologueError(f"the session ended: {reason}")

    def _live(self) -> LiveSession:
        assert self.session is not None, "the session has not been started"
        return self.session
