"""One run of ``talk``: its sessions, the user's input, and the screen."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import partial
from typing import Any

from rich.console import Console

from duologue.core import Store
from duologue.core.errors import DuologueError
from duologue.transports import Client, LiveSession

from ..shared.audio_sinks import FocusGate, LevelMeter
from ..shared.service import open_service
from ..shared.session_report import print_json, print_summary
from ..shared.signals import run_cancellable
from .audio_devices import AudioDevices
from .console_log import ConsoleLog
from .input_line import parse_line
from .keyboard import HAS_TERMINAL, Keyboard, read_lines
from .live_transcript import LiveTranscript
from .screen_layout import PanelState, ScreenState
from .talk_options import TalkOptions
from .talk_session import TalkSession, create_sessions
from .terminal_display import TerminalDisplay
from .tool_import import load_tools

__all__ = ["run"]


def run(options: TalkOptions) -> None:
    """Run the conversations and print them. Raises a `DuologueError`."""
    asyncio.run(run_cancellable(_TalkRunner(options).run()))


class _TalkRunner:
    def __init__(self, options: TalkOptions) -> None:
        self._options = options
        self._console = Console(quiet=options.json, highlight=False, soft_wrap=True)
        self._has_screen = not options.json and _can_draw(self._console)
        self._log = ConsoleLog(self._console, hold=self._has_screen)
        self._transcript = LiveTranscript(self._console)
        self._tools = load_tools(options.tools) if options.tools else ()
        self._store = Store()
        self._devices: AudioDevices | None = None
        self._keyboard: Keyboard | None = None
        self._is_typing = options.wav is None and options.mic is None
        self._input_ended = asyncio.Event()
        self._sessions: list[TalkSession] = []
        self._focus = 1
        self._has_service = False

    async def run(self) -> None:
        try:
            with self._log, contextlib.ExitStack() as stack:
                if self._has_screen:
                    self._keyboard = self._open_keyboard()
                    if self._keyboard is not None:
                        stack.enter_context(self._keyboard)
                    display = TerminalDisplay(self._screen_state, self._log.message)
                    stack.enter_context(display)
                await self._run()
        finally:
            if self._has_service:
                self._print_results()
        self._raise_errors()

    async def _run(self) -> None:
        options = self._options
        async with contextlib.AsyncExitStack() as stack:
            if options.mic is not None:
                self._devices = AudioDevices(options.mic, self._log.message)
                stack.callback(self._devices.close)
            self._sessions = list(
                create_sessions(options, self._tools, self._focus_gate)
            )
            if options.local:
                self._log.message(
                    "local service: replies are scripted, not a language model"
                )
            service = await stack.enter_async_context(
                open_service(
                    local=options.local,
                    base_url=options.base_url,
                    provider=options.provider,
                )
            )
            client = Client(
                credentials=service.credentials,
                base_url=service.base_url,
                provider=service.provider,
                store=self._store,
            )
            self._has_service = True
            try:
                async with client:
                    await self._converse(client)
            finally:
                for session in self._sessions:
                    session.close()

    # The three kinds of input.

    async def _converse(self, client: Client) -> None:
        try:
            if self._options.wav is not None:
                await self._play_wav(client)
            elif self._devices is not None:
                await self._speak(client, self._devices)
            else:
                await self._type(client)
        finally:
            self._transcript.end_line()

    def _on_open(self, number: int, session: LiveSession) -> None:
        if not self._has_screen:
            is_several = len(self._sessions) > 1
            self._transcript.follow(session, number if is_several else None)

    async def _play_wav(self, client: Client) -> None:
        """Play the file to all sessions, until all replies are over."""
        async with asyncio.TaskGroup() as group:
            for session in self._sessions:
                start = partial(session.start, client, self._on_open)
                group.create_task(session.attempt(start, session.play_wav))

    async def _speak(self, client: Client, devices: AudioDevices) -> None:
        """Talk until Ctrl-C, until all sessions have ended, or until a device fails."""
        async with asyncio.TaskGroup() as group:
            for session in self._sessions:
                start = partial(session.start, client, self._on_open)
                group.create_task(session.attempt(start))
        tasks = [
            asyncio.create_task(session.attempt(session.until_lost))
            for session in self._sessions
            if session.failure is None
        ]
        if not tasks:
            return
        lost = asyncio.create_task(asyncio.wait(tasks))
        stopped = asyncio.create_task(devices.until_stopped())
        first: set[asyncio.Task[Any]] = {stopped, lost}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, lost, *tasks):
                task.cancel()
        if stopped.done() and not stopped.cancelled():
            stopped.result()

    async def _type(self, client: Client) -> None:
        """Send each line to its session as a turn, until the input ends."""
        if sys.stdin is None:
            raise DuologueError("--text reads standard input, which is closed")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    session.attempt(
                        partial(session.start, client, self._on_open),
                        session.send_lines,
                    )
                )
                for session in self._sessions
            ]
            reader = group.create_task(self._read())
            await asyncio.wait(tasks)
            reader.cancel()

    async def _read(self) -> None:
        """Pass lines to the sessions, until the input ends."""
        if sys.stdin.isatty():
            self._log.message("Type a line and press Enter; Ctrl-D ends it.")
        if len(self._sessions) > 1:
            self._log.message("/2 selects session 2, /2 hello is for it alone.")
        if self._keyboard is not None:
            await self._input_ended.wait()
        else:
            async for line in read_lines(sys.stdin.fileno()):
                self._on_line(line)
        for session in self._sessions:
            session.put_line(None)

    def _open_keyboard(self) -> Keyboard | None:
        """The keyboard, if standard input is a terminal; it must not echo."""
        if not HAS_TERMINAL or sys.stdin is None or not sys.stdin.isatty():
            return None
        return Keyboard(sys.stdin.fileno(), self._on_line, self._input_ended.set)

    def _on_line(self, line: str) -> None:
        """Send a typed line, or move the focus."""
        try:
            parsed = parse_line(line, focus=self._focus, sessions=len(self._sessions))
        except ValueError as error:
            self._log.message(str(error))
            return
        if parsed is None:
            return
        session = self._sessions[parsed.number - 1]
        if not parsed.text:
            self._set_focus(parsed.number)
        elif not self._is_typing:
            self._log.message("the line is not sent: typing needs --text")
        elif session.failure is not None:
            self._log.message(f"session {parsed.number} is over")
        else:
            session.put_line(parsed.text)

    def _set_focus(self, number: int) -> None:
        self._focus = number
        if self._devices is not None:
            # The buffered audio is from the previous session.
            self._devices.speaker.flush()

    def _focus_gate(self, number: int) -> FocusGate | None:
        """The devices for this session, open while it has the focus."""
        if self._devices is None:
            return None
        microphone, speaker = self._devices.microphone, self._devices.speaker
        return FocusGate(microphone, speaker, lambda: self._focus == number)

    # The output.

    def _screen_state(self) -> ScreenState:
        """The current screen. Called by the thread that draws it."""
        return ScreenState(
            panels=tuple(map(self._panel_state, self._sessions)),
            focus=self._focus,
            typed=self._typed(),
            messages=self._log.recent,
        )

    def _panel_state(self, session: TalkSession) -> PanelState:
        meter = session.input_meter
        return PanelState(
            number=session.number,
            session=self._store.session(session.id) or session.initial_state,
            input_dbfs=None if meter is None else _level(meter),
            output_dbfs=_level(session.output_meter),
        )

    def _typed(self) -> str | None:
        """The unfinished input line; None if a line would have no effect."""
        if self._keyboard is None or not (self._is_typing or len(self._sessions) > 1):
            return None
        return self._keyboard.typed

    def _print_results(self) -> None:
        state = self._store.state
        times = [one.connect_ms for one in self._sessions if one.connect_ms is not None]
        connect_ms = max(times, default=None)
        if self._options.json:
            more = {"audio": self._devices.figures()} if self._devices else {}
            print_json(state, connect_ms=connect_ms, **more)
        elif connect_ms is not None:
            print_summary(self._console, state, connect_ms)
        for session in self._sessions:
            for path in session.written():
                self._console.print(f"  wrote {path}", markup=False)

    def _raise_errors(self) -> None:
        """Raise the error of the session, or a summary for several sessions."""
        errors = [
            (session.number, error)
            for session in self._sessions
            if (error := session.error()) is not None
        ]
        if not errors:
            return
        number, first = errors[0]
        if len(self._sessions) == 1:
            raise first
        raise DuologueError(
            f"{len(errors)} of {len(self._sessions)} sessions failed; "
            f"session {number}: {first}"
        ) from first


def _can_draw(console: Console) -> bool:
    """Whether the output is a terminal, and its keys can be read if it is the input."""
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        return False
    return HAS_TERMINAL or sys.stdin is None or not sys.stdin.isatty()


def _level(meter: LevelMeter) -> float:
    """The level in whole dB, so that invisible changes do not redraw the screen."""
    return round(meter.peak_dbfs)
