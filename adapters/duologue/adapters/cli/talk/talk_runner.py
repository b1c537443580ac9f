"""``duologue talk``: conversations, from a file, a microphone or the keyboard."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any

from rich.console import Console

from duologue.core import Store
from duologue.core.errors import DuologueError
from duologue.transports import Client, LiveSession

from ..shared.audio_sinks import Gauge, Shared
from ..shared.service import reached
from ..shared.session_report import print_json, print_summary
from .audio_devices import Headset
from .console_log import Notes
from .input_line import read_line
from .keyboard import HAS_TERMINAL, Keyboard, read_lines
from .live_transcript import LiveWords
from .screen_layout import Scene, Seat
from .talk_options import Options, seat
from .talk_session import Talker
from .terminal_display import Display
from .tool_import import load_tools

__all__ = ["run"]


def run(options: Options) -> None:
    """Hold the conversations and print them. Raises a `DuologueError`."""
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
        self._is_drawn = not options.json and _can_draw(self._console)
        self._notes = Notes(self._console, keep=self._is_drawn)
        self._words = LiveWords(self._console)
        self._tools = load_tools(options.tools) if options.tools else ()
        self._store = Store()
        self._headset: Headset | None = None
        self._keyboard: Keyboard | None = None
        self._types = options.wav is None and options.mic is None
        #: Nothing more will be typed.
        self._no_more = asyncio.Event()
        self._talkers: list[Talker] = []
        self._focus = 1
        self._began = False

    async def run(self) -> None:
        try:
            with self._notes, contextlib.ExitStack() as shown:
                if self._is_drawn:
                    self._keyboard = self._keys()
                    if self._keyboard is not None:
                        shown.enter_context(self._keyboard)
                    shown.enter_context(Display(self._scene, self._notes.say))
                await self._run()
        finally:
            if self._began:
                self._finish()
        self._raise_trouble()

    async def _run(self) -> None:
        options = self._options
        async with contextlib.AsyncExitStack() as stack:
            if options.mic is not None:
                self._headset = Headset(options.mic, self._notes.say)
                stack.callback(self._headset.close)
            self._talkers = list(seat(options, self._tools, self._shared))
            if options.local:
                self._notes.say(
                    "local service: replies are scripted, not a language model"
                )
            service = await stack.enter_async_context(
                reached(local=options.local, base_url=options.base_url)
            )
            client = Client(
                credentials=service.credentials,
                base_url=service.base_url,
                store=self._store,
            )
            self._began = True
            try:
                async with client:
                    await self._converse(client)
            finally:
                for talker in self._talkers:
                    talker.close()

    # Three ways to talk.

    async def _converse(self, client: Client) -> None:
        try:
            if self._options.wav is not None:
                await self._play(client)
            elif self._headset is not None:
                await self._speak(client, self._headset)
            else:
                await self._type(client)
        finally:
            self._words.end()

    def _opened(self, number: int, session: LiveSession) -> None:
        if not self._is_drawn:
            self._words.follow(session, number if len(self._talkers) > 1 else None)

    async def _play(self, client: Client) -> None:
        """The file goes to all, until all replies are over."""
        async with asyncio.TaskGroup() as group:
            for talker in self._talkers:
                start = partial(talker.start, client, self._opened)
                group.create_task(talker.attempt(start, talker.play))

    async def _speak(self, client: Client, headset: Headset) -> None:
        """Until Ctrl-C, or until all sessions or a device are gone."""
        async with asyncio.TaskGroup() as group:
            for talker in self._talkers:
                start = partial(talker.start, client, self._opened)
                group.create_task(talker.attempt(start))
        open_ones = [talker for talker in self._talkers if talker.failure is None]
        if not open_ones:
            return
        tasks = [asyncio.create_task(one.attempt(one.listen)) for one in open_ones]
        gone = asyncio.create_task(asyncio.wait(tasks))
        stopped = asyncio.create_task(headset.until_stopped())
        first: set[asyncio.Task[Any]] = {stopped, gone}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, gone, *tasks):
                task.cancel()
        if stopped.done() and not stopped.cancelled():
            stopped.result()

    async def _type(self, client: Client) -> None:
        """A line is a turn of the session that it is for, until there are no more."""
        if sys.stdin is None:
            raise DuologueError("--text reads standard input, which is closed")
        async with asyncio.TaskGroup() as group:
            talking = [
                group.create_task(
                    talker.attempt(
                        partial(talker.start, client, self._opened), talker.type
                    )
                )
                for talker in self._talkers
            ]
            reading = group.create_task(self._read())
            await asyncio.wait(talking)
            reading.cancel()

    async def _read(self) -> None:
        """Hand on what is typed, until it ends."""
        if sys.stdin.isatty():
            self._notes.say("Type a line and press Enter; Ctrl-D ends it.")
        if len(self._talkers) > 1:
            self._notes.say("/2 turns to session 2, /2 hello is for it alone.")
        if self._keyboard is not None:
            await self._no_more.wait()
        else:
            async for line in read_lines(sys.stdin.fileno()):
                self._take(line)
        for talker in self._talkers:
            talker.put(None)

    def _keys(self) -> Keyboard | None:
        """The keys of the terminal, which are not to show where they are pressed."""
        if not HAS_TERMINAL or sys.stdin is None or not sys.stdin.isatty():
            return None
        return Keyboard(sys.stdin.fileno(), self._take, self._no_more.set)

    def _take(self, line: str) -> None:
        """A typed line: something to say, or another session to speak to."""
        try:
            typed = read_line(line, focus=self._focus, sessions=len(self._talkers))
        except ValueError as error:
            self._notes.say(str(error))
            return
        if typed is None:
            return
        talker = self._talkers[typed.number - 1]
        if not typed.text:
            self._turn_to(typed.number)
        elif not self._types:
            self._notes.say("this is not said: typing is for --text")
        elif talker.failure is not None:
            self._notes.say(f"session {typed.number} is over")
        else:
            talker.put(typed.text)

    def _turn_to(self, number: int) -> None:
        self._focus = number
        if self._headset is not None:
            # What is still to be played was said by the one before.
            self._headset.speaker.flush()

    def _shared(self, number: int) -> Shared | None:
        """Microphone and speaker, for the session that is spoken to."""
        if self._headset is None:
            return None
        microphone, speaker = self._headset.microphone, self._headset.speaker
        return Shared(microphone, speaker, lambda: self._focus == number)

    # What is shown.

    def _scene(self) -> Scene:
        """What there is to see now. Called by the thread that draws it."""
        return Scene(
            seats=tuple(
                Seat(
                    number=talker.number,
                    session=self._store.session(talker.id) or talker.unborn,
                    said=None if talker.said is None else _level(talker.said),
                    heard=_level(talker.heard),
                )
                for talker in self._talkers
            ),
            focus=self._focus,
            typed=self._typed(),
            notes=self._notes.latest,
        )

    def _typed(self) -> str | None:
        """The line that is being typed, where one can mean something."""
        if self._keyboard is None or not (self._types or len(self._talkers) > 1):
            return None
        return self._keyboard.typed

    def _finish(self) -> None:
        state = self._store.state
        times = [one.connect_ms for one in self._talkers if one.connect_ms is not None]
        connect_ms = max(times, default=None)
        if self._options.json:
            more = {"audio": self._headset.figures()} if self._headset else {}
            print_json(state, connect_ms=connect_ms, **more)
        elif connect_ms is not None:
            print_summary(self._console, state, connect_ms)
        for talker in self._talkers:
            for path in talker.written():
                self._console.print(f"  wrote {path}", markup=False)

    def _raise_trouble(self) -> None:
        """Raise what went wrong with one session, or how many of several failed."""
        troubles = [
            (talker.number, trouble)
            for talker in self._talkers
            if (trouble := talker.trouble()) is not None
        ]
        if not troubles:
            return
        number, first = troubles[0]
        if len(self._talkers) == 1:
            raise first
        raise DuologueError(
            f"{len(troubles)} of {len(self._talkers)} sessions went wrong; "
            f"session {number}: {first}"
        ) from first


def _can_draw(console: Console) -> bool:
    """Whether there is a terminal to draw on, whose keys we can read where it types."""
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        return False
    return HAS_TERMINAL or sys.stdin is None or not sys.stdin.isatty()


def _level(gauge: Gauge) -> float:
    """In steps that can be seen, so that the rest is not drawn again."""
    return round(gauge.peak_dbfs)
