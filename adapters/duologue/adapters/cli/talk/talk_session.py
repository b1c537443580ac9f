"""One session of ``talk``: its sound, its files, and its turns until they are over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from duologue.core import (
    Session,
    SessionConfig,
    SessionStatus,
    select_is_settled,
    select_problems,
)
from duologue.core.errors import DuologueError
from duologue.transports import (
    AudioSink,
    AudioSource,
    Client,
    LiveSession,
    Transport,
    TrimmedSink,
    WavSource,
    record,
)

from ..shared.audio_sinks import Gauge, HeardFile, Metered, Several, Shared
from ..shared.one_turn import Carrier

__all__ = ["Plan", "Talker"]

#: Seconds of quiet after which a conversation counts as over: what is still on its
#: way through the jitter buffer is heard by then.
_QUIET = 0.6
#: Seconds after the end of a file in which speech must have been noticed.
_NOTICE = 2.0


@attrs.frozen(kw_only=True)
class Plan:
    """What the sessions of a talk have in common; ``silence`` and ``timeout`` in s.

    ``wav`` is the file that is played as the microphone of each.
    """

    wav: Path | None
    config: SessionConfig
    carrier: Carrier
    tools: Sequence[Any]
    silence: float
    timeout: float


class Talker:
    """One session of a talk.

    ``failure`` is why it ended, where that was not meant. Raises a `DuologueError` for
    a file that cannot be written.
    """

    def __init__(
        self,
        number: int,
        id: str,
        plan: Plan,
        *,
        headset: Shared | None = None,
        output: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.number = number
        self.id = id
        self.log = log
        self.file = HeardFile(output) if output is not None else None
        self.failure: DuologueError | None = None
        self.session: LiveSession | None = None
        self.connect_ms: float | None = None
        #: What there is to see of it before it begins.
        self.unborn = Session(id)
        self._plan = plan
        self._wav = None if plan.wav is None else WavSource(plan.wav)
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        source: AudioSource | None = headset if self._wav is None else self._wav
        #: How loud it is; without a source nobody is heard.
        self.said = None if source is None else Gauge()
        self.heard = Gauge()
        if source is not None and self.said is not None:
            source = Metered(source, self.said)
        sinks: list[AudioSink] = [self.heard]
        if self.file is not None:
            sinks.append(TrimmedSink(self.file))
        if headset is not None:
            sinks.append(headset)
        transport = _carried(plan.carrier, source, Several(*sinks))
        self._transport = transport if log is None else record(transport, log)

    async def attempt(self, *steps: Callable[[], Awaitable[None]]) -> None:
        """Take these steps; what goes wrong is kept in ``failure``."""
        try:
            for step in steps:
                await step()
        except DuologueError as error:
            self.failure = error

    async def start(
        self, client: Client, opened: Callable[[int, LiveSession], None]
    ) -> None:
        """Connect, and tell who asked. Raises a `ConnectError`."""
        began = time.perf_counter()
        self.session = await client.start_session(
            self._plan.config,
            id=self.id,
            transport=self._transport,
            tools=self._plan.tools,
            timeout=min(15.0, self._plan.timeout),
        )
        self.connect_ms = round((time.perf_counter() - began) * 1000, 1)
        opened(self.number, self.session)

    def put(self, line: str | None) -> None:
        """Say this when what was said before is answered; None: that was all."""
        self._lines.put_nowait(line)

    async def type(self) -> None:
        """A line is a turn, until there are no more."""
        while (line := await self._next_line()) is not None:
            session, timeout = self._live(), self._plan.timeout
            known = len(select_problems(session.state))
            await session.send_text(line)
            has_begun = partial(_has_begun, known)
            try:
                await session.until(has_begun, timeout=timeout)
            except TimeoutError:
                raise DuologueError(f"no reply began in {timeout:g} s") from None
            await self._settle()

    async def _next_line(self) -> str | None:
        """The next line; raises a `DuologueError` if the session ends before."""
        line = asyncio.ensure_future(self._lines.get())
        await self._first_of(line)
        self._check()
        return line.result()

    async def play(self) -> None:
        """Until the file is played and the reply to it is over."""
        assert self._wav is not None, "there is no file"
        await self._first_of(asyncio.ensure_future(self._wav.wait_ended()))
        self._check()
        try:
            await self._live().until(
                lambda s: bool(s.items) or _is_over(s),
                timeout=self._plan.silence + _NOTICE,
            )
        except TimeoutError:
            raise DuologueError(
                f"{self._plan.wav}: the service heard no speech in it"
            ) from None
        await self._settle()

    async def listen(self) -> None:
        """Until the session is over, which was not meant: raises a `DuologueError`."""
        await self._live().until(_is_over)
        self._check()

    async def _first_of(self, awaited: asyncio.Future[Any]) -> None:
        """Until there is what is waited for, or the session is over."""
        gone = asyncio.ensure_future(self._live().until(_is_over))
        try:
            await asyncio.wait({awaited, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not awaited.done():
                awaited.cancel()

    def close(self) -> None:
        """Complete the file of what was heard."""
        if self.file is not None:
            self.file.close()

    def trouble(self) -> DuologueError | None:
        """Why it failed; or, though the talk went well, which file is not whole."""
        if self.failure is not None:
            return self.failure
        if self.file is not None and self.file.failure is not None:
            return self.file.failure
        if self.session is not None and self.session.failure is not None:
            return DuologueError(f"{self.log}: {self.session.failure}")
        return None

    def written(self) -> list[Path]:
        """The files that are there and whole."""
        paths: list[Path] = []
        if self.file is not None and self.file.file and not self.file.failure:
            paths.append(self.file.path)
        session = self.session
        if session is not None and session.failure is None and self.log is not None:
            paths.append(self.log)
        return paths

    async def _settle(self) -> None:
        """Until nothing has been under way for a while.

        Raises a `DuologueError` after ``timeout`` seconds, or if the session ended.
        """
        session, timeout = self._live(), self._plan.timeout
        deadline = time.monotonic() + self._plan.silence + timeout
        quiet = max(_QUIET, self._plan.silence + 0.2)
        while True:
            try:
                await session.until(
                    lambda s: select_is_settled(s) or _is_over(s),
                    timeout=deadline - time.monotonic(),
                )
                self._check()
                await session.until(
                    lambda s: not select_is_settled(s) or _is_over(s), timeout=quiet
                )
                self._check()
            except TimeoutError:
                if select_is_settled(session.state):
                    return
                raise DuologueError(
                    f"the reply was not over after {timeout:g} s"
                ) from None

    def _check(self) -> None:
        """Raise if the session is over before the conversation is."""
        state = self._live().state
        if _is_over(state):
            reason = state.connection.reason or "the service closed it"
            raise DuologueError(f"the session ended: {reason}")

    def _live(self) -> LiveSession:
        assert self.session is not None, "it has to be started"
        return self.session


def _has_begun(known: int, session: Session) -> bool:
    """Whether there is a reply, a problem beside those known, or nothing any more."""
    begun = session.responses.active is not None
    return begun or len(select_problems(session)) > known or _is_over(session)


def _carried(
    carrier: Carrier, source: AudioSource | None, sink: AudioSink
) -> Transport:
    # Imported here: what is not installed is missed only by those who want it.
    if carrier == "webrtc":
        from duologue.transports import webrtc

        return webrtc(source=source, sink=sink)
    from duologue.transports import websocket

    return websocket(source=source, sink=sink)


def _is_over(state: Session) -> bool:
    status = state.connection.status
    return status in (SessionStatus.CLOSED, SessionStatus.FAILED)
